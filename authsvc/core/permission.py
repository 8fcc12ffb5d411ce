"""Permissions and the built-in roles."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

PULL, PUSH, DELETE = "pull", "push", "delete"
REPOSITORY_ACTIONS = frozenset({PULL, PUSH, DELETE})

_ACTION = re.compile(r"[a-z][a-z_-]{0,63}|\*")


class ResourceType(StrEnum):
    """What a permission is about."""

    REPOSITORY = "repository"
    REGISTRY = "registry"
    PROJECT = "project"
    USER = "user"
    GROUP = "group"
    ROLE = "role"
    SERVICE = "service"
    KEY = "key"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """`type:action`; either may be `*`, the type only together with the action."""

    type: str
    action: str

    def __str__(self) -> str:
        return f"{self.type}:{self.action}"

    def covers(self, other: "Permission") -> bool:
        """Say whether holding this permission is holding `other`."""
        return self.type in ("*", other.type) and self.action in ("*", other.action)


EVERYTHING = Permission("*", "*")


def parse_permission(text: str) -> Permission | None:
    """Return the permission that `text` writes, or None when it is none."""
    type_, _, action = text.partition(":")
    if text == "*:*":
        return EVERYTHING
    if type_ not in ResourceType._value2member_map_ or _ACTION.fullmatch(action) is None:
        return None
    return Permission(type_, action)


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions."""

    name: str
    permissions: frozenset[Permission]
    description: str = ""

    def covers(self, permission: Permission) -> bool:
        """Say whether the role holds `permission`."""
        held = self.permissions
        return permission in held or Permission(permission.type, "*") in held or EVERYTHING in held


@lru_cache(maxsize=1024)
def read_role(name: str, permissions: tuple[str, ...]) -> Role:
    """Return a stored role: one object for all bindings in memory that are of it, as these are many."""
    parsed = (text.partition(":") for text in permissions)
    return Role(name, frozenset(Permission(type_, action) for type_, _, action in parsed))


def _role(name: str, description: str, *permissions: str) -> Role:
    parsed = frozenset(Permission(*text.split(":")) for text in permissions)
    return Role(name, parsed, description)


_ADMINISTRATIVE = (
    ResourceType.PROJECT, ResourceType.USER, ResourceType.GROUP, ResourceType.ROLE,
    ResourceType.SERVICE, ResourceType.KEY, ResourceType.AUDIT,
)  # fmt: skip

READER = _role("reader", "Pulls.", "repository:pull", "project:read")
DEVELOPER = _role("developer", "Pulls and pushes.", "repository:pull", "repository:push", "project:read")
MAINTAINER = _role(
    "maintainer", "Pulls, pushes and deletes.",
    "repository:pull", "repository:push", "repository:delete", "project:read",
)  # fmt: skip
OWNER = _role("owner", "Everything in the project.", "repository:*", "project:*")
ADMINISTRATOR = _role("administrator", "Everything.", "*:*")
AUDITOR = _role(
    "auditor", "Reads the log and every setting; no repository.",
    *(f"{type_}:read" for type_ in _ADMINISTRATIVE),
)  # fmt: skip
SCANNER = _role("scanner", "Pulls everywhere and lists the catalog.", "repository:pull", "registry:catalog")
REPORTER = _role("reporter", "Reports what happened at a registry.", "registry:report")

BUILT_IN_ROLES = (READER, DEVELOPER, MAINTAINER, OWNER, ADMINISTRATOR, AUDITOR, SCANNER, REPORTER)
