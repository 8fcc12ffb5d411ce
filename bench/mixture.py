"""The token requests of an installation's clients: of many kinds, a few of each most often, some about rights that change."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

from bench.toggles import Toggle

SCOPE = "/token?service=registry.localhost&scope=repository:{}/{}:pull"
REPOSITORIES = ("app", "web", "team/base")
SHARES = {"robot": 0.5, "token": 0.25, "password": 0.12, "anonymous": 0.05, "toggled": 0.06, "refused": 0.02}
"""Of the requests, as long as those that are counted by address stay below what is throttled."""
MOST = {"anonymous": 40.0, "toggled": 20.0, "refused": 4.0}
"""A second."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a token. `status` is what is to come back, unless a toggle says what."""

    kind: str
    path: str
    authorization: str = ""
    status: int = 200
    toggle: Toggle | None = None

    def text(self) -> str:
        """Return the whole request, for the load generator."""
        return f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {self.authorization}\r\n\r\n"


@dataclass(slots=True)
class Mixture:
    """What is asked, by kind, the first of each most often, by Zipf's law; and what changes meanwhile."""

    asks: dict[str, list[Ask]] = field(default_factory=dict)
    toggles: list[Toggle] = field(default_factory=list)

    def add(self, kind: str, authorization: str, path: str, *, status: int = 200) -> None:
        """Add one request."""
        self.asks.setdefault(kind, []).append(Ask(kind, path, authorization, status))

    def add_project(self, kind: str, authorization: str, project: str) -> None:
        """Add the requests that a client makes about a project."""
        for name in REPOSITORIES:
            self.add(kind, authorization, SCOPE.format(project, name))

    def add_toggle(self, toggle: Toggle, project: str, authorization: str) -> None:
        """Add a right, and the request of which it decides."""
        self.toggles.append(toggle)
        ask = Ask("toggled", SCOPE.format(project, "app"), authorization, toggle=toggle)
        self.asks.setdefault("toggled", []).append(ask)

    def draw(self, random: Random, rate: float) -> Iterator[Ask]:
        """Return what one client asks, without end, when all clients ask `rate` a second."""
        shares = {kind: min(share, MOST.get(kind, rate) / rate) for kind, share in SHARES.items()}
        shares["robot"] += 1 - sum(shares.values())
        ranks = {
            kind: list(accumulate(1 / n for n in range(1, len(asks) + 1))) for kind, asks in self.asks.items()
        }
        while True:
            (kind,) = random.choices(list(shares), list(shares.values()))
            yield random.choices(self.asks[kind], cum_weights=ranks[kind])[0]
