from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.event import (
    MAX_ENTRY,
    SCHEMA_VERSION,
    Event,
    IndexRow,
    MalformedEntryError,
    Requester,
    Thing,
    encode_event,
    from_microseconds,
    index_entry,
    microseconds,
    policy_event,
    things_of,
)
from authsvc.core.kind import Kind, Outcome
from authsvc.core.principal import ANONYMOUS, SYSTEM, Principal, PrincipalKind

NOW = datetime(2026, 11, 23, 16, 27, 18, 123_457, tzinfo=UTC)
ALICE = Principal(PrincipalKind.USER, "u1", "alice")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = (
    st.sampled_from(["acme/app", "app", "reg:5000/acme/app", "Acme", "a\x00b", "a b", "é", "a" * 600]) | texts
)
words = st.sampled_from(["pull", "push", "delete", "*", "scan"])
principals = st.builds(Principal, st.sampled_from(PrincipalKind), texts, texts)
requesters = st.builds(
    Requester,
    principals,
    address=st.none() | st.sampled_from(["10.0.0.5", "2001:db8::5"]),
    peer=st.none() | st.just("10.0.0.5"),
    agent=st.none() | texts,
    credential_kind=st.none() | st.just("robot"),
    credential_id=st.none() | texts,
)
grants = st.fixed_dictionaries(
    {"type": st.sampled_from(["repository", "registry", "plugin"]), "name": names},
    optional={"granted": st.dictionaries(words, texts, max_size=3), "refused": st.dictionaries(words, texts)},
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "grants": st.lists(grants, max_size=3),
        "state": st.fixed_dictionaries({}, optional={"project": st.none() | texts, "id": texts}),
        "service": texts,
    },
)
times = st.datetimes(
    min_value=datetime(1700, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds
    max_value=datetime(2255, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds
    timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-12))]
    ),
)
events = st.builds(Event, st.sampled_from(Kind), times, texts, requesters, st.sampled_from(Outcome), bodies)

scalars = st.none() | st.booleans() | st.integers(min_value=-(2**53), max_value=2**53) | texts
members = st.sampled_from(
    ["v", "kind", "time", "outcome", "actor", "name", "grants", "granted", "type", "state", "project", "address", "things"]
)  # fmt: skip
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=4),
    max_leaves=10,
)
sound = canonical.decode(encode_event(Event(Kind.TOKEN_ISSUED, NOW, "n", Requester(ALICE, "10.0.0.5")))[0])


def event(body: Mapping[str, Json], by: Principal = ALICE) -> Event:
    """A token's event with this body."""
    return Event(Kind.TOKEN_ISSUED, NOW, "n", Requester(by, address="10.0.0.5"), Outcome.PARTIAL, body)


def grant(name: str, *granted: str, type_: str = "repository") -> dict[str, Json]:
    """A grant as an entry keeps it."""
    return {"type": type_, "name": name, "granted": dict.fromkeys(granted, "b1")}


@given(events)
def test_columns_are_a_function_of_the_bytes(written: Event) -> None:
    """The writer's columns are those that a verifier computes from the entry's bytes, and the time is exact."""
    entry, row = encode_event(written)
    assert row == index_entry(canonical.decode(entry)) == index_entry(written.fields())
    assert row.time == written.time
    assert row.kind == written.kind


@given(events)
def test_columns_can_be_stored(written: Event) -> None:
    """Whatever names a client asks about, the columns hold no U+0000, no white space and nothing too long for an index."""
    _, row = encode_event(written)
    for name in row.repositories:
        assert name.isascii()
        assert name.isprintable()
        assert " " not in name
        assert len(name) <= 512


def test_columns_by_example() -> None:
    """Repositories in the order asked, granted actions sorted, their projects, the actor's name, the address."""
    grants: list[Json] = [
        grant("acme/app", "push", "pull"),
        grant("catalog", "*", type_="registry"),
        grant("lib"),
        grant("acme/app", "delete"),
    ]
    _, row = encode_event(event({"grants": grants}))
    assert row == IndexRow(
        time=NOW,
        kind="token.issued",
        outcome="partial",
        actor="alice",
        projects=("acme", "library"),
        repositories=("acme/app", "lib"),
        actions=("*", "delete", "pull", "push"),
        address="10.0.0.5",
    )


@pytest.mark.parametrize(
    ("body", "projects"),
    [
        ({}, ()),
        ({"grants": [grant("app")]}, ("library",)),
        ({"grants": [grant("Acme/App")]}, ()),
        ({"grants": [grant("catalog", type_="registry")]}, ()),
        ({"state": {"project": "acme"}}, ("acme",)),
        ({"state": {"project": None}}, ()),
    ],
)
def test_projects_are_the_repositories_and_the_change_s(
    body: Mapping[str, Json], projects: tuple[str, ...]
) -> None:
    """An event is about the projects of its repositories and the one that a change names."""
    assert encode_event(event(body))[1].projects == projects


@pytest.mark.parametrize("name", ["a\x00b", "acme/a b", "acme/é", "a" * 513, "acme/app\n"])
def test_names_that_no_index_can_hold_are_in_the_entry_alone(name: str) -> None:
    """A name that would fail the insert of a whole batch is kept in the entry, and its grant's neighbours are indexed."""
    entry, row = encode_event(event({"grants": [grant(name), grant("acme/app")]}))
    assert row.repositories == ("acme/app",)
    assert canonical.decode(entry)["grants"] == [grant(name), grant("acme/app")]


