"""Replay: the policy at any place of the log, from its entries alone.

Entries are folded in order. A deletion takes with it what the database's own deletion takes (`ON DELETE CASCADE` in migration
0001, and a service's refresh tokens), so that an entry names one thing only, however much hangs on it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from authsvc.core.canonical import Json
from authsvc.core.event import MalformedEntryError
from authsvc.core.kind import Kind
from authsvc.core.permission import Role, parse_permission
from authsvc.core.principal import Binding, Principal, PrincipalKind, Visibility
from authsvc.core.repository import parse_pattern
from authsvc.core.service import Algorithm, HeaderProfile, Service
from authsvc.core.states import State, integer_of, object_of, parse_all, text_of, texts_of, time_of

_Place = tuple[str, str]
"""A noun and a key: what other things hang on."""


@dataclass(slots=True)
class Policy:
    """All policy after the entry `seq`; `revision` is the newest entry that moved it. Each thing by its id, or by its name.

    `touched` is the newest entry that changed anything here, a credential that was created too.
    """

    seq: int = -1
    revision: int = -1
    touched: int = -1
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
    _hanging: dict[_Place, dict[_Place, None]] = field(default_factory=lambda: defaultdict(dict))
    """What goes when a thing goes."""
    _bound: dict[_Place, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    """The ids of the bindings of each user, group and robot."""
    _groups: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    """The ids of the groups of each user."""
    _parsed: dict[str, Binding] = field(default_factory=dict)
    """Bindings as the rule takes them, by id, until they or their roles change."""
    _known_services: dict[str, tuple[State, Service]] = field(default_factory=dict)
    """Services as the rule takes them, by name, each with the state that it was read from."""

    def fold(self, entries: Iterable[tuple[int, Mapping[str, Json]]]) -> None:
        """Take in entries with their sequence numbers, in order; raises MalformedEntryError for one that cannot be read."""
        for seq, entry in entries:
            try:
                self._apply(seq, Kind(text_of(entry, "kind")), entry)
            except (KeyError, TypeError, ValueError) as error:
                raise MalformedEntryError(f"entry {seq} cannot be replayed") from error

    def _apply(self, seq: int, kind: Kind, entry: Mapping[str, Json]) -> None:
        if kind.is_of_policy:
            state, verb = object_of(entry, "state"), kind.rpartition(".")[2]
            if kind is Kind.CREDENTIAL_CHANGED:  # a password, the one credential that is part of its user
                self._put("user", object_of(state, "user"))
            elif kind is Kind.MEMBERSHIP_CREATED:
                self._join(_member(state))
            elif kind is Kind.MEMBERSHIP_DELETED:
                self._delete("membership", "\0".join(_member(state)))
            elif verb in ("deleted", "revoked"):
                self._delete(_noun(kind), _key(_noun(kind), state))
            else:
                self._put(_noun(kind), state)
            self.touched = seq
        self.seq = seq
        if kind.moves_policy:
            self.revision = seq

    def _things(self, noun: str) -> dict[str, State]:
        things: dict[str, State] = getattr(self, f"{noun}s")
        return things

    def _put(self, noun: str, state: State) -> None:
        key = _key(noun, state)
        before = self._things(noun).get(key)
        if before is not None:
            self._let_go(noun, key, before)
        self._things(noun)[key] = state
        for place in _places_of(noun, state):
            self._hanging[place][noun, key] = None
        if noun == "binding":
            self._bound[_place(state["subject"])][key] = None
        elif noun == "role":
            self._parsed.clear()

    def _let_go(self, noun: str, key: str, state: State) -> None:
        for place in _places_of(noun, state):
            self._hanging[place].pop((noun, key), None)
        if noun == "binding":
            self._bound[_place(state["subject"])].pop(key, None)
            self._parsed.pop(key, None)

    def _join(self, member: tuple[str, str]) -> None:
        group, user = member
        self.memberships.add(member)
        self._groups[user][group] = None
        for place in (("group", group), ("user", user)):
            self._hanging[place]["membership", "\0".join(member)] = None

    def _delete(self, noun: str, key: str) -> None:
        """Remove a thing and, as the database does, what hangs on it."""
        if noun == "membership":
            group, user = key.split("\0")
            self.memberships.discard((group, user))
            self._groups[user].pop(group, None)
            for place in (("group", group), ("user", user)):
                self._hanging[place].pop((noun, key), None)
            return
        state = self._things(noun).pop(key, None)
        if state is not None:
            self._let_go(noun, key, state)
        for hanging in list(self._hanging.pop((noun, key), ())):
            self._delete(*hanging)

    def bindings_of(self, principal: Principal) -> tuple[Binding, ...]:
        """Return what is bound to a principal, directly or through groups, conditions not yet applied."""
        return tuple(self._binding(id_) for id_ in self._bindings_of(principal))

    def _bindings_of(self, principal: Principal) -> Iterator[str]:
        yield from self._bound.get((principal.kind, principal.id), ())
        if principal.kind is PrincipalKind.USER:
            for group in self._groups.get(principal.id, ()):
                yield from self._bound.get(("group", group), ())

    def _binding(self, id_: str) -> Binding:
        parsed = self._parsed.get(id_)
        if parsed is None:
            parsed = self._parsed[id_] = self._parse(self.bindings[id_])
        return parsed

    def _parse(self, state: State) -> Binding:
        role, subject = self.roles[text_of(state, "role")], object_of(state, "subject")
        return Binding(
            id=text_of(state, "id"),
            role=Role(
                text_of(role, "name"), frozenset(parse_all(parse_permission, texts_of(role, "permissions")))
            ),
            project=None if state["project"] is None else text_of(state, "project"),
            repositories=parse_all(parse_pattern, texts_of(state, "repositories")),
            group=text_of(subject, "name") if subject["kind"] == "group" else None,
            services=frozenset(texts_of(state, "services")),
            cidrs=tuple(ip_network(text) for text in texts_of(state, "cidrs")),
            not_before=time_of(state, "not_before"),
            expires_at=time_of(state, "expires_at"),
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
        return None if state is None else Visibility(text_of(state, "visibility"))

    def service(self, name: str) -> Service:
        """Return a service by its name; raises KeyError when there is none."""
        state = self.services[name]
        known = self._known_services.get(name)
        if known is None or known[0] is not state:
            known = self._known_services[name] = (state, _service(state))
        return known[1]


def _service(state: State) -> Service:
    return Service(
        name=text_of(state, "name"),
        issuer=text_of(state, "issuer"),
        algorithm=Algorithm(text_of(state, "algorithm")),
        header=HeaderProfile(text_of(state, "header")),
        token_ttl_seconds=integer_of(state, "token_ttl_seconds"),
        backdate_seconds=integer_of(state, "backdate_seconds"),
        refresh_tokens=state["refresh_tokens"] is True,
        anonymous=state["anonymous"] is True,
        own_key=state["own_key"] is True,
        isolated=state["isolated"] is True,
        aliases=texts_of(state, "aliases"),
        name_prefix=text_of(state, "name_prefix"),
    )


def _member(state: State) -> tuple[str, str]:
    return (text_of(object_of(state, "group"), "id"), text_of(object_of(state, "user"), "id"))


def _places_of(noun: str, state: State) -> Iterator[_Place]:
    """Yield what a thing hangs on: with any of these it goes."""
    if noun in ("robot", "binding") and state["project"] is not None:
        yield "project", text_of(state, "project")
    if noun == "binding":
        yield _place(state["subject"])
    if noun == "credential":
        yield _place(state["owner"])
        for name, on in (("service", "service"), ("parent", "credential")):
            if state[name] is not None:
                yield on, text_of(state, name)


def _place(who: Json) -> _Place:
    if not isinstance(who, Mapping):
        raise TypeError
    return text_of(who, "kind"), text_of(who, "id")


def _noun(kind: Kind) -> str:
    family, *rest = kind.split(".")
    return rest[0] if family == "policy" else family


def _key(noun: str, state: State) -> str:
    """Return what a thing is kept by: its id; projects, roles and services by name, as others name them so."""
    if noun == "project":
        return text_of(state, "project")
    return text_of(state, "name" if noun in ("role", "service") else "id")
