"""Reading entries to verify them: strictly, and quickly where an entry is another but for its numbers.

Nodes ask for the same images over and over: most entries of issued tokens differ from an earlier one in the nonce, the revision
and the times alone. Such an entry has the earlier one's form, columns and grants, and is not parsed again.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from authsvc.core.canonical import Json, NotCanonicalError
from authsvc.core.event import IndexRow, Kind, MalformedEntryError, from_microseconds, index_entry

MAX_REMEMBERED = 50_000

Decode = Callable[[bytes], Mapping[str, Json]]
"""Reads canonical JSON as `canonical.decode` does, perhaps faster; raises NotCanonicalError."""

_INTEGER = rb"(0|[1-8][0-9]{0,15})"
_TEXT = rb'"[^"\\]*"'
_NONCE = b',"nonce":"'

# INVARIANT: each part that is cut out is a whole JSON value of one form, a text without escapes or an integer below 2^53 without
# leading zeros: so what remains, with other values of that form in their places, is canonical when it was so once. The match is
# anchored at the entry's end, where only its outermost members stand.
_TAIL = re.compile(
    _NONCE + rb'[A-Za-z0-9_-]{1,64}"(,"outcome":"[a-z]+"(?:,"peer":' + _TEXT + rb')?,"revision":)' + _INTEGER
    + rb'(,"rule":[0-9],"service":' + _TEXT + rb',"time":)' + _INTEGER
    + rb'(,"token":\{"aud":' + _TEXT + rb',"exp":)' + _INTEGER
    + rb'(,"iss":' + _TEXT + rb',"nbf":)' + _INTEGER + rb'(,"sub":' + _TEXT + rb'\},"v":1\})'
)  # fmt: skip


class Entry(NamedTuple):
    """An entry that was read; those of one `shape` differ in their nonce, revision and times alone. None: it has no other."""

    fields: Mapping[str, Json]
    kind: Kind
    columns: IndexRow
    shape: "Shape | None"


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The first entry of its shape."""

    fields: Mapping[str, Json]
    token: Mapping[str, Json]
    kind: Kind
    columns: IndexRow


@dataclass(slots=True)
class EntryReader:
    """Reads entries, and remembers shapes."""

    decode: Decode
    _shapes: dict[object, Shape] = field(default_factory=dict)

    def read(self, data: bytes | None) -> Entry:
        """Return an entry with its kind and columns; raises MalformedEntryError for what is no entry of a known schema."""
        if data is None:
            raise MalformedEntryError("there is no entry")
        at = data.rfind(_NONCE)
        tail = _TAIL.fullmatch(data, at) if at > 0 else None
        if tail is None:
            return self._parse(data)
        one, revision, two, time, three, exp, four, nbf, five = tail.groups()
        cut = (data[:at], one, two, three, four, five)
        shape = self._shapes.get(cut)
        if shape is None:
            return self._learn(data, cut)
        fields = {
            **shape.fields,
            "revision": int(revision),
            "time": int(time),
            "token": {**shape.token, "exp": int(exp), "nbf": int(nbf)},
        }
        try:
            index = shape.columns._replace(time=from_microseconds(int(time)))
        except OverflowError as error:
            raise MalformedEntryError("a time beyond all calendars") from error
        return Entry(fields, shape.kind, index, shape)

    def _learn(self, data: bytes, cut: object) -> Entry:
        entry = self._parse(data)
        token = entry.fields.get("token")
        if len(self._shapes) >= MAX_REMEMBERED:
            self._shapes.clear()
        if not isinstance(token, Mapping):
            return entry
        shape = self._shapes[cut] = Shape(entry.fields, token, entry.kind, entry.columns)
        return entry._replace(shape=shape)

    def _parse(self, data: bytes) -> Entry:
        try:
            fields = self.decode(data)
            index = index_entry(fields)
            return Entry(fields, Kind(index.kind), index, None)
        except NotCanonicalError as error:
            raise MalformedEntryError(f"the entry is no canonical JSON: {error}") from error
        except MalformedEntryError:
            raise
        except ValueError as error:
            raise MalformedEntryError("the entry is of no known kind") from error
