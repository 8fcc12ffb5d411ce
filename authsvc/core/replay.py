"""Replay: the policy at any place of the log, from its entries alone, and every decision made again from that.

Entries are folded in order. A deletion takes with it what the database's own deletion takes (`ON DELETE CASCADE` in migration
0001, and a service's refresh tokens), so that an entry names one thing only, however much hangs on it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import TypeVar

from authsvc.core.canonical import Json
from authsvc.core.decide import RULE_VERSION, Circumstances, Grant, decide
from authsvc.core.event import Kind, MalformedEntryError, from_microseconds
from authsvc.core.limits import parse_limit
from authsvc.core.permission import Role, parse_permission
from authsvc.core.principal import Binding, Limit, Principal, PrincipalKind, Snapshot, Visibility
from authsvc.core.reason import Reason
from authsvc.core.repository import parse_pattern, parse_repository
from authsvc.core.scope import Scope
from authsvc.core.service import Algorithm, HeaderProfile, Service

_T = TypeVar("_T")

State = Mapping[str, Json]
"""What an entry keeps of one thing: the `state()` of its record."""


@dataclass(slots=True)
class Policy:
    """All policy after the entry `seq`; `revision` is the newest entry that moved it. Each thing by its id, or by its name."""

    seq: int = -1
    revision: int = -1
    users: dict[str, State] = field(default_factory=dict)
    groups: dict[str, State] = field(default_factory=dict)
    memberships: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of group and user, by id."""
    projects: dict[str, State] = field(default_factory=dict)
    robots: dict[str, State] = field(default_factory=dict)
    roles: dict[str, State] = field(default_factory=dict)
    bindings: dict[str, State] = field(default_factory=dict)
    services: dict[str, State] = field(default_factory=dict)
    credentials: dict[str, State] = field(default_factory=dict)
    keys: dict[str, State] = field(default_factory=dict)

    def fold(self, entries: Iterable[tuple[int, Mapping[str, Json]]]) -> None:
        """Take in entries with their sequence numbers, in order; raises MalformedEntryError for one that cannot be read."""
        for seq, entry in entries:
            try:
                self._apply(seq, Kind(_text(entry, "kind")), entry)
            except (KeyError, TypeError, ValueError) as error:
                raise MalformedEntryError(f"entry {seq} cannot be replayed") from error

    def _apply(self, seq: int, kind: Kind, entry: Mapping[str, Json]) -> None:
        family, *_, verb = kind.split(".")
        if family in ("policy", "credential", "key"):
            state = _object(entry, "state")
            if kind is Kind.CREDENTIAL_CHANGED:  # a password, the one credential that is part of its user
                state = _object(state, "user")
                self.users[_text(state, "id")] = state
            elif kind in (Kind.MEMBERSHIP_CREATED, Kind.MEMBERSHIP_DELETED):
                pair = (_text(_object(state, "group"), "id"), _text(_object(state, "user"), "id"))
                (self.memberships.add if kind is Kind.MEMBERSHIP_CREATED else self.memberships.discard)(pair)
            elif verb in ("deleted", "revoked"):
                self._delete(_noun(kind), _key(_noun(kind), state))
            else:
                self._things(_noun(kind))[_key(_noun(kind), state)] = state
        self.seq = seq
        if kind.moves_policy:
            self.revision = seq

    def _things(self, noun: str) -> dict[str, State]:
        things: dict[str, State] = getattr(self, f"{noun}s")
        return things

    def _delete(self, noun: str, key: str) -> None:
        """Remove a thing and, as the database does, what hangs on it."""
        self._things(noun).pop(key, None)
        if noun == "project":
            self._delete_all("robot", lambda robot: robot["project"] == key)
            self._delete_all("binding", lambda binding: binding["project"] == key)
        elif noun in ("user", "group", "robot"):
            self._delete_all("binding", lambda binding: _is_of(binding["subject"], noun, key))
            self._delete_all("credential", lambda credential: _is_of(credential["owner"], noun, key))
            at = {"group": 0, "user": 1}.get(noun)
            if at is not None:
                self.memberships = {pair for pair in self.memberships if pair[at] != key}
        elif noun == "service":
            self._delete_all("credential", lambda credential: credential["service"] == key)
        elif noun == "credential":
            self._delete_all("credential", lambda credential: credential["parent"] == key)

    def _delete_all(self, noun: str, hangs: Callable[[State], bool]) -> None:
        for key in [key for key, state in self._things(noun).items() if hangs(state)]:
            self._delete(noun, key)

    def bindings_of(self, principal: Principal) -> tuple[Binding, ...]:
        """Return what is bound to a principal, directly or through groups, conditions not yet applied."""
        groups = {
            group for group, user in self.memberships if (user, "user") == (principal.id, principal.kind)
        }
        return tuple(
            self._binding(state)
            for state in self.bindings.values()
            if _is_of(state["subject"], principal.kind, principal.id)
            or any(_is_of(state["subject"], "group", group) for group in groups)
        )

    def _binding(self, state: State) -> Binding:
        role, subject = self.roles[_text(state, "role")], _object(state, "subject")
        return Binding(
            id=_text(state, "id"),
            role=Role(_text(role, "name"), frozenset(_parsed(parse_permission, _texts(role, "permissions")))),
            project=None if state["project"] is None else _text(state, "project"),
            repositories=_parsed(parse_pattern, _texts(state, "repositories")),
            group=_text(subject, "name") if subject["kind"] == "group" else None,
            services=frozenset(_texts(state, "services")),
            cidrs=tuple(ip_network(text) for text in _texts(state, "cidrs")),
            not_before=_time(state, "not_before"),
            expires_at=_time(state, "expires_at"),
        )

    def is_enabled(self, principal: Principal) -> bool:
        """Say whether a principal exists and is not disabled; anonymous always is there."""
        if principal.kind is PrincipalKind.ANONYMOUS:
            return True
        things = self.users if principal.kind is PrincipalKind.USER else self.robots
        return principal.id in things and things[principal.id]["disabled"] is False

    def visibility(self, project: str) -> Visibility | None:
        """Return a project's visibility, None when there is no such project."""
        state = self.projects.get(project)
        return None if state is None else Visibility(_text(state, "visibility"))

    def service(self, name: str) -> Service:
        """Return a service by its name; raises KeyError when there is none."""
        state = self.services[name]
        return Service(
            name=name,
            issuer=_text(state, "issuer"),
            algorithm=Algorithm(_text(state, "algorithm")),
            header=HeaderProfile(_text(state, "header")),
            token_ttl_seconds=_integer(state, "token_ttl_seconds"),
            backdate_seconds=_integer(state, "backdate_seconds"),
            refresh_tokens=state["refresh_tokens"] is True,
            anonymous=state["anonymous"] is True,
            own_key=state["own_key"] is True,
            isolated=state["isolated"] is True,
            aliases=_texts(state, "aliases"),
            name_prefix=_text(state, "name_prefix"),
        )


