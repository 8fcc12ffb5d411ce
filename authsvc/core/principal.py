"""Who asks, what is bound to them, and what their credential leaves of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from authsvc.core.permission import Permission, Role
from authsvc.core.repository import EVERYTHING, Pattern

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class PrincipalKind(StrEnum):
    """What kind of principal asks; `system` (the service itself) and `unknown` (no such account) occur in the log only."""

    USER = "user"
    ROBOT = "robot"
    ANONYMOUS = "anonymous"
    SYSTEM = "system"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, a robot or anonymous. `name` is the subject (`sub`); `id` is never reused, the name may be."""

    kind: PrincipalKind
    id: str
    name: str


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, "", "")
SYSTEM = Principal(PrincipalKind.SYSTEM, "", "system")


@dataclass(frozen=True, slots=True)
class Binding:
    """A role bound to a principal, directly or through `group`.

    `project` None is the whole system. `repositories` are relative to the project. Empty `services` or `cidrs` hold for all.
    The binding holds from `not_before` on and until just before `expires_at`.
    """

    id: str
    role: Role
    project: str | None
    repositories: tuple[Pattern, ...] = (EVERYTHING,)
    group: str | None = None
    services: frozenset[str] = frozenset()
    cidrs: tuple[Network, ...] = ()
    not_before: datetime | None = None
    expires_at: datetime | None = None

    def covers_path(self, project: str, path: tuple[str, ...]) -> bool:
        """Say whether the binding is about this repository."""
        if self.project is None:
            return True
        return self.project == project and any(pattern.matches(path) for pattern in self.repositories)

    def covers_project(self, project: str | None) -> bool:
        """Say whether the binding is about all of this project (None: of the system), patterns included."""
        if self.project is None:
            return True
        return self.project == project and any(pattern.is_everything for pattern in self.repositories)


class Visibility(StrEnum):
    """Who may pull from a project without any binding."""

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Limit:
    """One permission that a credential keeps, over the full names that match `pattern` (None: everywhere)."""

    permission: Permission
    pattern: Pattern | None = None

    def __str__(self) -> str:
        if self.pattern is None:
            return str(self.permission)
        return f"{self.permission.type}:{self.pattern}:{self.permission.action}"


@dataclass(frozen=True, slots=True)
class Hold:
    """The rule's single deny: these actions (empty: all) are held on a project's repositories that match."""

    project: str
    pattern: Pattern = EVERYTHING
    actions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the rule needs to know about one principal, at one policy revision.

    `projects` maps every project that is asked about to its visibility, or to None when there is none of that name.
    `limits` None means that the credential narrows nothing; an empty tuple leaves nothing.
    """

    principal: Principal
    bindings: tuple[Binding, ...] = ()
    enabled: bool = True
    projects: Mapping[str, Visibility | None] = field(default_factory=dict)
    limits: tuple[Limit, ...] | None = None
    holds: tuple[Hold, ...] = ()
