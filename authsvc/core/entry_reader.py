"""Reading entries to verify them: strictly, and many at once where they are like earlier ones."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Self

from authsvc.core.canonical import Json, NotCanonicalError
from authsvc.core.entry_template import PLAIN, Cut, Form, Shape, Template, are_plain, is_plain_address
from authsvc.core.event import IndexRow, MalformedEntryError, index_entry
from authsvc.core.kind import Kind
from authsvc.core.states import integer_of

MAX_REMEMBERED = 64 * 2**20
"""Bytes of the entries that templates are made of; they take about four times as much."""
MAX_PLACES = 50_000
_ALIKE = 8
"""Templates that are tried for one entry."""
_DIGITS_OF_TOKENS = 4
"""How many numbers an entry has that holds a token, of whatever kind it says it is."""
_ADDRESS = b'},"address":'
"""Ends the actor, where an entry has an address."""
OF_THE_LOG = frozenset({Kind.AUDIT_PRUNED, Kind.AUDIT_RECOVERED})
"""What tells what became of the log itself."""

Decode = Callable[[bytes], Mapping[str, Json]]
"""Reads canonical JSON as `canonical.decode` does, perhaps faster; raises NotCanonicalError."""

LogRow = tuple[int, bytes, Any]
"""One row of the log as stored: seq, entry, and the other columns in the reader's form; None where only entries are kept."""


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
    the token's exp and nbf. When there are none its shape is its own alone.
    """

    shape: Shape
    time: int
    place: Place
    digits: Sequence[bytes]

    @property
    def fields(self) -> Mapping[str, Json]:
        """The entry as an object, but for the nonce, which says nothing."""
        fields = self.shape.fields()
        if not self.digits:
            return fields
        own: dict[str, Json] = {"time": self.time, "address": self.place.address}
        token, numbers = fields.get("token"), self.numbers
        if isinstance(token, dict) and numbers is not None:
            own["revision"] = numbers.revision
            own["token"] = {**token, "exp": numbers.expires, "nbf": numbers.not_before}
        return {**fields, **own}

    @property
    def numbers(self) -> Numbers | None:
        """What is its own of an entry that shares its shape, and has a token."""
        if len(self.digits) != _DIGITS_OF_TOKENS:
            return None
        revision, _, expires, not_before = map(int, self.digits)
        return Numbers(revision, expires, not_before)


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries that were read, in order; side by side, as most are never asked for one by one.

    `watched` are the places of those that are of policy or tell what became of the log.
    """

    shapes: Sequence[Shape]
    times: Sequence[int]
    places: Sequence[Place]
    digits: Sequence[Sequence[bytes]]
    watched: Sequence[int]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Self:
        """Return entries that were read one by one."""
        return cls(
            [entry.shape for entry in entries],
            [entry.time for entry in entries],
            [entry.place for entry in entries],
            [entry.digits for entry in entries],
            [at for at, entry in enumerate(entries) if entry.shape.is_watched],
        )

    def __len__(self) -> int:
        return len(self.shapes)

    def __iter__(self) -> Iterator[Entry]:
        return map(Entry, self.shapes, self.times, self.places, self.digits)

    def __getitem__(self, at: int) -> Entry:
        return Entry(self.shapes[at], self.times[at], self.places[at], self.digits[at])


