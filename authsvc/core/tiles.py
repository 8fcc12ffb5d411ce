"""The static form of the log: C2SP tlog-tiles' paths, tiles of hashes, and bundles of entries."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from authsvc.core.merkle import HASH_BYTES, node_hash

TILE_WIDTH = 256
MAX_LEVEL, MAX_DIGITS = 7, 18
MAX_BUNDLED = 2**16 - 1
"""Bytes of the largest entry that a bundle can hold."""


class TileError(Exception):
    """A tile or a bundle has not the shape that its place demands: what was read is damaged."""


@dataclass(frozen=True, slots=True, order=True)
class TilePlace:
    """The `index`-th tile of a level, of `width` hashes; level 0 holds leaf hashes, and beside it are the bundles of entries."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Return where the tile is served and stored: `tile/0/x001/067`, or `tile/0/x001/067.p/7`."""
        return f"tile/{self.level}/{self._number}"

    @property
    def bundle_path(self) -> str:
        """Return where the entries of a tile of level 0 are: `tile/entries/x001/067`."""
        return f"tile/entries/{self._number}"

    @property
    def _number(self) -> str:
        thousands, last = divmod(self.index, 1000)
        number = f"{last:03}"
        while thousands:
            thousands, part = divmod(thousands, 1000)
            number = f"x{part:03}/{number}"
        return number if self.width == TILE_WIDTH else f"{number}.p/{self.width}"


def tiles_at(size: int, *, level: int) -> Iterator[TilePlace]:
    """Yield the tiles of one level in a tree of `size` leaves, the partial one last; none where the tree is not so high."""
    full, rest = divmod(size >> 8 * level, TILE_WIDTH)
    for index in range(full):
        yield TilePlace(level, index)
    if rest:
        yield TilePlace(level, full, rest)


def tiles_of(size: int) -> Iterator[TilePlace]:
    """Yield every tile of a tree of `size` leaves, level by level."""
    for level in count():
        if not size >> 8 * level:
            return
        yield from tiles_at(size, level=level)


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of a full tile, which is one hash of the level above it."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def split_tile(data: bytes, width: int) -> tuple[bytes, ...]:
    """Return the hashes of a tile; raises TileError unless there are `width` of them."""
    if len(data) != width * HASH_BYTES:
        raise TileError(f"a tile of {width} hashes has {width * HASH_BYTES} bytes")
    return tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as a bundle: each after its length in two bytes, the most significant first."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes, width: int) -> tuple[bytes, ...]:
    """Return the entries of a bundle; raises TileError unless there are `width` of them and nothing more."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:at])
    if at != len(data) or len(entries) != width:
        raise TileError(f"a bundle of {width} entries ends where its lengths say")
    return tuple(entries)


def parse_place(level: str, number: str) -> TilePlace | None:
    """Return the place that a path ends with: `0` and `x001/067.p/7`; None when no place is written so."""
    index, _, width = number.partition(".p/")
    digits = index.replace("/x", "").removeprefix("x").replace("/", "")
    texts = [level, digits, width] if width else [level, digits]
    if not all(text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS for text in texts):
        return None
    place = TilePlace(int(level), int(digits), int(width) if width else TILE_WIDTH)
    written = place.path == f"tile/{level}/{number}" and 1 <= place.width <= TILE_WIDTH
    return place if written and place.level <= MAX_LEVEL else None
