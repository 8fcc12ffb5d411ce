"""Events: the entries of the log, and the columns that index them.

An entry is the canonical JSON of one event; its bytes are what is hashed and stored. Columns are computed from the entry by
`index_entry`, for the writer and for the verifier alike, so that no column says what its entry does not.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.claims import Claims
from authsvc.core.kind import Kind, Outcome
from authsvc.core.principal import Principal
from authsvc.core.repository import parse_repository

SCHEMA_VERSION = 1
MAX_ENTRY = 48 * 1024
"""Bytes of the largest entry; the tile format ends at 65,535 (C2SP tlog-tiles, "Log Entries")."""

_INDEXED_NAME = re.compile(r"[!-~]{1,512}")
"""Repository names that are indexed: longer than any that exists, a registry's host before it included.

INVARIANT: the columns are Postgres text in indexes. A client may ask about any name; one that holds U+0000, or is too long for an
index, would fail the insert, and with it the batch of everybody else. Such a name is in the entry alone.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


Encode = Callable[[Mapping[str, Json]], bytes]


@dataclass(frozen=True, slots=True)
class Requester:
    """Who made a request, from where, with what; never a secret.

    `address` is the client's; `peer` is the socket's where a trusted proxy stood between. `credential` is its public id.
    """

    principal: Principal
    address: str | None = None
    peer: str | None = None
    agent: str | None = None
    credential_kind: str | None = None
    credential_id: str | None = None

    def entry(self) -> dict[str, Json]:
        """Return the members of an entry that say who asked; what is not known is left out."""
        actor: dict[str, Json] = {"kind": self.principal.kind, "name": self.principal.name}
        if self.principal.id:
            actor["id"] = self.principal.id
        entry: dict[str, Json] = {"actor": actor}
        if self.address is not None:
            entry["address"] = self.address
        if self.peer is not None and self.peer != self.address:
            entry["peer"] = self.peer
        if self.agent:
            entry["agent"] = self.agent
        if self.credential_kind is not None:
            credential: dict[str, Json] = {"kind": self.credential_kind}
            if self.credential_id is not None:
                credential["id"] = self.credential_id
            entry["credential"] = credential
        return entry


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `nonce` makes its entry, and so the tree above it, unique. `body` is the kind's own members."""

    kind: Kind
    time: datetime
    nonce: str
    by: Requester
    outcome: Outcome = Outcome.DONE
    body: Mapping[str, Json] = field(default_factory=dict)

    def fields(self) -> dict[str, Json]:
        """Return the entry as an object."""
        return {
            "v": SCHEMA_VERSION,
            "kind": self.kind,
            "time": microseconds(self.time),
            "nonce": self.nonce,
            "outcome": self.outcome,
            **self.by.entry(),
            **self.body,
        }


@dataclass(frozen=True, slots=True)
class GrantIndex:
    """The columns that follow from grants, or from what a registry reported, alone."""

    projects: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenIssued(Event):
    """The grant of a token: what was asked, answered and why, and every claim that the token will carry.

    `index` is `index_grants` of the grants in the body, made once for a decision that is used many times.
    """

    claims: Claims | None = None
    index: GrantIndex | None = None


@dataclass(frozen=True, slots=True)
class Thing:
    """Something a policy event changed, by the name that caches know it under: ('user', 'alice')."""

    noun: str
    name: str


class IndexRow(NamedTuple):
    """The columns of the log: an index over an entry, wholly computed from it."""

    time: datetime
    kind: str
    outcome: str
    actor: str
    projects: tuple[str, ...]
    repositories: tuple[str, ...]
    actions: tuple[str, ...]
    address: str | None


class MalformedEntryError(ValueError):
    """Bytes that are no entry of a known schema version."""


def policy_event(
    kind: Kind,
    *,
    time: datetime,
    nonce: str,
    by: Requester,
    state: Mapping[str, Json],
    things: Sequence[Thing],
    rule: int,
) -> Event:
    """Return the event of a change: `state` is the complete new state of what changed, `things` are what caches must drop."""
    body: dict[str, Json] = {
        "rule": rule,
        "state": state,
        "things": [[thing.noun, thing.name] for thing in things],
    }
    return Event(kind, time, nonce, by, body=body)


