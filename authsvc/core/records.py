"""What administration stores, one record a noun; `state` is what a policy event keeps of it: all that the rule can depend on.

Names and ids are in the log, as decisions name them; e-mail addresses, display names, descriptions and comments are not:
nothing is decided by them, and what is in the log cannot be erased.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from authsvc.core.canonical import Json
from authsvc.core.credential import CredentialKind
from authsvc.core.event import Thing, microseconds
from authsvc.core.last_use import LastUse
from authsvc.core.names import user_key
from authsvc.core.permission import Permission
from authsvc.core.principal import Limit, Network, Principal, Visibility
from authsvc.core.repository import Pattern
from authsvc.core.service import Algorithm, Service


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user; `credential_version` is raised by a change of password."""

    id: str
    name: str
    created_at: datetime
    email: str | None = None
    display_name: str | None = None
    disabled: bool = False
    credential_version: int = 1
    version: int = 1
    password_hash: str | None = field(default=None, repr=False)
    last_use: LastUse | None = None

    def state(self) -> dict[str, Json]:
        """See the module."""
        return {
            "id": self.id,
            "name": self.name,
            "disabled": self.disabled,
            "credential_version": self.credential_version,
        }

    def things(self) -> tuple[Thing, ...]:
        """Return what caches know a change of it by."""
        return (Thing("user", self.id), Thing("name", user_key(self.name)))


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A set of users."""

    id: str
    name: str
    created_at: datetime
    version: int = 1

    def state(self) -> dict[str, Json]:
        """See the module."""
        return {"id": self.id, "name": self.name}

    def things(self) -> tuple[Thing, ...]:
        """Return what caches know a change of it by."""
        return (Thing("group", self.id),)


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project, the unit of tenancy."""

    id: str
    name: str
    created_at: datetime
    visibility: Visibility = Visibility.PRIVATE
    description: str = ""
    version: int = 1

    def state(self) -> dict[str, Json]:
        """See the module."""
        return {"id": self.id, "project": self.name, "visibility": self.visibility}

    def things(self) -> tuple[Thing, ...]:
        """Return what caches know a change of it by."""
        return (Thing("project", self.name),)


@dataclass(frozen=True, slots=True)
class RobotRecord:
    """A machine account; `project` None is a robot of the system. It is addressed by `name` and signs in as `subject`."""

    id: str
    project: str | None
    name: str
    created_at: datetime
    description: str = ""
    disabled: bool = False
    version: int = 1
    last_use: LastUse | None = None

    @property
    def subject(self) -> str:
        """Return the name it has everywhere but in its own address: `acme+ci`."""
        return f"{self.project or 'system'}+{self.name}"

    def state(self) -> dict[str, Json]:
        """See the module."""
        return {"id": self.id, "project": self.project, "name": self.subject, "disabled": self.disabled}

    def things(self) -> tuple[Thing, ...]:
        """Return what caches know a change of it by."""
        return (Thing("robot", self.id),)