@dataclass(slots=True)
class EntryReader:
    """Reads entries, and remembers templates and addresses; `form` is the one that the rows' columns have."""

    decode: Decode
    form: Form = PLAIN
    _templates: dict[Hashable, list[Template]] = field(default_factory=dict)
    _places: dict[bytes, Place] = field(default_factory=dict)
    _remembered: int = 0

    def read(self, data: object) -> Entry:
        """Return an entry with its kind and columns; raises MalformedEntryError for what is no entry of a known schema."""
        if not isinstance(data, bytes):
            raise MalformedEntryError("there is no entry")
        fields = self._decode(data)
        try:
            index = index_entry(fields)
            shape = self._shape_of(index, lambda: fields, len(data))
            place = Place(index.address, self.form.of_address(index.address))
            return Entry(shape, integer_of(fields, "time"), place, ())
        except MalformedEntryError:
            raise
        except (ValueError, TypeError) as error:
            raise MalformedEntryError("the entry is of no known kind") from error

    def read_rows(self, rows: Sequence[LogRow]) -> Entries | None:
        """Return the entries of rows when each is an entry with the columns that it implies.

        None says that this is not so, or could not be seen at once: `read` each and compare its columns, which decides, and finds
        the first that is wrong.
        """
        try:
            return self._read_rows(rows)
        except MalformedEntryError:
            return None

    def _read_rows(self, rows: Sequence[LogRow]) -> Entries | None:
        shapes, places, digits = list[Shape](), list[Place](), list[Sequence[bytes]]()
        nonces, times, alone = list[bytes](), list[bytes](), list[tuple[int, Entry]]()
        known, place_of = self._templates.get, self._places.get
        for hint, (_, data, _) in zip(self._hints(rows), rows, strict=True):
            alike = known(hint)
            template = alike[0] if alike else None
            cut = None if template is None else template.cut(data)
            if template is None or cut is None:
                template, cut = self._find(data, hint) or (None, None)
            place = None if cut is None else place_of(cut[0]) or self._learn_place(cut[0])
            if template is None or cut is None or place is None:
                entry = self.read(data)
                alone.append((len(shapes), entry))
                shapes.append(entry.shape)
                places.append(entry.place)
                digits.append(entry.digits)
                times.append(_PENDING)
                continue
            parts = cut[1]
            shapes.append(template.shape)
            places.append(place)
            nonces.append(parts[1])
            digits.append(parts[3::2])
            times.append(parts[template.time_at])
        if not are_plain(nonces, times, list(chain.from_iterable(digits))):
            return None
        microseconds = list(map(int, times))
        for at, entry in alone:
            microseconds[at] = entry.time
        entries = Entries(
            shapes, microseconds, places, digits, [at for at, entry in alone if entry.shape.is_watched]
        )
        return entries if self._agree(entries, [columns for _, _, columns in rows]) else None

    def _hints(self, rows: Sequence[LogRow]) -> list[Hashable]:
        """Return which templates to try for each row: columns are not believed for that. Raises MalformedEntryError."""
        if not {type(data) for _, data, _ in rows} <= {bytes}:
            raise MalformedEntryError("there is no entry")
        part = self.form.hint
        return [
            data[: data.find(_ADDRESS)] if columns is None else columns[part] for _, data, columns in rows
        ]

    def _agree(self, entries: Entries, stored: Sequence[object]) -> bool:
        """Say whether the columns that are stored are those that entries imply; where none are, there is nothing to say."""
        if stored.count(None) == len(stored):
            return True
        middles, addresses = (
            [shape.columns for shape in entries.shapes],
            [one.column for one in entries.places],
        )
        return self.form.join(entries.times, middles, addresses) == stored

    def _find(self, data: bytes, hint: Hashable) -> tuple[Template, Cut] | None:
        """Return the template of an entry, learned if need be, with what it cuts out; None where it has none.

        Raises MalformedEntryError for what would have one and is no entry.
        """
        alike = self._templates.get(hint, [])
        for at, template in enumerate(alike):
            cut = template.cut(data)
            if cut is not None:
                alike.insert(0, alike.pop(at))
                return template, cut
        learned = Template.of(data, alike, self._learn_shape)
        cut = None if learned is None else learned.cut(data)
        if learned is None or cut is None or learned.shape.is_watched:
            return None
        if self._remembered >= MAX_REMEMBERED:
            self._templates.clear()
            self._remembered, alike = 0, []
        self._templates[hint] = [learned, *alike[: _ALIKE - 1]]
        self._remembered += learned.shape.size - sum(dropped.shape.size for dropped in alike[_ALIKE - 1 :])
        return learned, cut

    def _learn_shape(self, data: bytes) -> Shape:
        """Return the shape of an entry, which is kept as bytes: an object takes several times the room."""
        return self._shape_of(index_entry(self._decode(data)), partial(self.decode, data), len(data))

    def _learn_place(self, address: bytes) -> Place | None:
        """Return the place of an address that is written as one."""
        if not is_plain_address(address):
            return None
        if len(self._places) >= MAX_PLACES:
            self._places.clear()
        text = address.decode()
        place = self._places[address] = Place(text, self.form.of_address(text))
        return place

    def _decode(self, data: bytes) -> Mapping[str, Json]:
        try:
            return self.decode(data)
        except NotCanonicalError as error:
            raise MalformedEntryError(f"the entry is no canonical JSON: {error}") from error

    def _shape_of(self, index: IndexRow, fields: Callable[[], Mapping[str, Json]], size: int) -> Shape:
        try:
            kind = Kind(index.kind)
        except ValueError as error:
            raise MalformedEntryError("the entry is of no known kind") from error
        return Shape(kind, kind.is_of_policy or kind in OF_THE_LOG, self.form.of(index), fields, size)


_PENDING = b"1"
"""Stands for the time of an entry that was read alone."""