def things_of(entry: Mapping[str, Json]) -> tuple[Thing, ...]:
    """Return the things that a policy entry names; raises MalformedEntryError when they are no pairs."""
    things = entry.get("things", [])
    if not isinstance(things, list) or not all(isinstance(thing, list) for thing in things):
        raise MalformedEntryError("things is no list of pairs")
    try:
        return tuple(Thing(str(noun), str(name)) for noun, name in things)
    except ValueError as error:
        raise MalformedEntryError("things is no list of pairs") from error


def microseconds(time: datetime) -> int:
    """Return an aware time as whole microseconds since 1970 in UTC, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return the aware UTC time of whole microseconds since 1970."""
    return _EPOCH + value * _MICROSECOND


def index_entry(entry: Mapping[str, Json], index: GrantIndex | None = None) -> IndexRow:
    """Return the columns of an entry; raises MalformedEntryError when it is none of this schema version.

    `index` is what `index_grants` says of its grants, where that is known already.
    """
    if entry.get("v") != SCHEMA_VERSION:
        raise MalformedEntryError(f"schema version {entry.get('v')!r} is not known")
    try:
        if "reported" in entry:
            index = index_reported(entry["reported"])
        return _index(entry, index or index_grants(entry.get("grants", [])))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedEntryError("a member is missing or of a wrong type") from error


def index_grants(grants: Json) -> GrantIndex:
    """Return the columns of an entry's grants: repositories by the names they are known under here, in the order asked."""
    repositories: dict[str, None] = {}
    actions: set[str] = set()
    for grant in _objects(grants):
        name = str(grant.get("as", grant["name"]))
        if grant["type"] == "repository" and _INDEXED_NAME.fullmatch(name) is not None:
            repositories[name] = None
        granted = grant.get("granted", {})
        if not isinstance(granted, dict):
            raise TypeError
        actions.update(granted)
    return GrantIndex(_projects_of(repositories), tuple(repositories), tuple(sorted(actions)))


def index_reported(reported: Json) -> GrantIndex:
    """Return the columns of a registry's report: the repository and, of a mount, the one that it came from."""
    if not isinstance(reported, Mapping):
        raise TypeError
    named = dict.fromkeys(str(reported[name]) for name in ("repository", "from") if name in reported)
    repositories = tuple(name for name in named if _INDEXED_NAME.fullmatch(name) is not None)
    return GrantIndex(_projects_of(repositories), repositories, (str(reported["action"]),))


def _projects_of(repositories: Iterable[str]) -> tuple[str, ...]:
    parsed = [parse_repository(name) for name in repositories]
    return tuple(sorted({repository.project for repository in parsed if repository is not None}))


def _index(entry: Mapping[str, Json], grants: GrantIndex) -> IndexRow:
    state, actor, time = entry.get("state", {}), entry["actor"], entry["time"]
    # dict, as every decoder makes: the question about a Mapping costs ten times as much, for every event.
    if not isinstance(state, dict) or not isinstance(actor, dict) or not isinstance(time, int):
        raise TypeError
    address, project = entry.get("address"), state.get("project")
    return IndexRow(
        time=from_microseconds(time),
        kind=str(entry["kind"]),
        outcome=str(entry["outcome"]),
        actor=str(actor["name"]),
        projects=grants.projects if project is None else tuple(sorted({*grants.projects, str(project)})),
        repositories=grants.repositories,
        actions=grants.actions,
        address=None if address is None else str(address),
    )


def _objects(value: Json) -> list[Mapping[str, Json]]:
    if not isinstance(value, list) or not all([isinstance(item, dict) for item in value]):  # noqa: C419 - as fast
        raise TypeError
    return value


def encode_event(event: Event, encode: Encode = canonical.encode) -> tuple[bytes, IndexRow]:
    """Return the entry's bytes and its columns; raises ValueError when it is too large, or could not be read again.

    `encode` gives the same bytes as `canonical.encode`, perhaps faster.
    """
    fields = event.fields()
    entry = encode(fields)
    if len(entry) > MAX_ENTRY:
        raise ValueError("the event is larger than an entry of the log may be")
    if event.kind is not Kind.TOKEN_ISSUED:
        # A change holds what an administrator wrote, as an expiry in the year 9999, which is beyond 2^53 microseconds. An entry
        # that cannot be decoded would look like tampering for ever. Issued tokens hold nothing of the kind, and are many.
        canonical.decode(entry)
    return entry, index_entry(fields, event.index if isinstance(event, TokenIssued) else None)
