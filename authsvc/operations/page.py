"""Pages of lists: keyset, so that writers never make a reader skip or repeat."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from authsvc.core.errors import Fault, InvalidInputError, NotFoundError, StaleVersionError

_T = TypeVar("_T")

MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page: what comes after the key `after`, `limit` things at most, of those whose fields are as `where` says."""

    after: str = ""
    limit: int = 50
    where: Mapping[str, str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidInputError(Fault("limit", f"must be 1 to {MAX_LIMIT}"))


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """Things in order, and the key that the next page comes after, None on the last."""

    items: Sequence[_T]
    next_after: str | None


async def page_of(
    asked: Asked, list_after: Callable[[str, int], Awaitable[Sequence[_T]]], key: Callable[[_T], str]
) -> Page[_T]:
    """Return one page; `list_after` gives up to so many things after a key."""
    items = await list_after(asked.after, asked.limit + 1)
    if len(items) <= asked.limit:
        return Page(items, None)
    shown = items[: asked.limit]
    return Page(shown, key(shown[-1]))


Versions = frozenset[int] | None
"""What `If-Match` names; None when it names nothing, or `*`."""


def check_version(version: int, expected: Versions) -> None:
    """Raise StaleVersionError unless the stored version is one that the caller has seen."""
    if expected is not None and version not in expected:
        raise StaleVersionError("it has changed since you read it: read it again, then repeat the change")


def found(record: _T | None, what: str) -> _T:
    """Return a record that must exist; raises NotFoundError otherwise."""
    if record is None:
        raise NotFoundError(f"there is no such {what}")
    return record
