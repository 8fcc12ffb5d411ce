"""The queries of lists: which page, and the fields that each list can be narrowed by. A parameter that is not here is refused."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt

from authsvc.core.principal import Visibility
from authsvc.core.records import KeyState
from authsvc.core.service import Algorithm, HeaderProfile

_FLAGS = {"true": True, "false": False}


def _flag(value: Any) -> Any:
    return _FLAGS.get(value, value)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


Flag = Annotated[StrictBool, BeforeValidator(_flag)]
FROM_TEXT = BeforeValidator(_whole)
"""Reads a whole number of a query, in digits and nothing else; it stands behind the bounds of its field."""

Limit = Annotated[StrictInt, Field(ge=1, le=1000, description="How many things at most."), FROM_TEXT]
Text = Annotated[str, Field(min_length=1, max_length=260)]
Prefix = Annotated[Text, Field(description="What the name begins with.")]


class PageQuery(BaseModel):
    """Which page."""

    limit: Limit = 50
    cursor: Annotated[
        str | None,
        Field(
            max_length=2048, description="The `next_cursor` of the page before, of the same list and filters."
        ),
    ] = None


class NamedQuery(PageQuery):
    """Things with names."""

    name: Text | None = None
    q: Prefix | None = None


class UserQuery(NamedQuery):
    """Users."""

    email: Text | None = None
    disabled: Flag | None = None


class TokenQuery(PageQuery):
    """Personal access tokens, and robots' secrets."""

    label: Text | None = None


class SessionQuery(PageQuery):
    """Refresh tokens."""

    service: Text | None = None
    client: Text | None = None


class ProjectQuery(NamedQuery):
    """Projects."""

    visibility: Visibility | None = None


class BindingQuery(PageQuery):
    """Bindings; a robot's `subject` is its full name, as `acme+ci`."""

    role: Text | None = None
    subject: Text | None = None
    subject_kind: Literal["user", "group", "robot"] | None = None


class RobotQuery(NamedQuery):
    """Robots."""

    disabled: Flag | None = None


class RoleQuery(NamedQuery):
    """Roles."""

    built_in: Flag | None = None


class ServiceQuery(NamedQuery):
    """Services."""

    algorithm: Algorithm | None = None
    header: HeaderProfile | None = None


class KeyQuery(PageQuery):
    """Signing keys; `service` names the service whose own they are."""

    algorithm: Algorithm | None = None
    service: Text | None = None
    state: KeyState | None = None


Named = Annotated[NamedQuery, Query()]
Users = Annotated[UserQuery, Query()]
Tokens = Annotated[TokenQuery, Query()]
Sessions = Annotated[SessionQuery, Query()]
Projects = Annotated[ProjectQuery, Query()]
Bindings = Annotated[BindingQuery, Query()]
Robots = Annotated[RobotQuery, Query()]
Roles = Annotated[RoleQuery, Query()]
Services = Annotated[ServiceQuery, Query()]
Keys = Annotated[KeyQuery, Query()]
