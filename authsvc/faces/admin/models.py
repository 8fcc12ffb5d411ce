"""The admin API's request bodies: unknown members are refused, and what is left is typed."""

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from authsvc.core.limits import parse_limits
from authsvc.core.permission import Permission, parse_permission
from authsvc.core.principal import Address, Limit, Network, Visibility
from authsvc.core.repository import Pattern, parse_pattern
from authsvc.core.service import Algorithm, HeaderProfile
from authsvc.faces.http import parse_address

MAX_ITEMS = 64
MIN_YEAR, MAX_YEAR = 1971, 2199


def _plain(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must hold no control characters")
    return value


def _network(value: object) -> Network:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - pydantic reports ValueError only
    try:
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


Name = Annotated[str, Field(min_length=1, max_length=128)]
Line = Annotated[str, Field(max_length=255), AfterValidator(_plain)]
Text = Annotated[str, Field(max_length=2000)]
Cidr = Annotated[Any, BeforeValidator(_network)]
RepositoryPattern = Annotated[Any, BeforeValidator(_pattern)]
PermissionText = Annotated[Any, BeforeValidator(_permission)]
ScopeLimits = Annotated[Any, BeforeValidator(_limits)]
Time = Annotated[AwareDatetime, AfterValidator(_utc)]
Password = Annotated[str, Field(max_length=4096)]
Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
ServiceName = Annotated[str, Field(min_length=1, max_length=255)]


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
    disabled: bool = False


class UserPatch(Body):
    """What can change of a user."""

    email: Email | None = None
    display_name: Line | None = None
    disabled: bool = False


class PasswordBody(Body):
    """A new password."""

    password: Password


class NewTokenBody(Body):
    """A personal access token to create."""

    label: Line = ""
    expires_at: Time | None = None
    scopes: Annotated[list[ScopeLimits], Field(max_length=MAX_ITEMS)] = []
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
    """A question that explain answers; `account` empty is anonymous."""

    account: Annotated[str, Field(max_length=260)] = ""
    service: Annotated[str, Field(max_length=255)] = ""
    scopes: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(max_length=100)]
    address: Annotated[Any, BeforeValidator(_address)] = None
    at: Time | None = None


class SubjectBody(Body):
    """Whom a binding binds."""

    kind: Literal["user", "group", "robot"]
    name: Annotated[str, Field(min_length=1, max_length=260)]


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
    disabled: bool = False


class RobotPatch(Body):
    """What can change of a robot."""

    description: Text = ""
    disabled: bool = False


class NewSecretBody(Body):
    """A robot secret to create."""

    label: Line = ""
    expires_at: Time | None = None


class ServicePatch(Body):
    """What can change of a service."""

    issuer: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_plain)] = ""
    algorithm: Algorithm = Algorithm.ES256
    header: HeaderProfile = HeaderProfile.X5C
    token_ttl_seconds: Annotated[int, Field(ge=60, le=86_400)] = 300
    backdate_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    refresh_tokens: bool = True
    anonymous: bool = True
    own_key: bool = False
    isolated: bool = False
    aliases: Annotated[list[ServiceName], Field(max_length=MAX_ITEMS)] = []
    name_prefix: Line = ""


class NewServiceBody(ServicePatch):
    """A service to register; its issuer and the life of its tokens default to the settings'."""

    name: ServiceName
