"""What administrative answers hold: the OpenAPI document tells it, and the type checker holds `views` to it."""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field
from typing_extensions import TypedDict

from authsvc.core.finding import FindingKind
from authsvc.core.principal import PrincipalKind, Visibility
from authsvc.core.reason import Reason
from authsvc.core.records import KeyState
from authsvc.core.service import Algorithm, HeaderProfile

_T = TypeVar("_T")

TimeText = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class PageView(TypedDict, Generic[_T]):
    """A page of a list; `next_cursor` leads to the next, null on the last."""

    items: Sequence[_T]
    next_cursor: str | None


class LastUseView(TypedDict):
    """When and from where something was last used; both null when it never was."""

    last_used_at: TimeText | None
    last_used_address: str | None


class UserView(LastUseView):
    """A user."""

    id: str
    name: str
    email: str | None
    display_name: str | None
    disabled: bool
    created_at: TimeText


class GroupView(TypedDict):
    """A group."""

    id: str
    name: str
    created_at: TimeText


class MemberView(TypedDict):
    """A user in a group."""

    name: str


class RoleView(TypedDict):
    """A role; a built-in one cannot change."""

    name: str
    permissions: list[str]
    description: str
    built_in: bool
    created_at: TimeText


class ReasonView(TypedDict):
    """Why one action is granted or refused, and by which binding, role and group."""

    action: str
    allowed: bool
    reason: Reason
    binding: str | None
    role: str | None
    group: str | None


class ExplainedView(TypedDict):
    """The answer to one scope."""

    scope: str
    granted: list[str]
    refused: list[str]
    reasons: list[ReasonView]


class GrantsView(TypedDict):
    """The answers to all scopes, in the order they were asked in."""

    grants: list[ExplainedView]


class ReachView(TypedDict):
    """One way in which somebody may do something; visibility has no binding and no conditions."""

    kind: str
    name: str
    reason: Reason
    binding: str | None
    role: str | None
    group: str | None
    project: str | None
    repositories: list[str]
    services: list[str]
    cidrs: list[str]
    not_before: TimeText | None
    expires_at: TimeText | None


class ReviewRowView(ReachView):
    """A row of an access review; `searched_since` is how far back no use was found (null: to the log's beginning)."""

    permissions: list[str]
    state: str
    last_used: TimeText | None
    searched_since: TimeText | None


class ProjectView(TypedDict):
    """A project."""

    id: str
    name: str
    visibility: Visibility
    description: str
    created_at: TimeText


class SubjectView(TypedDict):
    """Whom a binding binds."""

    kind: str
    name: str


class BindingView(TypedDict):
    """A binding; `project` is null on the whole system."""

    id: str
    role: str
    subject: SubjectView
    project: str | None
    repositories: list[str]
    services: list[str]
    cidrs: list[str]
    not_before: TimeText | None
    expires_at: TimeText | None
    comment: str
    created_at: TimeText


class RobotView(LastUseView):
    """A robot; `subject` is the name it signs in with, `project` is null for one of the system."""

    id: str
    name: str
    subject: str
    project: str | None
    description: str
    disabled: bool
    created_at: TimeText


class SecretView(LastUseView):
    """The public parts of a robot's secret."""

    id: str
    label: str
    expires_at: TimeText | None
    created_at: TimeText


class NewSecretView(SecretView):
    """A robot's secret with its text, which is shown this once."""

    secret: str


class TokenView(SecretView):
    """The public parts of a personal access token; without scopes it can do what its owner can."""

    scopes: list[str]
    cidrs: list[str]


class NewTokenView(TokenView):
    """A personal access token with its text, which is shown this once."""

    token: str


class SessionView(LastUseView):
    """The public parts of a refresh token."""

    id: str
    service: str | None
    client: str | None
    created_at: TimeText
    expires_at: TimeText | None


class ExpiringView(LastUseView):
    """Something that ends soon; a binding has a role and was never used itself, a credential has a label."""

    kind: str
    id: str
    subject: SubjectView
    project: str | None
    role: str | None
    label: str | None
    expires_at: TimeText


class ServiceView(TypedDict):
    """A service."""

    name: str
    issuer: str
    algorithm: Algorithm
    header: HeaderProfile
    token_ttl_seconds: int
    backdate_seconds: int
    refresh_tokens: bool
    anonymous: bool
    own_key: bool
    isolated: bool
    aliases: list[str]
    name_prefix: str
    created_at: TimeText


class KeyView(TypedDict):
    """The public facts of a signing key; `service` is null for one that services share."""

    id: str
    algorithm: Algorithm
    service: str | None
    state: KeyState
    created_at: TimeText
    not_after: TimeText
    activated_at: TimeText | None


class ListedKeyView(KeyView):
    """A key of the list, and the nodes that do not hold it: a new key signs once there is none."""

    missing_on: list[str]


class RotatedView(KeyView):
    """A new key, and the services whose registries must be given it before it is activated."""

    waiting: list[str]


class PrincipalView(TypedDict):
    """Who somebody is."""

    kind: PrincipalKind
    name: str


class HeldView(TypedDict):
    """What somebody holds by one binding; `project` is null for the whole system."""

    project: str | None
    repositories: list[str]
    role: str
    permissions: list[str]


class EventView(TypedDict):
    """An event, with further members that depend on its `kind`; `seq` is its place in the log."""

    seq: int
    time: TimeText
    kind: str


class EntryView(EventView):
    """An event with the text whose bytes were hashed."""

    entry: str


class ConsistencyView(TypedDict):
    """A proof that the log only grew (RFC 6962, 2.1.2), and the checkpoint it leads to."""

    old: int
    new: int
    hashes: list[str]
    checkpoint: str | None


class MeView(TypedDict):
    """Who the caller is, and what it holds; `limits` are what its credential leaves of that, null for all."""

    principal: PrincipalView
    permissions: list[HeldView]
    limits: list[str] | None


class ReceiptView(TypedDict):
    """What became of the events of an envelope: new in the log, known already, or of nothing that is logged."""

    recorded: int
    repeated: int
    ignored: int


class FindingView(TypedDict):
    """Something that reconciliation found; `event` is the operation, or a token whose use a silent registry did not report."""

    id: int
    kind: FindingKind
    service: str
    since: TimeText
    found_at: TimeText
    seq: int
    event: dict[str, Any] | None