@given(st.dictionaries(members, junk, max_size=6), junk)
def test_no_object_is_another_error(entry: dict[str, Json], things: Json) -> None:
    """Any JSON object is indexed, or is a MalformedEntryError and nothing else; so are the things that it names."""
    for candidate in (entry, {**entry, "v": SCHEMA_VERSION}, {**sound, **entry, "v": SCHEMA_VERSION}):
        with suppress(MalformedEntryError):
            index_entry(candidate)
    with suppress(MalformedEntryError):
        assert all(isinstance(thing, Thing) for thing in things_of({"things": things}))


@pytest.mark.parametrize("member", ["v", "kind", "time", "outcome", "actor"])
def test_every_column_s_member_is_needed(member: str) -> None:
    """An entry without its version, kind, time, outcome or actor is none."""
    with pytest.raises(MalformedEntryError):
        index_entry({name: value for name, value in sound.items() if name != member})


@pytest.mark.parametrize(
    "wrong",
    [
        {"v": 2}, {"v": "1"}, {"v": None}, {"time": "2026"}, {"time": 2**60}, {"time": -(2**60)},
        {"actor": "alice"}, {"actor": {}}, {"grants": {}}, {"grants": None}, {"grants": ["x"]}, {"grants": [{}]},
        {"grants": [{"type": "repository"}]}, {"grants": [{"type": "repository", "name": "a", "granted": ["pull"]}]},
        {"state": []}, {"state": None},
    ],
)  # fmt: skip
def test_members_of_a_wrong_type_are_refused(wrong: Mapping[str, Json]) -> None:
    """A version that is not known, a time out of range, and lists for objects are no entry."""
    with pytest.raises(MalformedEntryError):
        index_entry({**sound, **wrong})


@given(times)
def test_microseconds_are_exact(time: datetime) -> None:
    """A time survives as whole microseconds, in UTC, whatever its zone and century."""
    assert from_microseconds(microseconds(time)) == time
    assert from_microseconds(microseconds(time)).tzinfo is UTC


@given(st.integers(min_value=-62_135_596_800_000_000, max_value=253_402_300_799_999_999))
def test_every_microsecond_is_a_time(value: int) -> None:
    """Whole microseconds from year 1 to 9999 survive as a time."""
    assert microseconds(from_microseconds(value)) == value


def test_a_naive_time_is_refused() -> None:
    """A time without a zone is no moment."""
    with pytest.raises(TypeError):
        microseconds(NOW.replace(tzinfo=None))


def test_an_entry_has_a_largest_size() -> None:
    """48 KiB are an entry, one byte more is none, and the error does not repeat it."""
    room = MAX_ENTRY - len(encode_event(event({"agent": ""}))[0])
    assert len(encode_event(event({"agent": "a" * room}))[0]) == MAX_ENTRY
    with pytest.raises(ValueError, match="larger than an entry") as caught:
        encode_event(event({"agent": "a" * (room + 1)}))
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    "state",
    [
        {"expires_at": microseconds(datetime(9999, 12, 31, tzinfo=UTC))},
        {"token_ttl_seconds": 2**53},
        {"é": 1},
        {"name": "\ud800"},
    ],
)
def test_a_change_that_could_not_be_read_again_is_never_written(state: Mapping[str, Json]) -> None:
    """Administrators' values without a canonical form fail the change, and never get into the log."""
    change = policy_event(
        Kind.CREDENTIAL_CREATED, time=NOW, nonce="n", by=Requester(ALICE), state=state, things=(), rule=1
    )
    with pytest.raises(canonical.NotCanonicalError):
        encode_event(change)


def test_what_is_not_known_of_a_requester_is_left_out() -> None:
    """Anonymous has a kind and an empty name; a peer is kept where it is not the client itself."""
    assert Requester(ANONYMOUS).entry() == {"actor": {"kind": "anonymous", "name": ""}}
    assert Requester(ANONYMOUS, "10.0.0.5", peer="10.0.0.5", agent="").entry() == {
        "actor": {"kind": "anonymous", "name": ""},
        "address": "10.0.0.5",
    }
    full = Requester(ALICE, "192.0.2.1", "10.0.0.5", "docker/29", "personal", "abc")
    assert full.entry() == {
        "actor": {"kind": "user", "name": "alice", "id": "u1"},
        "address": "192.0.2.1",
        "peer": "10.0.0.5",
        "agent": "docker/29",
        "credential": {"kind": "personal", "id": "abc"},
    }


def test_a_change_says_what_caches_drop() -> None:
    """The things that a policy event names are read back from its bytes, and its new state is whole."""
    things = (Thing("user", "u1"), Thing("project", "acme"))
    state: dict[str, Json] = {"id": "b1", "project": "acme"}
    change = policy_event(
        Kind.BINDING_CREATED, time=NOW, nonce="n", by=Requester(SYSTEM), state=state, things=things, rule=1
    )
    entry, row = encode_event(change)
    read = canonical.decode(entry)
    assert things_of(read) == things
    assert (read["state"], read["rule"], row.projects) == (state, 1, ("acme",))
    assert things_of(sound) == ()


def test_kinds_that_move_policy() -> None:
    """Changes of policy and keys, and of credentials but their creation, are new revisions; what only happened is none."""
    still = {kind for kind in Kind if not kind.moves_policy}
    assert still == {
        Kind.TOKEN_ISSUED,
        Kind.TOKEN_REFUSED,
        Kind.AUTH_THROTTLED,
        Kind.CREDENTIAL_CREATED,
        Kind.REGISTRY_PULL,
        Kind.REGISTRY_PUSH,
        Kind.REGISTRY_MOUNT,
        Kind.REGISTRY_DELETE,
        Kind.AUDIT_QUERIED,
        Kind.AUDIT_EXPORTED,
        Kind.AUDIT_PRUNED,
        Kind.AUDIT_RECOVERED,
        Kind.SERVICE_STARTED,
        Kind.SERVICE_STOPPED,
    }
