"""Stored tiles against the signed tree: every one that is false is named, whatever became of the entries below it."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.core.merkle import EMPTY, leaf_hashes
from authsvc.core.stored_tiles import FalseTileError, TileRow, TreeAt, verify_tiles
from authsvc.core.tiles import TILE_WIDTH, subtree_root
from authsvc.core.verified import TamperedError

COUNT = 257
ENTRIES = [b"%d" % n for n in range(COUNT * TILE_WIDTH + 90)]
LEAVES = leaf_hashes(ENTRIES)


def tile(index: int, hashes: list[bytes]) -> TileRow:
    """A full tile with its root."""
    return TileRow(index, subtree_root(hashes), b"".join(hashes))


LOWEST = [tile(n, LEAVES[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]) for n in range(COUNT)]
STORED = {0: LOWEST, 1: [tile(0, [one.root for one in LOWEST[:TILE_WIDTH]])]}


def trees(step: int) -> list[TreeAt]:
    """The tree after each batch of so many entries."""
    found, frontier = [], EMPTY
    for start in range(0, len(LEAVES), step):
        frontier = frontier.append(LEAVES[start : start + step])
        found.append(TreeAt(frontier.size, frontier.to_bytes()))
    return found


TREES = {step: trees(step) for step in (90, 256, 700, 2_000)}


def verify(stored: dict[int, list[TileRow]], step: int = 90, *, first: int = 0) -> None:
    """Verify tiles over a log of batches of `step`, of which what is before `first` was pruned."""
    verify_tiles(
        lambda level: stored.get(level, []), TREES[step], lambda start, end: ENTRIES[max(first, start) : end]
    )


@pytest.mark.parametrize("step", TREES)
@pytest.mark.parametrize("stored", [STORED, {0: LOWEST[:9]}, {}])
def test_true_tiles_are_proved(stored: dict[int, list[TileRow]], step: int) -> None:
    """Tiles of the tree pass, however far behind they are and however large batches are; pruned entries are not asked for."""
    verify(stored, step, first=(COUNT - 8) * TILE_WIDTH if stored is STORED else 0)


@settings(max_examples=40)
@given(index=st.integers(0, COUNT - 1), byte=st.integers(0, 8191), honest=st.booleans())
def test_a_false_hash_is_found_in_its_tile(index: int, byte: int, honest: bool) -> None:
    """One bit of one hash, with the root made to fit or not, is told with the first entry below the tile, and what to do."""
    hashes = bytearray(LOWEST[index].hashes)
    hashes[byte] ^= 1
    parts = [bytes(hashes[at : at + 32]) for at in range(0, len(hashes), 32)]
    false = TileRow(index, subtree_root(parts) if honest else LOWEST[index].root, bytes(hashes))
    with pytest.raises(FalseTileError, match="repair-tiles") as told:
        verify({**STORED, 0: [*LOWEST[:index], false, *LOWEST[index + 1 :]]}, first=len(ENTRIES))
    assert told.value.seq == index * TILE_WIDTH
    assert isinstance(told.value, TamperedError)


@pytest.mark.parametrize(
    ("stored", "seq", "says"),
    [
        ({**STORED, 0: LOWEST[:5] + LOWEST[6:]}, 5 * TILE_WIDTH, "tile/0/005 is missing"),
        ({**STORED, 0: LOWEST[1:]}, 0, "tile/0/000 is missing"),
        ({**STORED, 0: [*LOWEST, tile(COUNT, LEAVES[:256])]}, COUNT * TILE_WIDTH, "beyond the end"),
        ({0: [*LOWEST, tile(2**40, LEAVES[:256])]}, COUNT * TILE_WIDTH, "x257|tile/0/257 is missing"),
        ({0: [LOWEST[0]._replace(root=bytes(32))]}, 0, "another root"),
        ({0: [LOWEST[0]._replace(hashes=b"short")]}, 0, "damaged"),
        ({0: LOWEST}, 0, "tile/1/000 is missing"),
        ({**STORED, 1: [tile(0, LEAVES[:256])]}, 0, "tile/1/000 is not of the tiles below"),
        ({0: LOWEST[:5], 1: STORED[1]}, 0, "tile/1/000 is not of the tiles below"),
        ({**STORED, 2: [tile(0, LEAVES[:256])]}, 0, "tile/2/000 is not of the tiles below"),
    ],
)
def test_what_is_not_the_tree_is_named(stored: dict[int, list[TileRow]], seq: int, says: str) -> None:
    """Missing, superfluous, damaged and misplaced tiles are told by their path."""
    with pytest.raises(FalseTileError, match=says) as told:
        verify(stored)
    assert told.value.seq == seq


@pytest.mark.parametrize("step", [700, 2_000])
def test_tiles_that_no_batch_ends_with_are_found_too(step: int) -> None:
    """Where a batch filled several tiles, the last is held against the entries; of pruned entries it is not believed."""
    false = tile(3, [sha256(bytes([n])).digest() for n in range(256)])
    with pytest.raises(FalseTileError):
        verify({0: [*LOWEST[:3], false]}, step)
    with pytest.raises(FalseTileError):
        verify({0: LOWEST[:4]}, 2_000, first=len(ENTRIES))
