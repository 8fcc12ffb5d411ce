"""Reading entries to verify them: strictly, and many at once where they are like earlier ones."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Self

from authsvc.core.canonical import Json, NotCanonicalError
from authsvc.core.entry_template import (
    PLAIN,
    Form,
    Shape,
    Template,
    are_plain,
    is_plain_address,
)
from authsvc.core.event import IndexRow, Kind, MalformedEntryError, index_entry
from authsvc.core.states import integer_of

MAX_REMEMBERED = 100_000
_ALIKE = 8
"""Templates that are tried for one entry."""
_WHO = 64
"""Bytes at the beginning of an entry that are rarely those of another actor's."""
_DIGITS_OF_TOKENS = 4
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
        """What is its own of a token's entry that shares its shape."""
        if len(self.digits) != _DIGITS_OF_TOKENS:
            return None
        revision, _, expires, not_before = self.digits
        return Numbers(int(revision), int(expires), int(not_before))


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries that were read, in order; side by side, as most are never asked for one by one.

    `watched` are the places of those that move policy or tell what became of the log.
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

    def read(self, data: bytes | None) -> Entry:
        """Return an entry with its kind and columns; raises MalformedEntryError for what is no entry of a known schema."""
        if data is None:
            raise MalformedEntryError("there is no entry")
        fields = self._decode(data)
        try:
            index = index_entry(fields)
            shape = self._shape_of(index, lambda: fields)
            place = Place(index.address, self.form.of_address(index.address))
            return Entry(shape, integer_of(fields, "time"), place, ())
        except MalformedEntryError:
            raise
        except (ValueError, TypeError) as error:
            raise MalformedEntryError("the entry is of no known kind") from error

    def read_rows(self, rows: Sequence[LogRow]) -> Entries | None:
        """Return the entries of rows, or None when one of them is no entry, or its columns are not those of its entry.

        Which one it is, `read` tells: of any rows it would say the same, and take its time.
        """
        try:
            return self._read_rows(rows)
        except MalformedEntryError:
            return None

    def _read_rows(self, rows: Sequence[LogRow]) -> Entries | None:
        shapes, places, digits = list[Shape](), list[Place](), list[Sequence[bytes]]()
        nonces, times, alone = list[bytes](), list[bytes](), list[tuple[int, Entry]]()
        middle, known, place_of = self.form.middle, self._templates.get, self._places.get
        for _, data, columns in rows:
            if not data:
                return None
            # Columns are not believed: they only tell which templates to try.
            hint = data[:_WHO] if columns is None else columns[middle]
            alike = known(hint, _NONE)
            cut = alike[0].cut(data) if alike else None
            if cut is None:
                alike = self._find(data, hint)
                cut = alike[0].cut(data) if alike else None
            place = None if cut is None else place_of(cut[0]) or self._learn_place(cut[0])
            if cut is None or place is None:
                entry = self.read(data)
                alone.append((len(shapes), entry))
                shapes.append(entry.shape)
                places.append(entry.place)
                digits.append(entry.digits)
                times.append(_PENDING)
                continue
            template, parts = alike[0], cut[1]
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
        middles, addresses = [shape.columns for shape in shapes], [place.column for place in places]
        implied, stored = self.form.join(microseconds, middles, addresses), [row[2] for row in rows]
        if implied != stored and any(columns is not None for columns in stored):
            return None
        watched = [at for at, entry in alone if entry.shape.is_watched]
        return Entries(shapes, microseconds, places, digits, watched)

    def _find(self, data: bytes, hint: Hashable) -> list[Template]:
        """Return templates of which the first is the entry's, learned if need be; none when it has no template.

        Raises MalformedEntryError for what would have one and is no entry.
        """
        alike = self._templates.get(hint, [])
        for at, template in enumerate(alike):
            if template.cut(data) is not None:
                alike.insert(0, alike.pop(at))
                return alike
        learned = Template.of(data, alike, self._learn_shape)
        if learned is None or learned.shape.is_watched:
            return _NONE
        if self._remembered >= MAX_REMEMBERED:
            self._templates.clear()
            self._remembered = 0
        self._remembered += 1
        self._templates[hint] = alike = [learned, *alike[: _ALIKE - 1]]
        return alike

    def _learn_shape(self, data: bytes) -> Shape:
        """Return the shape of an entry, which is kept as bytes: an object takes several times the room."""
        return self._shape_of(index_entry(self._decode(data)), partial(self.decode, data))

    def _learn_place(self, address: bytes) -> Place | None:
        """Return the place of an address that is written as one."""
        if not is_plain_address(address):
            return None
        if len(self._places) >= MAX_REMEMBERED:
            self._places.clear()
        text = address.decode()
        place = self._places[address] = Place(text, self.form.of_address(text))
        return place

    def _decode(self, data: bytes) -> Mapping[str, Json]:
        try:
            return self.decode(data)
        except NotCanonicalError as error:
            raise MalformedEntryError(f"the entry is no canonical JSON: {error}") from error

    def _shape_of(self, index: IndexRow, fields: Callable[[], Mapping[str, Json]]) -> Shape:
        try:
            kind = Kind(index.kind)
        except ValueError as error:
            raise MalformedEntryError("the entry is of no known kind") from error
        return Shape(kind, kind.moves_policy or kind in OF_THE_LOG, self.form.of(index), fields)


_NONE: list[Template] = []
_PENDING = b"1"
"""Stands for the time of an entry that was read alone."""
