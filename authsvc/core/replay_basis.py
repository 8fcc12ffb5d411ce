"""What a decision that is made again is about, and all of policy that it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from authsvc.core.canonical import Json
from authsvc.core.principal import Binding, Principal, PrincipalKind, Visibility
from authsvc.core.replay import Policy
from authsvc.core.repository import parse_repository
from authsvc.core.service import Service
from authsvc.core.states import State, object_of, objects_of, text_of, texts_of

_NOTHING: State = {}


@dataclass(frozen=True, slots=True)
class Question:
    """Whom and what an entry is about: the same for all of a shape."""

    principal: Principal
    service: str
    projects: tuple[str, ...]
    credential: str | None
    key: str

    @classmethod
    def of(cls, policy: Policy, entry: Mapping[str, Json]) -> Self:
        """Read an entry; raises what reading it raises, and KeyError for a service that is not there."""
        service = text_of(entry, "service")
        prefix = policy.service(service).name_prefix
        names = [text_of(grant, "name").removeprefix(prefix) for grant in objects_of(entry, "grants")]
        repositories = [parse_repository(name) for name in names]
        id_ = object_of(entry, "credential").get("id") if "credential" in entry else None
        return cls(
            _principal(entry),
            service,
            tuple({r.project: None for r in repositories if r is not None}),
            None if id_ is None else str(id_),
            text_of(entry, "key"),
        )


class Basis(NamedTuple):
    """All of policy that a decision rests on: where it is equal, the same is decided at the same time.

    INVARIANT: decisions see policy through this alone, as they are remembered by it. A tuple, so that what is the same object is
    found equal at once. States are never changed in place.
    """

    service: Service
    enabled: bool
    bindings: tuple[Binding, ...]
    visibilities: tuple[Visibility | None, ...]
    credential: State | None
    credential_version: Json
    key: State

    @classmethod
    def of(cls, policy: Policy, question: Question) -> Self:
        """Return what policy says now; raises KeyError where a service or credential is not there."""
        principal, id_ = question.principal, question.credential
        return cls(
            policy.service(question.service),
            policy.is_enabled(principal),
            policy.bindings_of(principal),
            tuple(map(policy.visibility, question.projects)),
            None if id_ is None else policy.credentials[id_],
            policy.users.get(principal.id, _NOTHING).get("credential_version"),
            policy.keys.get(question.key, _NOTHING),
        )

    @property
    def looks_at_addresses(self) -> bool:
        """Whether something of it holds at some addresses only."""
        credential = self.credential is not None and bool(texts_of(self.credential, "cidrs"))
        return credential or any(binding.cidrs for binding in self.bindings)


def _principal(entry: Mapping[str, Json]) -> Principal:
    actor = object_of(entry, "actor")
    return Principal(PrincipalKind(text_of(actor, "kind")), str(actor.get("id", "")), text_of(actor, "name"))
