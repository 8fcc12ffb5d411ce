"""Reading entries to verify them: strictly, and quickly where an entry is another but for its numbers.

Nodes ask for the same images over and over: most entries of issued tokens differ from an earlier one in the nonce, the revision
and the times alone. Such an entry has the earlier one's form, columns and grants, and is not parsed again.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from authsvc.core.canonical import Json, NotCanonicalError
from authsvc.core.event import IndexRow, Kind, MalformedEntryError, index_entry
from authsvc.core.states import integer_of

MAX_REMEMBERED = 50_000

Decode = Callable[[bytes], Mapping[str, Json]]
"""Reads canonical JSON as `canonical.decode` does, perhaps faster; raises NotCanonicalError."""

_INTEGER = rb"(0|[1-8][0-9]{0,15})"
_TEXT = rb'"[^"\\]*"'
_NONCE = b',"nonce":"'

# INVARIANT: each part that is cut out is a whole JSON value of one form, a text without escapes or an integer below 2^53 without
# leading zeros: so what remains, with other values of that form in their places, is canonical when it was so once. The match is
# anchored at the entry's end, where only its outermost members stand. A time of that form lies within all calendars.
_TAIL = re.compile(
    _NONCE + rb'[A-Za-z0-9_-]{1,64}"(,"outcome":"[a-z]+"(?:,"peer":' + _TEXT + rb')?,"revision":)' + _INTEGER
    + rb'(,"rule":[0-9],"service":' + _TEXT + rb',"time":)' + _INTEGER
    + rb'(,"token":\{"aud":' + _TEXT + rb',"exp":)' + _INTEGER
    + rb'(,"iss":' + _TEXT + rb',"nbf":)' + _INTEGER + rb'(,"sub":' + _TEXT + rb'\},"v":1\})'
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How the columns of an entry, its time aside, are held where rows come from: what `of` them is equal, is stored right.

    `split` takes them apart again, in the order of an IndexRow, to tell which one differs.
    """

    of: Callable[[IndexRow], Hashable]
    split: Callable[[Any], Sequence[object]]


PLAIN = Form(of=lambda index: tuple(index[1:]), split=tuple)
"""Columns as an IndexRow has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The first entry of its shape, and its columns as rows hold them."""

    fields: Mapping[str, Json]
    kind: Kind
    moves_policy: bool
    stored: Hashable


class Numbers(NamedTuple):
    """What entries of one shape differ in, beside the nonce and the time."""

    revision: int
    expires: int
    not_before: int


class Entry(NamedTuple):
    """An entry that was read; `time` in microseconds since 1970. Without `numbers` its shape is its own alone."""

    shape: Shape
    time: int
    numbers: Numbers | None

    @property
    def fields(self) -> Mapping[str, Json]:
        """The entry as an object, but for the nonce, which says nothing."""
        fields, token = self.shape.fields, self.shape.fields.get("token")
        if self.numbers is None or not isinstance(token, dict):
            return fields
        revision, expires, not_before = self.numbers
        token = {**token, "exp": expires, "nbf": not_before}
        return {**fields, "revision": revision, "time": self.time, "token": token}


@dataclass(slots=True)
class EntryReader:
    """Reads entries, and remembers shapes; `form` is the one that the rows' columns have."""

    decode: Decode
    form: Form = PLAIN
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
            shape = self._learn(data, cut)
        return Entry(shape, int(time), Numbers(int(revision), int(exp), int(nbf)))

    def _learn(self, data: bytes, cut: object) -> Shape:
        if len(self._shapes) >= MAX_REMEMBERED:
            self._shapes.clear()
        shape = self._shapes[cut] = self._parse(data).shape
        return shape

    def _parse(self, data: bytes) -> Entry:
        try:
            fields = self.decode(data)
            index = index_entry(fields)
            kind = Kind(index.kind)
            shape = Shape(fields, kind, kind.moves_policy, self.form.of(index))
            return Entry(shape, integer_of(fields, "time"), None)
        except NotCanonicalError as error:
            raise MalformedEntryError(f"the entry is no canonical JSON: {error}") from error
        except MalformedEntryError:
            raise
        except (ValueError, TypeError) as error:
            raise MalformedEntryError("the entry is of no known kind") from error
