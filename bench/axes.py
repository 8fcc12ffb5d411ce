"""What the cost of a token is plotted against: one thing grows, and everything else stays as it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bench.population import Population

OTHERS = Population(users=1_000, projects=1_000, events=1_000, asking=1_000)
"""What there is of everything that does not grow."""
HOT = 10_000
"""Users that ask at the most, as DESIGN 11 says."""
BOUND = 50
"""Users with many bindings: so few that all of it fits into a worker's memory, of which MAX_WEIGHT in memory.py is the bound."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What one point is measured in."""

    holds: Population
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that grows; `at` says how the installation of a size is made.

    `note` says what else a reader must know of it. Where `is_speed` is set, tokens a second are compared, not their cost.
    """

    name: str
    label: str
    note: str
    sizes: tuple[int, ...]
    at: Callable[[int], Installation]
    is_speed: bool = False


USERS = Axis(
    "users",
    "users",
    f"of them {HOT:,} at most ask",
    (10, 1_000, 100_000, 1_000_000),
    lambda size: Installation(replace(OTHERS, users=size, asking=min(size, HOT))),
)
PROJECTS = Axis(
    "projects",
    "projects",
    f"{OTHERS.asking:,} users ask",
    (10, 1_000, 10_000, 100_000),
    lambda size: Installation(replace(OTHERS, projects=size)),
)
BINDINGS = Axis(
    "bindings",
    "bindings per principal",
    f"{BOUND} users ask, bound in so many projects",
    (1, 10, 100, 1_000),
    lambda size: Installation(replace(OTHERS, users=BOUND, asking=BOUND, bindings_each=size)),
)
EVENTS = Axis(
    "events",
    "events in the log",
    f"{OTHERS.asking:,} users ask",
    (10, 1_000, 100_000, 1_000_000),
    lambda size: Installation(replace(OTHERS, events=size)),
)
WORKERS = Axis(
    "workers",
    "workers",
    f"{OTHERS.asking:,} users ask",
    (1, 2, 4),
    lambda size: Installation(OTHERS, workers=size),
    is_speed=True,
)
AXES = (USERS, PROJECTS, BINDINGS, EVENTS, WORKERS)
FULL_EVENTS = 10_000_000
"""The size that DESIGN 11 names."""


def choose_axes(*, only: str = "", most: int | None = None, full: bool = False) -> Iterator[Axis]:
    """Yield the axes whose name holds a word, with their sizes up to `most`, unless fewer than two are left."""
    for axis in AXES:
        sizes = (*axis.sizes, FULL_EVENTS) if full and axis is EVENTS else axis.sizes
        kept = tuple(size for size in sizes if most is None or size <= most)
        if only in axis.name and len(kept) > 1:
            yield replace(axis, sizes=kept)
