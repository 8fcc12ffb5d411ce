"""A reader that remembers reads as one that has seen nothing, whatever came before."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from authsvc.adapters.postgres.stored_columns import STORED
from authsvc.core import canonical, entry_reader
from authsvc.core.entry_reader import OF_THE_LOG, Entry, EntryReader, LogRow
from authsvc.core.entry_template import PLAIN
from authsvc.core.event import (
    Event,
    IndexRow,
    MalformedEntryError,
    Requester,
    encode_event,
    index_entry,
    microseconds,
)
from authsvc.core.kind import Kind
from authsvc.core.principal import SYSTEM
from authsvc.core.replay_decision import Replay
from bench.generate_log import Shape
from tests.generated import generate

SHAPE = Shape(400, principals=3, projects=2, batch=16, policy_every=40)
NONCE = "nonce"
START = datetime(2026, 11, 1, tzinfo=UTC)
EDITS = (
    b'"', b"\\", b'\\"', b"0", b"1", b"9", b"-", b".", b"e", b",", b"{", b"}", b"[", b" ", b"\x00", b"\xc3\xbc", b"\xff", b":",
    b'"address":"10.0.0.1",', b',"address":"', b',"nonce":"x"', b"null", b"\\u0031", b"00000000000000000",
)  # fmt: skip


@pytest.fixture(scope="module")
def log(key_template: Path) -> list[bytes]:
    """The entries of a small log: decisions of few shapes, refusals and policy."""
    return [line.entry for batch in generate(key_template, SHAPE).batches for line in batch.lines]


def columns_of(entry: Entry) -> object:
    """Return the columns that an entry implies."""
    return PLAIN.join_one(entry.time, entry.shape.columns, entry.place.column)


def told(entry: Entry) -> tuple[object, ...]:
    """Return all that an entry says."""
    fields = {name: value for name, value in entry.fields.items() if name != NONCE}
    return entry.shape.kind, entry.shape.is_watched, columns_of(entry), entry.place.address, fields


def read(data: bytes) -> Entry | None:
    """Return an entry as a reader reads it that remembers nothing, or None for what is none."""
    try:
        return EntryReader(canonical.decode).read(data)
    except MalformedEntryError:
        return None


def changed(data: bytes, pick: Random) -> bytes:
    """Return an entry with one or two small changes, mostly where values are cut out."""
    for _ in range(pick.choice((1, 1, 2))):
        places = [
            data.find(name)
            for name in (b'"address":"', b'"nonce":"', b'"revision":', b'"time":', b'"exp":', b'"nbf":')
        ]
        around = pick.choice([place for place in places if place >= 0] or [0]) + pick.randrange(30)
        at = min(around if pick.random() < 0.8 else pick.randrange(len(data)), len(data))
        end = min(at + pick.choice((0, 0, 1, 2)), len(data))
        data = data[:at] + pick.choice((pick.choice(EDITS), data[end : end + pick.randrange(4)])) + data[end:]
    return data


def column_changed(columns: object, pick: Random) -> object:
    """Return columns of which one is another."""
    assert isinstance(columns, tuple)
    at = pick.randrange(len(columns))
    return (*columns[:at], pick.choice((0, "x", None, ("x",), columns[at - 1])), *columns[at + 1 :])


@pytest.mark.parametrize("stored", [True, False])
def test_what_is_remembered_changes_nothing(log: list[bytes], *, stored: bool) -> None:
    """Rows are read at once as a reader that remembers nothing reads each, and never when one of them is wrong."""
    pick, reader, outcomes = Random(5), EntryReader(canonical.decode), Counter[bool]()
    for _ in range(4_000):
        rows, right = list[LogRow](), True
        for seq in range(pick.randrange(1, 5)):
            one = pick.choice(log)
            data = one if pick.random() < 0.7 else changed(one, pick)
            alone = read(data)
            implied = columns_of(alone or EntryReader(canonical.decode).read(one)) if stored else None
            columns = column_changed(implied, pick) if stored and pick.random() < 0.1 else implied
            right = right and alone is not None and columns == implied
            rows.append((seq, data, columns))
        entries = reader.read_rows(rows)
        outcomes[entries is not None] += 1
        assert right or entries is None, rows
        if all(data in log for _, data, _ in rows) and right:
            assert entries is not None, rows
        if entries is not None:
            alone_each = [read(data) for _, data, _ in rows]
            assert [told(entry) for entry in entries] == [told(one) for one in alone_each if one is not None]
            watched = [at for at, one in enumerate(alone_each) if one is not None and one.shape.is_watched]
            assert entries.watched == watched
    assert min(outcomes.values()) > 400


def test_what_is_alike_is_parsed_once(log: list[bytes]) -> None:
    """Of entries that differ in their numbers and addresses alone only the first is parsed, whatever the numbers' lengths."""
    parsed = []

    def decode(data: bytes) -> dict[str, canonical.Json]:
        parsed.append(data)
        return canonical.decode(data)

    reader = EntryReader(decode)
    first = next(dict(canonical.decode(data)) for data in log if b'"token.issued"' in data)
    each = [
        {**first, "address": f"192.0.2.{number}", "revision": 10 ** (number % 15), "time": 2**50 + number}
        for number in range(50)
    ]
    rows: list[LogRow] = [(seq, canonical.encode(fields), None) for seq, fields in enumerate(each)]
    entries = reader.read_rows(rows)
    assert len(parsed) == 1
    assert entries is not None
    for entry, fields in zip(entries, each, strict=True):
        assert told(entry)[-1] == {name: value for name, value in fields.items() if name != NONCE}


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"nonce":"AAAA"', [b'"nonce":"AA\\n"', b'"nonce":"A"A"', b'"nonce":"AA\xc3\xbc"', b'"nonce":"A\x00AA"']),
        (b'"address":"10.0.0.7"', [b'"address":"\\"', b'"address":"\\u0031"', b'"address":"1","address":"2"']),
        (
            b'"time":1760000000123456',
            [
                b'"time":9007199254740992', b'"time":0760000000123456', b'"time":-760000000123456',
                b'"time":176000000012345.', b'"time":1.6000000012e456',
            ],
        ),
        (
            b'"revision":12',
            [b'"revision":02', b'"revision":-0', b'"revision":1.', b'"revision":1e5', b'"revision":9007199254740993',
             b'"revision":123456789012345678'],
        ),
        (b'"exp":1760000900', [b'"exp":0760000900', b'"exp":18446744073709551615']),
        (b'"nbf":1759999990', [b'"nbf":0759999990', b'"nbf":9007199254740992']),
    ],
)  # fmt: skip
def test_what_is_cut_out_has_its_own_form(was: bytes, becomes: list[bytes]) -> None:
    """A value that is not canonical, in a place that is cut out, is never read by the template of an entry that is."""
    entry: dict[str, canonical.Json] = {
        "actor": {"kind": "robot", "name": "n"}, "address": "10.0.0.7", "kind": "token.issued", "nonce": "AAAA",
        "outcome": "allowed", "revision": 12, "rule": 2, "service": "s", "time": 1760000000123456,
        "token": {"aud": "s", "exp": 1760000900, "iss": "i", "nbf": 1759999990, "sub": "n"}, "v": 1,
    }  # fmt: skip
    data = canonical.encode(entry)
    assert data.count(was) == 1
    for other in becomes:
        reader = EntryReader(canonical.decode)
        assert reader.read_rows([(0, data, None)]) is not None
        assert reader.read_rows([(1, data.replace(was, other), None)]) is None, other


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", None])
def test_what_rows_hold_is_read_at_once(log: list[bytes], address: str | None) -> None:
    """In the form that Postgres sends, too, a row is read at once when its columns are the entry's, and not when one differs."""
    reader = EntryReader(canonical.decode, STORED)
    for data in log:
        fields = {**canonical.decode(data), "address": address}
        entry, index = _encoded({name: value for name, value in fields.items() if value is not None})
        columns = _stored(index)
        entries = reader.read_rows([(0, entry, columns)])
        assert entries is not None
        assert told(entries[0])[-1] == {k: v for k, v in canonical.decode(entry).items() if k != NONCE}
        later = index._replace(time=index.time + timedelta(microseconds=1))
        for wrong in (later, index._replace(actor="x"), index._replace(address="192.0.2.77")):
            assert reader.read_rows([(0, entry, _stored(wrong))]) is None


