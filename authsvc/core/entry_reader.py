"""Reading entries to verify them: strictly, and quickly where an entry is another but for its numbers and its address.

Nodes ask for the same images over and over: most entries of issued tokens differ from an earlier one in the nonce, the revision,
the times and the client's address alone. Such an entry has the earlier one's form, columns and grants, and is not parsed again.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple, Self

from authsvc.core.canonical import Json, NotCanonicalError
from authsvc.core.event import IndexRow, Kind, MalformedEntryError, index_entry
from authsvc.core.states import integer_of

MAX_REMEMBERED = 50_000
_ALIKE = 8
"""Templates that are tried for one entry."""
_WHO = 64
"""Bytes at the beginning of an entry that are rarely those of another actor's."""

Decode = Callable[[bytes], Mapping[str, Json]]
"""Reads canonical JSON as `canonical.decode` does, perhaps faster; raises NotCanonicalError."""

_DIGITS_OF_TOKENS = 4
_NONCE = b',"nonce":"'
_ADDRESS = b',"address":"'
_PLAIN_ADDRESS = re.compile(rb"[0-9A-Fa-f.:]{1,45}")
_NONCE_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_TEXT = rb'"[^"\\]*"'
_INTEGER = rb"([1-9][0-9]{0,14})"
_TIME = rb"([1-8][0-9]{15})"
# INVARIANT: they are anchored at the entry's end, where only its outermost members stand.
_TOKEN_TAIL = re.compile(
    _NONCE + rb'([A-Za-z0-9_-]{1,64})","outcome":"[a-z]+"(?:,"peer":' + _TEXT + rb')?,"revision":' + _INTEGER
    + rb',"rule":[0-9],"service":' + _TEXT + rb',"time":' + _TIME + rb',"token":\{"aud":' + _TEXT + rb',"exp":' + _INTEGER
    + rb',"iss":' + _TEXT + rb',"nbf":' + _INTEGER + rb',"sub":' + _TEXT + rb'\},"v":1\}'
)  # fmt: skip
_OTHER_TAIL = re.compile(
    _NONCE + rb'([A-Za-z0-9_-]{1,64})"(?:,"(?:outcome|peer|reason|service)":' + _TEXT + rb')+,"time":' + _TIME + rb',"v":1\}'
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """How columns are held where rows come from: what an entry's are joined to is equal to what is stored right.

    `of` all but the first and the last, which are the time in microseconds since 1970 and the address; `split` takes what was
    joined apart again, in the order of an IndexRow, to tell which one differs. `hint` is about what they are but for these two.
    """

    of: Callable[[IndexRow], Hashable]
    of_address: Callable[[str | None], Hashable]
    join: Callable[[int, Any, Any], Hashable]
    split: Callable[[Any], Sequence[object]]
    hint: Callable[[Any], Hashable]


PLAIN = Form(
    of=lambda index: tuple(index[1:-1]),
    of_address=lambda address: address,
    join=lambda time, columns, address: (time, *columns, address),
    split=tuple,
    hint=itemgetter(slice(1, -1)),
)
"""Columns as an IndexRow has them, the time in microseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The first entry of its shape, and its columns but for time and address as rows hold them."""

    fields: Mapping[str, Json]
    kind: Kind
    moves_policy: bool
    columns: Hashable


class Place(NamedTuple):
    """An address that was asked from, and its column."""

    address: str | None
    column: Hashable


class Numbers(NamedTuple):
    """What tokens' entries of one shape differ in, beside the nonce, the time and the address."""

    revision: int
    expires: int
    not_before: int


class Entry(NamedTuple):
    """An entry that was read; `time` in microseconds since 1970.

    `digits` are the numbers in which it differs from others of its shape: the time alone, or the policy revision, the time, and
    the token's exp and nbf. When they are None its shape is its own alone.
    """

    shape: Shape
    time: int
    place: Place
    digits: Sequence[bytes] | None

    @property
    def fields(self) -> Mapping[str, Json]:
        """The entry as an object, but for the nonce, which says nothing."""
        fields = self.shape.fields
        if self.digits is None:
            return fields
        own: dict[str, Json] = {"time": self.time, "address": self.place.address}
        token, numbers = fields.get("token"), self.numbers
        if isinstance(token, dict) and numbers is not None:
            own["revision"] = numbers.revision
            own["token"] = {**token, "exp": numbers.expires, "nbf": numbers.not_before}
        return {**fields, **own}

    @property
    def numbers(self) -> Numbers | None:
        """What is its own of a token's entry that shares its shape."""
        if self.digits is None or len(self.digits) != _DIGITS_OF_TOKENS:
            return None
        revision, _, expires, not_before = self.digits
        return Numbers(int(revision), int(expires), int(not_before))


@dataclass(frozen=True, slots=True)
class _Template:
    """An entry of which parts were cut out: another that is the same around parts of the same form is of the same shape.

    `head` goes up to the address. What follows the address is laid out in parts that stay and parts that were cut out, in turns.

    INVARIANT: each part that is cut out is a whole JSON value of one form: a text that needs no escapes, or an integer below
    2^53 of the same number of digits without leading zeros. So another entry is canonical as the first was, and each part is the
    value of the same member.
    """

    head: bytes
    layout: Struct
    stays: tuple[bytes, ...]
    shape: Shape

    @classmethod
    def of(
        cls, data: bytes, alike: Sequence[Self], learn: Callable[[bytes, bytes], Shape | None]
    ) -> Self | None:
        """Return the template of an entry, or None when it is none of those that there are many of.

        Of templates that are alike but for numbers of other lengths the shape is the same; otherwise it is learned.
        """
        begin, nonce = data.find(_ADDRESS), max(data.rfind(_NONCE), 0)
        tail = _TOKEN_TAIL.fullmatch(data, nonce) or _OTHER_TAIL.fullmatch(data, nonce)
        if begin < 0 or tail is None:
            return None
        begin += len(_ADDRESS)
        bounds = [data.index(b'"', begin), *chain.from_iterable(tail.regs[1:]), len(data)]
        parts = [data[start:end] for start, end in pairwise(bounds)]
        head, layout, stays = (
            data[:begin],
            Struct("".join(f"{len(part)}s" for part in parts)),
            tuple(parts[::2]),
        )
        shapes = (known.shape for known in alike if (known.head, known.stays) == (head, stays))
        shape = next(shapes, None) or learn(data, head)
        return None if shape is None else cls(head, layout, stays, shape)


@dataclass(slots=True)
class EntryReader:
    """Reads entries, and remembers templates and addresses; `form` is the one that the rows' columns have."""

    decode: Decode
    form: Form = PLAIN
    _templates: dict[Hashable, list[_Template]] = field(default_factory=dict)
    _places: dict[bytes, Place] = field(default_factory=dict)
    _remembered: int = 0

    def read(self, data: bytes | None, columns: Hashable = None) -> Entry:
        """Return an entry with its kind and columns; raises MalformedEntryError for what is no entry of a known schema.

        `columns` are those of its row, if there are any: they are not believed, they only tell which templates to try.
        """
        if data is None:
            raise MalformedEntryError("there is no entry")
        hint = data[:_WHO] if columns is None else self.form.hint(columns)
        templates = self._templates.get(hint)
        if templates is None:
            return self._learn(data, hint)
        for number, template in enumerate(templates):
            entry = self._fill(template, data)
            if entry is not None:
                if number > 0:
                    templates.insert(0, templates.pop(number))
                return entry
        return self._learn(data, hint)

    def _fill(self, template: _Template, data: bytes) -> Entry | None:
        """Return the entry when it is of this template."""
        layout, head = template.layout, template.head
        at = len(data) - layout.size
        if at < 0 or not data.startswith(head):
            return None
        parts = layout.unpack_from(data, at)
        if parts[::2] != template.stays:
            return None
        nonce, *digits = parts[1::2]
        time = digits[1] if len(digits) > 1 else digits[0]
        address = data[len(head) : at]
        place = self._places.get(address) or self._learn_place(address)
        if (
            place is None
            or time >= b"9"
            or min(digits) < b"1"
            or not b"".join(digits).isdigit()
            or nonce.translate(None, _NONCE_CHARACTERS)
        ):
            return None
        return Entry(template.shape, int(time), place, digits)

    def _learn_place(self, address: bytes) -> Place | None:
        """Return the place of an address, unless it is written as no address is: another text might need escapes."""
        if _PLAIN_ADDRESS.fullmatch(address) is None:
            return None
        if len(self._places) >= MAX_REMEMBERED:
            self._places.clear()
        text = address.decode()
        place = self._places[address] = Place(text, self.form.of_address(text))
        return place

    def _learn(self, data: bytes, hint: Hashable) -> Entry:
        """Return an entry that is of no template, and remember its own where it has one."""
        alike = self._templates.get(hint, [])
        template = _Template.of(data, alike, self._learn_shape)
        entry = None if template is None else self._fill(template, data)
        if template is None or entry is None:
            return self._parse(data)
        if self._remembered >= MAX_REMEMBERED:
            self._templates.clear()
            self._remembered = 0
        self._templates[hint] = [template, *alike[: _ALIKE - 1]]
        self._remembered += 1
        return entry

    def _learn_shape(self, data: bytes, head: bytes) -> Shape | None:
        """Parse an entry, and return its shape when the head ends with its outermost address: it wants no more than closing."""
        try:
            self.decode(head.removesuffix(_ADDRESS) + b"}")
        except NotCanonicalError:
            return None
        return self._parse(data).shape

    def _parse(self, data: bytes) -> Entry:
        try:
            fields = self.decode(data)
            index = index_entry(fields)
            kind = Kind(index.kind)
            shape = Shape(fields, kind, kind.moves_policy, self.form.of(index))
            place = Place(index.address, self.form.of_address(index.address))
            return Entry(shape, integer_of(fields, "time"), place, None)
        except NotCanonicalError as error:
            raise MalformedEntryError(f"the entry is no canonical JSON: {error}") from error
        except MalformedEntryError:
            raise
        except (ValueError, TypeError) as error:
            raise MalformedEntryError("the entry is of no known kind") from error