@dataclass(frozen=True, slots=True)
class RoleRecord:
    """A named set of permissions."""

    name: str
    permissions: tuple[Permission, ...]
    created_at: datetime
    description: str = ""
    built_in: bool = False
    version: int = 1

    def state(self) -> dict[str, Json]:
        """See the module."""
        return {"name": self.name, "permissions": sorted(str(p) for p in self.permissions)}

    def things(self) -> tuple[Thing, ...]:
        """Return what caches know a change of it by."""
        return (Thing("role", self.name),)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a binding binds: a `user`, `group` or `robot`."""

    kind: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class BindingRecord:
    """A role bound to a subject, on one project or (None) on the whole system, under conditions."""

    id: str
    role: str
    subject: Subject
    project: str | None
    created_at: datetime
    repositories: tuple[Pattern, ...]
    services: tuple[str, ...] = ()
    cidrs: tuple[Network, ...] = ()
    not_before: datetime | None = None
    expires_at: datetime | None = None
    comment: str = ""
    version: int = 1

    def state(self) -> dict[str, Json]:
        """See the module."""
        return {
            "id": self.id,
            "role": self.role,
            "subject": {"kind": self.subject.kind, "id": self.subject.id, "name": self.subject.name},
            "project": self.project,
            "repositories": [str(pattern) for pattern in self.repositories],
            "services": list(self.services),
            "cidrs": [str(network) for network in self.cidrs],
            "not_before": _time(self.not_before),
            "expires_at": _time(self.expires_at),
        }

    def things(self) -> tuple[Thing, ...]:
        """Return what caches know a change of it by."""
        return (Thing(self.subject.kind, self.subject.id),)


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """A machine credential without its secret; `slot` is a robot secret's place among the two that may live."""

    id: str
    kind: CredentialKind
    owner: Principal
    created_at: datetime
    digest: bytes = field(repr=False)
    label: str = ""
    slot: int | None = None
    limits: tuple[Limit, ...] | None = None
    cidrs: tuple[Network, ...] = ()
    parent: str | None = None
    owner_version: int | None = None
    service: str | None = None
    client: str | None = None
    expires_at: datetime | None = None
    last_use: LastUse | None = None

    @property
    def version(self) -> int:
        """Return the first: a credential is never changed, only made and revoked."""
        return 1

    def state(self) -> dict[str, Json]:
        """See the module."""
        return {
            "id": self.id,
            "kind": self.kind,
            "owner": {"kind": self.owner.kind, "id": self.owner.id, "name": self.owner.name},
            "limits": None if self.limits is None else [str(limit) for limit in self.limits],
            "cidrs": [str(network) for network in self.cidrs],
            "parent": self.parent,
            "owner_version": self.owner_version,
            "service": self.service,
            "expires_at": _time(self.expires_at),
        }

    def things(self) -> tuple[Thing, ...]:
        """Return what caches know a change of it by."""
        return (Thing("credential", self.id),)


@dataclass(frozen=True, slots=True)
class ExpiringRecord:
    """A `binding`, `robot_secret` or `personal_access_token` (its `kind`) that ends; `subject` is who loses by it."""

    kind: str
    id: str
    subject: Subject
    project: str | None
    expires_at: datetime
    role: str | None = None
    label: str | None = None
    last_use: LastUse | None = None


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A registered registry."""

    service: Service
    created_at: datetime
    version: int = 1

    def state(self) -> dict[str, Json]:
        """See the module."""
        service = self.service
        return {
            "name": service.name,
            "issuer": service.issuer,
            "algorithm": service.algorithm,
            "header": service.header,
            "token_ttl_seconds": service.token_ttl_seconds,
            "backdate_seconds": service.backdate_seconds,
            "refresh_tokens": service.refresh_tokens,
            "anonymous": service.anonymous,
            "own_key": service.own_key,
            "isolated": service.isolated,
            "aliases": sorted(service.aliases),
            "name_prefix": service.name_prefix,
        }

    def things(self) -> tuple[Thing, ...]:
        """Return what caches know a change of it by; `*` is the question for the only service."""
        return tuple(Thing("service", name) for name in (self.service.name, *self.service.aliases, "*"))


class KeyState(StrEnum):
    """One key of an algorithm and label is active; published ones are known to registries and sign later."""

    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The public half of a signing key; `label` empty is shared by services, else the service's whose own it is.

    `activated_at` is when it last began to sign. None is a new key: it waits for the nodes to hold it, or for the operator.
    """

    id: str
    algorithm: Algorithm
    label: str
    certificate: str
    stage: KeyState
    created_at: datetime
    not_after: datetime
    activated_at: datetime | None = None

    @property
    def is_new(self) -> bool:
        """Say whether it is published and has never signed."""
        return self.stage is KeyState.PUBLISHED and self.activated_at is None

    def state(self) -> dict[str, Json]:
        """See the module."""
        return {
            "id": self.id,
            "algorithm": self.algorithm,
            "label": self.label,
            "certificate": self.certificate,
            "state": self.stage,
        }

    def things(self) -> tuple[Thing, ...]:
        """Return what caches know a change of it by."""
        return (Thing("key", f"{self.algorithm}/{self.label}"),)


def _time(value: datetime | None) -> int | None:
    return None if value is None else microseconds(value)
