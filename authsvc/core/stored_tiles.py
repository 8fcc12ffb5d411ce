"""Verifying stored tiles: against the signed tree, and so those of pruned entries too, of which nothing else is left."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from authsvc.core.merkle import EMPTY, HASH_BYTES, leaf_hashes
from authsvc.core.tiles import MAX_LEVEL, TILE_WIDTH, TileError, TilePlace, split_tile, subtree_root
from authsvc.core.verified import TamperedError


class TileRow(NamedTuple):
    """A stored tile: the `number`-th of some level, a full one, and the root over its hashes."""

    number: int
    root: bytes
    hashes: bytes


class TreeAt(NamedTuple):
    """The tree at some size, as a batch that was verified has it."""

    size: int
    frontier: bytes


Tiles = Callable[[int], Iterable[TileRow]]
"""Returns the stored tiles of a level, in order."""

Entries = Callable[[int, int], Sequence[bytes]]
"""Returns the entries from a sequence number up to before another that the log has; they were verified."""


class FalseTileError(TamperedError):
    """A stored tile is not the tree's, though the entries are those that were signed; `seq` is the first leaf below it."""

    def __init__(self, place: TilePlace, wrong: str) -> None:
        super().__init__(
            (place.index * TILE_WIDTH) << (8 * place.level),
            f"the stored {place.path} {wrong}; the entries are proved: 'authsvc audit repair-tiles' makes it again",
        )


def verify_tiles(tiles: Tiles, trees: Iterable[TreeAt], entries: Entries) -> None:
    """Return once every stored tile is known to be the tree's, and none before another is missing.

    `trees` are in ascending order, one for each number of full tiles that there was after a batch.
    Raises FalseTileError for the first tile that is wrong, in the order of levels.
    """
    below = _verify_lowest(tiles(0), trees, entries)
    for level in range(1, MAX_LEVEL + 1):
        below = _verify_level(level, tiles(level), below)


def _verify_lowest(row: Iterable[TileRow], trees: Iterable[TreeAt], entries: Entries) -> list[bytes]:
    """Return the roots of the tiles of leaf hashes: folded, they are what every batch's frontier begins with."""
    roots, tree, proved, ahead = list[bytes](), EMPTY, 0, iter(trees)
    at = next(ahead, None)
    for tile in row:
        place = TilePlace(0, len(roots))
        roots.append(_check_root(place, tile))
        tree = tree.append(roots[-1:])
        while at is not None and at.size // TILE_WIDTH < tree.size:
            at = next(ahead, None)
        if at is None:
            raise FalseTileError(place, "lies beyond the end of the log")
        if at.size // TILE_WIDTH == tree.size:
            if at.frontier[: HASH_BYTES * tree.size.bit_count()] != tree.to_bytes():
                raise FalseTileError(TilePlace(0, proved), "is not of the tree that was signed")
            proved = tree.size
    # What one batch filled beside others, no frontier tells of.
    for index in range(proved, len(roots)):
        leaves = leaf_hashes(entries(index * TILE_WIDTH, (index + 1) * TILE_WIDTH))
        if len(leaves) != TILE_WIDTH or subtree_root(leaves) != roots[index]:
            raise FalseTileError(TilePlace(0, index), "is not of the tree that was signed")
    return roots


def _verify_level(level: int, row: Iterable[TileRow], below: Sequence[bytes]) -> list[bytes]:
    """Return the roots of the tiles of a higher level, whose hashes are the roots `below`."""
    roots = list[bytes]()
    for tile in row:
        place = TilePlace(level, len(roots))
        first = place.index * TILE_WIDTH
        if tile.hashes != b"".join(below[first : first + TILE_WIDTH]):
            raise FalseTileError(place, "is not of the tiles below it")
        roots.append(_check_root(place, tile))
    if len(roots) != len(below) // TILE_WIDTH:
        raise FalseTileError(TilePlace(level, len(roots)), "is missing")
    return roots


def _check_root(place: TilePlace, tile: TileRow) -> bytes:
    """Return a tile's root, which it has to name itself."""
    if tile.number != place.index:
        raise FalseTileError(place, "is missing")
    try:
        root = subtree_root(split_tile(tile.hashes, TILE_WIDTH))
    except TileError as error:
        raise FalseTileError(place, f"is damaged: {error}") from error
    if root != tile.root:
        raise FalseTileError(place, "has another root than it claims")
    return root
