from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.core.merkle import EMPTY, leaf_hash
from authsvc.core.proof import hashes_over
from authsvc.core.tiles import (
    TILE_WIDTH,
    TileError,
    TilePlace,
    decode_bundle,
    encode_bundle,
    split_tile,
    subtree_root,
    tiles_of,
)

entries = st.lists(st.binary(max_size=40), max_size=TILE_WIDTH)


@pytest.mark.parametrize(
    ("place", "path"),
    [
        (TilePlace(0, 0), "tile/0/000"),
        (TilePlace(1, 1234067), "tile/1/x001/x234/067"),
        (TilePlace(0, 273, 112), "tile/0/273.p/112"),
        (TilePlace(2, 1000, 1), "tile/2/x001/000.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(place: TilePlace, path: str) -> None:
    """A tile's path has three digits an element, an x before all but the last, and its width when it is partial."""
    assert place.path == path


def test_the_tiles_of_the_specification_s_example() -> None:
    """A tree of 70,000 leaves has the tiles that tlog-tiles counts for it."""
    found = [(place.level, place.width) for place in tiles_of(70_000)]
    assert found.count((0, 256)) == 273
    assert [place for place in found if place != (0, 256)] == [(0, 112), (1, 256), (1, 17), (2, 1)]
    assert [(place.level, place.width) for place in tiles_of(256)] == [(0, 256), (1, 1)]


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=256, max_size=256))
def test_a_full_tile_is_one_hash_of_the_next_level(hashes: Sequence[bytes]) -> None:
    """The root over a full tile is the root over its leaves."""
    assert subtree_root(hashes) == hashes_over(hashes)(8, 0) == EMPTY.append(hashes).root


@given(entries)
def test_bundles_read_back(bundled: list[bytes]) -> None:
    """What was bundled comes out again, and hashes to the tile beside it."""
    assert decode_bundle(encode_bundle(bundled), len(bundled)) == tuple(bundled)
    tile = b"".join(leaf_hash(entry) for entry in bundled)
    assert split_tile(tile, len(bundled)) == tuple(leaf_hash(entry) for entry in bundled)


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=TILE_WIDTH))
def test_no_bytes_make_a_reader_raise_anything_else(data: bytes, width: int) -> None:
    """Bytes are a bundle that is written the same again, or a TileError; so are tiles."""
    with suppress(TileError):
        assert encode_bundle(decode_bundle(data, width)) == data
    try:
        assert b"".join(split_tile(data, width)) == data
    except TileError:
        assert len(data) != 32 * width
