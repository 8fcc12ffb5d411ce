"""The kinds of members that requests have: how each is read, and how the OpenAPI document tells it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema

from authsvc.core.limits import parse_limits
from authsvc.core.names import MAX_NAME, PLAIN_NAME, describe_bad_service_name
from authsvc.core.password import MAX_PASSWORD, MIN_PASSWORD
from authsvc.core.permission import Permission, ResourceType, parse_permission
from authsvc.core.principal import Address, Limit, Network
from authsvc.core.repository import COMPONENT, Pattern, parse_pattern
from authsvc.faces.http import parse_address

_T = TypeVar("_T")

MAX_ITEMS = 64
"""Things in a list; with this, what an event keeps of a change fits an entry of the log."""
MAX_ALIASES = 16
MIN_YEAR, MAX_YEAR = 1971, 2199

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def is_plain(value: str) -> str:
    """Return a text that holds no control characters; raises ValueError for another."""
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


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("must differ from one another")
    return names


def _or(default: _T) -> Callable[[_T | None], _T]:
    """Return the reading of null in a merge patch (RFC 7396): what is removed is as if it had never been given."""
    return lambda value: default if value is None else value


def _text(description: str, **schema: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "description": description, **schema})


_PRINTABLE = r"^[^\u0000-\u001f\u007f]*$"
_PATTERN_COMPONENT = rf"(?:{COMPONENT}|\*\*?)"
_TYPES = "|".join(ResourceType)

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(is_plain)]
UserName = Annotated[
    Name,
    Field(
        json_schema_extra={"pattern": "^[^:+/\\s]+$"},
        description="Letters of one script, digits and `._-@` inside, in Unicode's form NFKC; whatever the case.",
    ),
]
ProjectName = Annotated[Name, Field(json_schema_extra={"pattern": f"^(?!system$){COMPONENT}$"})]
PlainName = Annotated[Name, Field(json_schema_extra={"pattern": f"^{PLAIN_NAME}$"})]
Line = Annotated[
    str, Field(max_length=255, json_schema_extra={"pattern": _PRINTABLE}), AfterValidator(is_plain)
]
Text = Annotated[str, Field(max_length=2000), AfterValidator(_no_controls)]
Password = Annotated[
    str, Field(max_length=4096, json_schema_extra={"minLength": MIN_PASSWORD, "maxLength": MAX_PASSWORD})
]
Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$"), AfterValidator(is_plain)]
ServiceName = Annotated[
    str,
    AfterValidator(_service_name),
    Field(json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}),
]
Cidr = Annotated[
    Any,
    BeforeValidator(_network),
    _text("An address range, no bits set behind its length.", examples=["10.0.0.0/8"]),
]
IpAddress = Annotated[
    Any,
    BeforeValidator(_address),
    _text("An IP address.", examples=["10.1.2.3"]),
]
RepositoryPattern = Annotated[
    Any,
    BeforeValidator(_pattern),
    _text(
        "Relative to the project: whole components, `*` for any one, `**` for one or more.",
        pattern=f"^{_PATTERN_COMPONENT}(?:/{_PATTERN_COMPONENT})*$",
        maxLength=255,
        examples=["**", "app", "team/*"],
    ),
]
PermissionText = Annotated[
    Any,
    BeforeValidator(_permission),
    _text(
        "`type:action`; either may be `*`, the type only with the action.",
        pattern=rf"^(({_TYPES}):([a-z][a-z_-]{{0,63}}|\*)|\*:\*)$",
        examples=["repository:pull", "project:*"],
    ),
]
ScopeLimits = Annotated[
    Any,
    BeforeValidator(_limits),
    _text(
        "A scope whose name is a pattern of whole repository names, or a permission.",
        examples=["repository:acme/**:pull", "project:write"],
    ),
]
ScopesOfToken = Annotated[list[ScopeLimits], Field(max_length=MAX_ITEMS), AfterValidator(_few)]
Time = Annotated[
    AwareDatetime,
    BeforeValidator(_timestamp),
    AfterValidator(_utc),
    _text(
        f"RFC 3339, in the years {MIN_YEAR} to {MAX_YEAR}.",
        format="date-time",
        examples=["2030-01-31T12:00:00Z"],
    ),
]
Cidrs = Annotated[list[Cidr], Field(max_length=MAX_ITEMS)]
Patterns = Annotated[list[RepositoryPattern], Field(min_length=1, max_length=MAX_ITEMS)]
Permissions = Annotated[list[PermissionText], Field(min_length=1, max_length=MAX_ITEMS)]
Services = Annotated[list[ServiceName], Field(max_length=MAX_ITEMS)]
Aliases = Annotated[
    list[ServiceName],
    Field(max_length=MAX_ALIASES, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_different),
]

PatchedText = Annotated[Text | None, AfterValidator(_or(""))]
PatchedLine = Annotated[Line | None, AfterValidator(_or(""))]
PatchedServices = Annotated[Services | None, AfterValidator(_or([]))]
PatchedAliases = Annotated[Aliases | None, AfterValidator(_or([]))]
PatchedCidrs = Annotated[Cidrs | None, AfterValidator(_or([]))]