def _encoded(fields: dict[str, canonical.Json]) -> tuple[bytes, IndexRow]:
    return canonical.encode(fields), index_entry(fields)


def _stored(index: IndexRow) -> bytes:
    columns = STORED.join_one(microseconds(index.time), STORED.of(index), STORED.of_address(index.address))
    assert isinstance(columns, bytes)
    return columns


def test_anonymous_entries_are_alike_wherever_they_come_from(log: list[bytes]) -> None:
    """Where only entries are kept, those of the shortest actor are parsed once, too, whatever their addresses."""
    parsed = []

    def decode(data: bytes) -> dict[str, canonical.Json]:
        parsed.append(data)
        return canonical.decode(data)

    first = next(dict(canonical.decode(data)) for data in log if b'"token.issued"' in data)
    first["actor"] = {"kind": "anonymous", "name": ""}
    rows: list[LogRow] = [
        (seq, canonical.encode({**first, "address": f"192.0.2.{seq}"}), None) for seq in range(100)
    ]
    assert EntryReader(decode).read_rows(rows) is not None
    assert len(parsed) == 1


def test_what_is_remembered_is_bounded_by_its_size(log: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that are each like no other leave no more behind than so many bytes of them, however large they are."""
    monkeypatch.setattr(entry_reader, "MAX_REMEMBERED", 20_000)
    reader = EntryReader(canonical.decode)
    first = next(dict(canonical.decode(data)) for data in log if b'"token.issued"' in data)
    for number in range(200):
        actor: canonical.Json = {"kind": "robot", "name": f"r{number % 50}"}
        other = canonical.encode({**first, "actor": actor, "agent": f"{number}" * 300})
        assert reader.read_rows([(0, other, None)]) is not None
        held = [template.shape.size for alike in reader._templates.values() for template in alike]
        assert sum(held) == reader._remembered
        assert sum(held) < 20_000 + len(other)


@pytest.mark.parametrize("data", [None, "{}", 7, b""])
def test_what_is_no_bytes_is_no_entry(data: object) -> None:
    """A database whose column is of another type gets a verdict, and no failure of ours."""
    reader = EntryReader(canonical.decode)
    row: LogRow = (0, data, None)  # type: ignore[assignment]  # a superuser may have changed the column's type
    assert reader.read_rows([row]) is None
    with pytest.raises(MalformedEntryError):
        reader.read(data)


def test_what_is_of_no_policy_is_not_parsed_to_be_replayed() -> None:
    """Of refusals that are alike the first is parsed, to be read, and none for the policy that they do not hold."""
    parsed = []

    def decode(data: bytes) -> dict[str, canonical.Json]:
        parsed.append(data)
        return canonical.decode(data)

    replay, rows = Replay(), list[LogRow]()
    for seq in range(30):
        event = Event(Kind.TOKEN_REFUSED, START, f"n{seq}", Requester(SYSTEM, "192.0.2.1"))
        rows.append((seq, encode_event(event)[0], None))
    entries = EntryReader(decode).read_rows(rows)
    assert entries is not None
    assert not any(replay.take(seq, entry) for seq, entry in enumerate(entries))
    assert replay.policy.seq == 29
    assert len(parsed) == 1


TOKENS_OWN: dict[str, canonical.Json] = {
    "revision": 7, "rule": 2, "service": "s",
    "token": {"aud": "s", "exp": 1760000900, "iss": "i", "nbf": 1759999990, "sub": "n"},
}  # fmt: skip


@pytest.mark.parametrize("body", [{}, TOKENS_OWN], ids=["others", "tokens"])
@pytest.mark.parametrize("kind", [Kind.TOKEN_ISSUED, Kind.TOKEN_REFUSED])
def test_an_entry_says_its_own_whatever_its_kind(kind: Kind, body: dict[str, canonical.Json]) -> None:
    """Of an entry that has a token though its kind has none, or none though it should, the numbers are its own, too."""
    reader, rows = EntryReader(canonical.decode), list[LogRow]()
    for seq in (0, 1):
        fields = {**body, "revision": 7 + seq} if body else {}
        event = Event(
            kind, START + timedelta(seconds=seq), f"n{seq}", Requester(SYSTEM, "192.0.2.1"), body=fields
        )
        rows.append((seq, encode_event(event)[0], None))
    entries = reader.read_rows(rows)
    assert entries is not None
    assert entries[0].shape is entries[1].shape
    for entry, (_, data, _) in zip(entries, rows, strict=True):
        assert told(entry)[-1] == {k: v for k, v in canonical.decode(data).items() if k != NONCE}


@pytest.mark.parametrize("body", [{}, TOKENS_OWN], ids=["others", "tokens"])
@pytest.mark.parametrize("kind", sorted({*OF_THE_LOG, Kind.CREDENTIAL_CREATED, Kind.KEY_RETIRED}))
def test_what_is_watched_is_read_alone(kind: str, body: dict[str, canonical.Json]) -> None:
    """Entries of policy and of the log share no shape, so that each is looked at, even in the form of those that do."""
    reader = EntryReader(canonical.decode)
    event = Event(
        Kind(kind), START, "n0", Requester(SYSTEM, "192.0.2.1"), body={"first": 1, "end": 7, **body}
    )
    entry, _ = encode_event(event)
    entries = reader.read_rows([(0, entry, None), (1, entry, None)])
    assert entries is not None
    assert entries.watched == [0, 1]
    assert entries[0].shape is not entries[1].shape


def test_another_address_is_not_the_entrys(log: list[bytes]) -> None:
    """An address inside another member is never taken for the entry's own."""
    first = next(dict(canonical.decode(data)) for data in log if b'"token.issued"' in data)
    reader, actor = EntryReader(canonical.decode), first["actor"]
    assert isinstance(actor, dict)
    for inner, outer in (("192.0.2.1", "192.0.2.9"), ("192.0.2.2", "192.0.2.9"), ("192.0.2.3", None)):
        entry = {**first, "actor": {**actor, "address": inner, "zone": "x"}, "address": outer}
        if outer is None:
            del entry["address"]
        data = canonical.encode(entry)
        assert reader.read(data).place.address == outer
        entries = reader.read_rows([(0, data, None)])
        assert entries is not None
        assert entries[0].place.address == outer
