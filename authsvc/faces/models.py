"""The bodies of administrative requests, by API and command line: unknown members are refused, and what is left is typed."""

import re
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
)

from authsvc.core.limits import parse_limits
from authsvc.core.names import describe_bad_service_name
from authsvc.core.permission import Permission, parse_permission
from authsvc.core.principal import Address, Limit, Network, Visibility
from authsvc.core.repository import Pattern, parse_pattern
from authsvc.core.service import Algorithm, HeaderProfile
from authsvc.faces.http import parse_address

MAX_ITEMS = 64
"""Things in a list; with this, what an event keeps of a change fits an entry of the log."""
MAX_ALIASES = 16
MIN_YEAR, MAX_YEAR = 1971, 2199

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _plain(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must hold no control characters")
    return value


def _network(value: object) -> Network:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - pydantic reports ValueError only
    try:
        if "%" in value:  # the scope of an IPv6 address means something on one host only
            raise ValueError  # noqa: TRY301 - told as all others below
        return ip_network(value)
    except ValueError:
        raise ValueError(
            "must be an address range, as 10.0.0.0/8, with no bits set behind its length"
        ) from None


def _address(value: object) -> Address | None:
    address = parse_address(value) if isinstance(value, str) else None
    if value is not None and address is None:
        raise ValueError("must be an IP address")
    return address


def _permission(value: object) -> Permission:
    permission = parse_permission(value) if isinstance(value, str) else None
    if permission is None:
        raise ValueError("must be a permission, as repository:pull, project:* or *:*")
    return permission


def _pattern(value: object) -> Pattern:
    pattern = parse_pattern(value) if isinstance(value, str) else None
    if pattern is None:
        raise ValueError("must be a pattern of whole components, as app, team/* or **")
    return pattern


def _limits(value: object) -> tuple[Limit, ...]:
    limits = parse_limits(value) if isinstance(value, str) else None
    if limits is None:
        raise ValueError(
            "must be a scope with a pattern, as repository:acme/**:pull, or a permission, as project:write"
        )
    return limits


def _utc(value: datetime) -> datetime:
    if not MIN_YEAR <= value.year <= MAX_YEAR:
        raise ValueError(f"must lie in the years {MIN_YEAR} to {MAX_YEAR}")
    return value.astimezone(UTC)


def _timestamp(value: object) -> object:
    if not (value is None or (isinstance(value, str) and _RFC_3339.fullmatch(value))):
        raise ValueError("must be a time as RFC 3339 writes it, as 2030-01-31T12:00:00Z")
    return value


def _no_controls(value: str) -> str:
    if any(character < " " and character not in "\t\r\n" for character in value):
        raise ValueError("must hold no control characters but tabs and line ends")
    return value


def _service_name(value: str) -> str:
    if fault := describe_bad_service_name(value):
        raise ValueError(fault)
    return value


def _few(limits: list[tuple[Limit, ...]]) -> list[tuple[Limit, ...]]:
    if sum(map(len, limits)) > MAX_ITEMS:
        raise ValueError(f"must name {MAX_ITEMS} actions at most, counted over all scopes")
    return limits


Name = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_plain)]
Line = Annotated[str, Field(max_length=255), AfterValidator(_plain)]
Text = Annotated[str, Field(max_length=2000), AfterValidator(_no_controls)]
Cidr = Annotated[Any, BeforeValidator(_network)]
RepositoryPattern = Annotated[Any, BeforeValidator(_pattern)]
PermissionText = Annotated[Any, BeforeValidator(_permission)]
ScopeLimits = Annotated[Any, BeforeValidator(_limits)]
ScopesOfToken = Annotated[list[ScopeLimits], Field(max_length=MAX_ITEMS), AfterValidator(_few)]
IpAddress = Annotated[Any, BeforeValidator(_address)]
Time = Annotated[AwareDatetime, BeforeValidator(_timestamp), AfterValidator(_utc)]
Password = Annotated[str, Field(max_length=4096)]
Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$"), AfterValidator(_plain)]
ServiceName = Annotated[str, AfterValidator(_service_name)]


class Body(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=False)

    def given(self) -> dict[str, Any]:
        """Return the members that were sent, as a merge patch takes them (RFC 7396); lists as tuples, as records have them."""
        sent = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in sent.items()}


