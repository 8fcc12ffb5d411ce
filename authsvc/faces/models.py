"""The bodies of administrative requests, by API and command line: unknown members are refused, and what is left is typed.

Their examples are a story that can be told from its beginning: alice, her project acme, and its robot ci.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from authsvc.core.principal import Visibility
from authsvc.core.repository import EVERYTHING
from authsvc.core.service import Algorithm, HeaderProfile
from authsvc.faces.fields import (
    Cidrs,
    Email,
    IpAddress,
    Line,
    Name,
    Password,
    PatchedAliases,
    PatchedCidrs,
    PatchedLine,
    PatchedServices,
    PatchedText,
    Patterns,
    Permissions,
    PlainName,
    ProjectName,
    ScopesOfToken,
    ServiceName,
    Services,
    Text,
    Time,
    UserName,
    is_plain,
)


def _example(members: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [members]})


def _of_settings(schema: dict[str, Any]) -> None:
    """Leave out a default that the service's settings give, as this face does not know them."""
    schema.pop("default", None)


class Body(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=False)

    def given(self) -> dict[str, Any]:
        """Return the members that were sent, as a merge patch takes them (RFC 7396); lists as tuples, as records have them."""
        sent = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in sent.items()}


class Patch(Body):
    """A merge patch (RFC 7396): a member that is absent stays as it is; null, where it may be, takes away what was given."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema without defaults, as what is absent does not become one."""
        schema = handler(core_schema)
        for member in handler.resolve_ref_schema(schema).get("properties", {}).values():
            member.pop("default", None)
        return schema


class NewUserBody(Body):
    """A user to create."""

    model_config = _example({"name": "alice", "password": "a long passphrase", "email": "alice@example.com"})

    name: UserName
    password: Password | None = None
    email: Email | None = None
    display_name: Line | None = None
    disabled: StrictBool = False


class UserPatch(Patch):
    """What can change of a user."""

    model_config = _example({"display_name": "Alice Example", "email": None})

    email: Email | None = None
    display_name: Line | None = None
    disabled: StrictBool = False


class PasswordBody(Body):
    """A new password."""

    model_config = _example({"password": "another long passphrase"})

    password: Password


class NewTokenBody(Body):
    """A personal access token to create; without scopes it can do what its owner can. It ends after 366 days at the latest."""

    model_config = _example({"label": "laptop", "scopes": ["repository:acme/**:pull"]})

    label: Line = ""
    expires_at: Time | None = None
    scopes: ScopesOfToken = []
    cidrs: Cidrs = []


class NewProjectBody(Body):
    """A project to create."""

    model_config = _example({"name": "acme", "visibility": "private", "description": "The images of Acme."})

    name: ProjectName
    visibility: Visibility = Visibility.PRIVATE
    description: Text = ""


class ProjectPatch(Patch):
    """What can change of a project."""

    model_config = _example({"visibility": "internal"})

    visibility: Visibility = Visibility.PRIVATE
    description: PatchedText = ""


class NewGroupBody(Body):
    """A group to create."""

    model_config = _example({"name": "release-team"})

    name: PlainName


class RolePatch(Patch):
    """What can change of a role."""

    model_config = _example({"permissions": ["repository:pull", "repository:delete"]})

    permissions: Permissions = []
    description: PatchedText = ""


class NewRoleBody(Body):
    """A role to create."""

    model_config = _example(
        {"name": "cleaner", "permissions": ["repository:delete"], "description": "Deletes, and no more."}
    )

    name: PlainName
    permissions: Permissions
    description: Text = ""


class ExplainBody(Body):
    """A question that explain answers: `account` empty is anonymous, `credential` the id of its token or secret."""

    model_config = _example(
        {
            "account": "alice",
            "service": "registry.example.com",
            "scopes": ["repository:acme/app:pull,push"],
            "address": "10.1.2.3",
        }
    )

    account: Annotated[str, Field(max_length=260), AfterValidator(is_plain)] = ""
    service: Line = ""
    scopes: Annotated[
        list[Annotated[str, Field(max_length=1024), AfterValidator(is_plain)]], Field(max_length=100)
    ]
    address: IpAddress | None = None
    at: Time | None = None
    credential: Annotated[str, Field(max_length=64), AfterValidator(is_plain)] | None = None


class SubjectBody(Body):
    """Whom a binding binds; a robot is named in full, as `acme+ci`."""

    kind: Literal["user", "group", "robot"]
    name: Annotated[str, Field(min_length=1, max_length=260), AfterValidator(is_plain)]


class NewBindingBody(Body):
    """A binding to create."""

    model_config = _example(
        {
            "role": "developer",
            "subject": {"kind": "user", "name": "alice"},
            "cidrs": ["10.0.0.0/8"],
            "expires_at": "2199-01-01T00:00:00Z",
            "comment": "from the office",
        }
    )

    role: Name
    subject: SubjectBody
    repositories: Patterns = [EVERYTHING]
    services: Services = []
    cidrs: Cidrs = []
    not_before: Time | None = None
    expires_at: Time | None = None
    comment: Text = ""


class BindingPatch(Patch):
    """What can change of a binding."""

    model_config = _example({"role": "reader", "expires_at": "2199-01-01T00:00:00Z", "cidrs": ["10.0.0.0/8"]})

    role: Name = ""
    repositories: Patterns = [EVERYTHING]
    services: PatchedServices = []
    cidrs: PatchedCidrs = []
    not_before: Time | None = None
    expires_at: Time | None = None
    comment: PatchedText = ""


class NewRobotBody(Body):
    """A robot to create."""

    model_config = _example({"name": "ci", "description": "The pipeline."})

    name: PlainName
    description: Text = ""
    disabled: StrictBool = False


class RobotPatch(Patch):
    """What can change of a robot."""

    model_config = _example({"description": "The pipeline of Acme."})

    description: PatchedText = ""
    disabled: StrictBool = False


class NewSecretBody(Body):
    """A robot secret to create."""

    model_config = _example({"label": "first", "expires_at": "2199-01-01T00:00:00Z"})

    label: Line = ""
    expires_at: Time | None = None


class ServiceSettings(Body):
    """What a service has but its name."""

    issuer: Annotated[
        str, Field(min_length=1, max_length=255, json_schema_extra=_of_settings), AfterValidator(is_plain)
    ] = ""
    algorithm: Algorithm = Algorithm.ES256
    header: HeaderProfile = HeaderProfile.X5C
    token_ttl_seconds: Annotated[StrictInt, Field(ge=60, le=86_400, json_schema_extra=_of_settings)] = 300
    backdate_seconds: Annotated[StrictInt, Field(ge=0, le=300)] = 10
    refresh_tokens: StrictBool = True
    anonymous: StrictBool = True
    own_key: StrictBool = False
    isolated: StrictBool = False
    aliases: PatchedAliases = []
    name_prefix: PatchedLine = ""


class ServicePatch(ServiceSettings, Patch):
    """What can change of a service."""

    model_config = _example({"token_ttl_seconds": 600})


class NewServiceBody(ServiceSettings):
    """A service to register; its issuer and the life of its tokens default to the settings'."""

    model_config = _example({"name": "registry.example.com", "aliases": ["registry.example.com:443"]})

    name: ServiceName


class RotateBody(Body):
    """Which key to make anew; `service` empty is the shared one, `algorithm` by default the service's, or ES256."""

    model_config = _example({"algorithm": "ES256"})

    algorithm: Algorithm | None = None
    service: Annotated[str, Field(max_length=255)] = ""