def decide_again(policy: Policy, entry: Mapping[str, Json]) -> tuple[Grant, ...]:
    """Decide the token of a `token.issued` entry again, by the policy just before it; the answer is to equal its `grants`.

    Raises MalformedEntryError when the entry does not rest on this policy, on a known version of the rule, or cannot be read.
    """
    rule = entry.get("rule")
    if entry.get("revision") != policy.revision or rule not in (1, RULE_VERSION):
        raise MalformedEntryError(
            "the entry was decided by another policy, or by a version of the rule that is not known"
        )
    try:
        service = policy.service(_text(entry, "service"))
        scopes = [_scope(grant) for grant in _objects(entry, "grants")]
        snapshot = _snapshot(
            policy, entry, [scope.name.removeprefix(service.name_prefix) for scope in scopes]
        )
        address = entry.get("address")
        circumstances = Circumstances(
            service.name,
            None if address is None else ip_address(str(address)),
            from_microseconds(_integer(entry, "time")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedEntryError("the entry cannot be decided again") from error
    grants = decide(snapshot, scopes, service=service, circumstances=circumstances)
    return grants if rule == RULE_VERSION else _in_older_words(grants, entry)


def _in_older_words(grants: tuple[Grant, ...], entry: Mapping[str, Json]) -> tuple[Grant, ...]:
    """Return grants with the reasons that version 1 gave for refusals: it decided the same, with fewer words for why."""
    older = [_object(grant, "refused") if "refused" in grant else {} for grant in _objects(entry, "grants")]
    return tuple(
        replace(
            grant,
            verdicts=tuple(
                replace(verdict, reason=Reason(_text(words, verdict.action)))
                if not verdict.allowed and verdict.action in words
                else verdict
                for verdict in grant.verdicts
            ),
        )
        for grant, words in zip(grants, older, strict=True)
    )


def _snapshot(policy: Policy, entry: Mapping[str, Json], names: Iterable[str]) -> Snapshot:
    actor = _object(entry, "actor")
    principal = Principal(PrincipalKind(_text(actor, "kind")), str(actor.get("id", "")), _text(actor, "name"))
    repositories = [parse_repository(name) for name in names]
    return Snapshot(
        principal,
        policy.bindings_of(principal),
        enabled=policy.is_enabled(principal),
        projects={r.project: policy.visibility(r.project) for r in repositories if r is not None},
        limits=_limits(policy, entry),
    )


def _limits(policy: Policy, entry: Mapping[str, Json]) -> tuple[Limit, ...] | None:
    """Return what the credential leaves; a password, and no credential at all, leave everything."""
    id_ = _object(entry, "credential").get("id") if "credential" in entry else None
    if id_ is None:
        return None
    credential = policy.credentials[str(id_)]
    if credential["limits"] is None:
        return None
    return tuple(parse_limit(text) for text in _texts(credential, "limits"))


def _scope(grant: Mapping[str, Json]) -> Scope:
    return Scope(_text(grant, "type"), _text(grant, "name"), _texts(grant, "asked"))


def _noun(kind: Kind) -> str:
    family, *rest = kind.split(".")
    return rest[0] if family == "policy" else family


def _key(noun: str, state: State) -> str:
    """Return what a thing is kept by: its id; projects, roles and services by name, as others name them so."""
    if noun == "project":
        return _text(state, "project")
    return _text(state, "name" if noun in ("role", "service") else "id")


def _is_of(who: Json, kind: str, id_: str) -> bool:
    return isinstance(who, Mapping) and (who["kind"], who["id"]) == (kind, id_)


def _text(state: State, name: str) -> str:
    value = state[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _texts(state: State, name: str) -> tuple[str, ...]:
    value = state[name]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(name)
    return tuple(value)


def _parsed(parse: Callable[[str], _T | None], texts: Iterable[str]) -> tuple[_T, ...]:
    """Return what each text writes; raises ValueError, as dropping one would answer another question."""
    parsed = [parse(text) for text in texts]
    if None in parsed:
        raise ValueError("a stored text cannot be read")
    return tuple(value for value in parsed if value is not None)


def _integer(state: State, name: str) -> int:
    value = state[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(name)
    return value


def _time(state: State, name: str) -> datetime | None:
    return None if state[name] is None else from_microseconds(_integer(state, name))


def _object(state: State, name: str) -> State:
    value = state[name]
    if not isinstance(value, Mapping):
        raise TypeError(name)
    return value


def _objects(state: State, name: str) -> list[State]:
    value = state[name]
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise TypeError(name)
    return value