class NewUserBody(Body):
    """A user to create."""

    name: Name
    password: Password | None = None
    email: Email | None = None
    display_name: Line | None = None
    disabled: StrictBool = False


class UserPatch(Body):
    """What can change of a user."""

    email: Email | None = None
    display_name: Line | None = None
    disabled: StrictBool = False


class PasswordBody(Body):
    """A new password."""

    password: Password


class NewTokenBody(Body):
    """A personal access token to create."""

    label: Line = ""
    expires_at: Time | None = None
    scopes: ScopesOfToken = []
    cidrs: Annotated[list[Cidr], Field(max_length=MAX_ITEMS)] = []


class NewProjectBody(Body):
    """A project to create."""

    name: Name
    visibility: Visibility = Visibility.PRIVATE
    description: Text = ""


class ProjectPatch(Body):
    """What can change of a project."""

    visibility: Visibility = Visibility.PRIVATE
    description: Text = ""


class NewGroupBody(Body):
    """A group to create."""

    name: Name


class RolePatch(Body):
    """What can change of a role."""

    permissions: Annotated[list[PermissionText], Field(min_length=1, max_length=MAX_ITEMS)] = []
    description: Text = ""


class NewRoleBody(RolePatch):
    """A role to create."""

    name: Name
    permissions: Annotated[list[PermissionText], Field(min_length=1, max_length=MAX_ITEMS)]


class ExplainBody(Body):
    """A question that explain answers: `account` empty is anonymous, `credential` the id of its token or secret."""

    account: Annotated[str, Field(max_length=260), AfterValidator(_plain)] = ""
    service: Line = ""
    scopes: Annotated[
        list[Annotated[str, Field(max_length=1024), AfterValidator(_plain)]], Field(max_length=100)
    ]
    address: IpAddress = None
    at: Time | None = None
    credential: Annotated[str, Field(max_length=64), AfterValidator(_plain)] | None = None


class SubjectBody(Body):
    """Whom a binding binds."""

    kind: Literal["user", "group", "robot"]
    name: Annotated[str, Field(min_length=1, max_length=260), AfterValidator(_plain)]


class BindingPatch(Body):
    """What can change of a binding."""

    role: Name = ""
    repositories: Annotated[list[RepositoryPattern], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        default_factory=lambda: [Pattern(("**",))]
    )
    services: Annotated[list[ServiceName], Field(max_length=MAX_ITEMS)] = []
    cidrs: Annotated[list[Cidr], Field(max_length=MAX_ITEMS)] = []
    not_before: Time | None = None
    expires_at: Time | None = None
    comment: Text = ""


class NewBindingBody(BindingPatch):
    """A binding to create."""

    role: Name
    subject: SubjectBody


class NewRobotBody(Body):
    """A robot to create."""

    name: Name
    description: Text = ""
    disabled: StrictBool = False


class RobotPatch(Body):
    """What can change of a robot."""

    description: Text = ""
    disabled: StrictBool = False


class NewSecretBody(Body):
    """A robot secret to create."""

    label: Line = ""
    expires_at: Time | None = None


class ServicePatch(Body):
    """What can change of a service."""

    issuer: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_plain)] = ""
    algorithm: Algorithm = Algorithm.ES256
    header: HeaderProfile = HeaderProfile.X5C
    token_ttl_seconds: Annotated[StrictInt, Field(ge=60, le=86_400)] = 300
    backdate_seconds: Annotated[StrictInt, Field(ge=0, le=300)] = 10
    refresh_tokens: StrictBool = True
    anonymous: StrictBool = True
    own_key: StrictBool = False
    isolated: StrictBool = False
    aliases: Annotated[list[ServiceName], Field(max_length=MAX_ALIASES)] = []
    name_prefix: Line = ""


class NewServiceBody(ServicePatch):
    """A service to register; its issuer and the life of its tokens default to the settings'."""

    name: ServiceName


class RotateBody(Body):
    """Which key to make anew; `service` empty is the shared one."""

    algorithm: Algorithm = Algorithm.ES256
    service: Annotated[str, Field(max_length=255)] = ""
