"""A reader that remembers reads as one that has seen nothing, whatever came before."""

from pathlib import Path
from random import Random

import pytest

from authsvc.core import canonical
from authsvc.core.entry_reader import PLAIN, Entry, EntryReader
from authsvc.core.event import MalformedEntryError
from bench.generate_log import Shape
from tests.generated import generate

SHAPE = Shape(400, principals=3, projects=2, batch=16, policy_every=40)
NONCE = "nonce"
EDITS = (
    b'"', b"\\", b'\\"', b"0", b"1", b"9", b"-", b".", b"e", b",", b"{", b"}", b"[", b" ", b"\x00", b"\xc3\xbc", b"\xff", b":",
    b'"address":"10.0.0.1",', b',"address":"', b',"nonce":"x"', b"null", b"\\u0031", b"00000000000000000",
)  # fmt: skip


@pytest.fixture(scope="module")
def log(key_template: Path) -> list[bytes]:
    """The entries of a small log: decisions of few shapes, refusals and policy."""
    return [line.entry for batch in generate(key_template, SHAPE).batches for line in batch.lines]


def told(entry: Entry) -> tuple[object, ...]:
    """Return all that an entry says."""
    fields = {name: value for name, value in entry.fields.items() if name != NONCE}
    columns = PLAIN.join(entry.time, entry.shape.columns, entry.place.column)
    return entry.shape.kind, entry.shape.moves_policy, columns, entry.place.address, fields


def read(reader: EntryReader, data: bytes, columns: object = None) -> tuple[object, ...] | None:
    """Return what an entry says, or None for what is none."""
    try:
        return told(reader.read(data, columns))
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


@pytest.mark.parametrize("hinted", [True, False])
def test_what_is_remembered_changes_nothing(log: list[bytes], *, hinted: bool) -> None:
    """Entries, and entries that were changed, are read or refused as by a reader that remembers nothing."""
    pick, reader, refused = Random(5), EntryReader(canonical.decode), 0
    for data in log:
        reader.read(data)
    for _ in range(4_000):
        one = pick.choice(log)
        data = one if pick.random() < 0.1 else changed(one, pick)
        columns = PLAIN.join(0, reader.read(one).shape.columns, None) if hinted else None
        alone = read(EntryReader(canonical.decode), data)
        assert read(reader, data, columns) == alone, data
        refused += alone is None
    assert 400 < refused < 3_600


def test_what_is_alike_is_parsed_once(log: list[bytes]) -> None:
    """Of entries that differ in their numbers and addresses alone only the first is parsed, whatever the numbers' lengths."""
    parsed = []

    def decode(data: bytes) -> dict[str, canonical.Json]:
        parsed.append(data)
        return canonical.decode(data)

    reader = EntryReader(decode)
    first = next(dict(canonical.decode(data)) for data in log if b'"token.issued"' in data)
    for number in range(50):
        again = {
            **first,
            "address": f"192.0.2.{number}",
            "revision": 10 ** (number % 15),
            "time": 2**50 + number,
        }
        entry = reader.read(canonical.encode(again))
        assert told(entry)[-1] == {name: value for name, value in again.items() if name != NONCE}
    assert len(parsed) == 2, "the entry, and what stands before its address"


def test_another_address_is_not_the_entrys(log: list[bytes]) -> None:
    """An address inside another member is never taken for the entry's own."""
    first = next(dict(canonical.decode(data)) for data in log if b'"token.issued"' in data)
    reader, actor = EntryReader(canonical.decode), first["actor"]
    assert isinstance(actor, dict)
    for inner, outer in (("192.0.2.1", "192.0.2.9"), ("192.0.2.2", "192.0.2.9"), ("192.0.2.3", None)):
        entry = {**first, "actor": {**actor, "address": inner, "zone": "x"}, "address": outer}
        if outer is None:
            del entry["address"]
        assert reader.read(canonical.encode(entry)).place.address == outer
