"""The columns of the log as Postgres' binary format has them: compared whole, without being read.

An entry implies its columns; these are written here as Postgres would send them. An array with a NULL inside or another
lower bound, an address with a mask, and a NULL are then told from the one right form.
"""

from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_interface
from socket import AF_INET, inet_pton
from struct import Struct

from authsvc.core.entry_template import Form
from authsvc.core.event import IndexRow

# The casts change nothing, and keep the types' numbers when somebody has changed a column's type to one that holds the same.
STORED_COLUMNS = """record_send(ROW(
    time::timestamptz, kind::text, outcome::text, actor::text,
    projects::text[], repositories::text[], actions::text[], address::inet
))"""

_MICROSECONDS_TO_2000 = 946_684_800_000_000
"""From 1970, where our times begin, to 2000, where those of Postgres do."""

_TIME, _TEXT, _TEXTS, _INET = 1184, 25, 1009, 869
_INT = Struct("!i")
_FIELD = Struct("!Ii")
_ARRAY = Struct("!iiI")
_DIMENSION = Struct("!ii")
_FAMILIES = {4: 2, 16: 3}
_NULL = -1
_BEGIN = Struct("!iIiq")
_COUNT = len(IndexRow._fields)
_TIME_BYTES = 8
_V4 = 16
"""Bytes of an address of version 4 and what stands before it."""
MANY = 65_536
"""Names and addresses that are kept as written here."""


def _middle_of(index: IndexRow) -> bytes:
    return b"".join(
        (
            _text(index.kind),
            _text(index.outcome),
            _text(index.actor),
            _texts(index.projects),
            _texts(index.repositories),
            _texts(index.actions),
        )
    )


def _join(times: Iterable[int], middles: Iterable[bytes], addresses: Iterable[bytes]) -> list[Hashable]:
    pack, of_each = _BEGIN.pack, zip(times, middles, addresses, strict=True)
    return [
        pack(_COUNT, _TIME, _TIME_BYTES, time - _MICROSECONDS_TO_2000) + middle + address
        for time, middle, address in of_each
    ]


@lru_cache(maxsize=MANY)
def _text(text: str) -> bytes:
    return _field(_TEXT, text.encode())


@lru_cache(maxsize=MANY)
def _texts(items: tuple[str, ...]) -> bytes:
    """Return an array of one dimension that begins at 1; an empty one has none."""
    if not items:
        return _field(_TEXTS, _ARRAY.pack(0, 0, _TEXT))
    encoded = [item.encode() for item in items]
    values = b"".join(_INT.pack(len(value)) + value for value in encoded)
    return _field(_TEXTS, _ARRAY.pack(1, 0, _TEXT) + _DIMENSION.pack(len(items), 1) + values)


@lru_cache(maxsize=MANY)
def _inet(text: str | None) -> bytes:
    """Return an address; what is none stands for itself, as no column can hold it."""
    if text is None:
        return _FIELD.pack(_INET, _NULL)
    with suppress(OSError, ValueError):  # nearly all: a fifth of the time of the next
        return _address(inet_pton(AF_INET, text), 32)
    try:
        address = ip_interface(text)
    except ValueError:
        return _field(_INET, text.encode())
    return _address(address.ip.packed, address.network.prefixlen)


def _address(packed: bytes, bits: int) -> bytes:
    return _field(_INET, bytes((_FAMILIES[len(packed)], bits, 0, len(packed))) + packed)


def _field(type_: int, value: bytes) -> bytes:
    return _FIELD.pack(type_, len(value)) + value


def _split(record: bytes) -> Sequence[object]:
    """Return the fields of a record, undecoded."""
    fields, at = list[object](), _INT.size
    for _ in IndexRow._fields:
        type_, length = _FIELD.unpack_from(record, at)
        at += _FIELD.size
        fields.append((type_, length, record[at : at + max(length, 0)]))
        at += max(length, 0)
    return fields


STORED = Form(of=_middle_of, of_address=_inet, join=_join, split=_split, hint=slice(_BEGIN.size, -_V4))
