"""What was read of policy, and what it stands and falls with."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from authsvc.core.event import Thing

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Basis:
    """What something was found out from: a policy revision, and the things whose change makes it unknown again."""

    revision: int
    depends: frozenset[Thing] = frozenset()

    def __and__(self, other: "Basis") -> "Basis":
        """Return what rests on both: valid at the older of the revisions, until a thing of either changes."""
        return Basis(min(self.revision, other.revision), self.depends | other.depends)


@dataclass(frozen=True, slots=True)
class Known(Generic[_T]):
    """A value with the policy revision it was read at, and the things whose change makes it unknown again."""

    value: _T
    revision: int
    depends: frozenset[Thing] = frozenset()

    @property
    def basis(self) -> Basis:
        """Return what the value rests on."""
        return Basis(self.revision, self.depends)
