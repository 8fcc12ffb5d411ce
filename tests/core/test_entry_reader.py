"""A reader that remembers reads as one that has seen nothing, whatever came before."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from authsvc.core import canonical
from authsvc.core.entry_reader import OF_THE_LOG, Entry, EntryReader, LogRow
from authsvc.core.entry_template import PLAIN
from authsvc.core.event import Event, Kind, MalformedEntryError, Requester, encode_event
from authsvc.core.principal import SYSTEM
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


@pytest.mark.parametrize("kind", sorted(OF_THE_LOG))
def test_what_became_of_the_log_is_read_alone(kind: str) -> None:
    """Entries that say what was pruned or lost share no shape, so that each is looked at, even where they have a token's form."""
    reader = EntryReader(canonical.decode)
    event = Event(Kind(kind), START, "n0", Requester(SYSTEM, "192.0.2.1"), body={"first": 1, "end": 7})
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
