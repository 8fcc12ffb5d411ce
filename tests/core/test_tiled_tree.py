"""The tree over stored tiles, against the tree over all of its leaves."""

from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authsvc.core.proof import consistency_proof, hashes_over, inclusion_proof
from authsvc.core.tiled_tree import Node, TiledTree, nodes_of, span_of, stored_under
from authsvc.core.tiles import TILE_WIDTH, TileError, TilePlace, parse_place

MOST = 2_000
LEAVES = [sha256(b"%d" % n).digest() for n in range(MOST)]
WHOLE = hashes_over(LEAVES)


def read(nodes: list[Node], *, tiled: int, size: int) -> TiledTree:
    """Read what the nodes need and nothing else: spans of the stored tiles, and the leaves beyond these."""
    spans = {node: span_of(node) for node in stored_under(nodes, tiled)}
    stored = {
        node: b"".join(WHOLE(8 * span.level, span.first + at) for at in range(span.count))
        for node, span in spans.items()
    }
    assert all(
        span.first // TILE_WIDTH == (span.first + span.count - 1) // TILE_WIDTH for span in spans.values()
    )
    return TiledTree(tiled, stored, LEAVES[tiled:size])


@settings(max_examples=200)
@given(st.integers(1, MOST), st.data())
def test_proofs_are_those_of_the_whole_tree(size: int, data: st.DataObject) -> None:
    """However far the tiles are behind, inclusion and consistency proofs are those made from all leaves."""
    tiled = TILE_WIDTH * data.draw(st.integers(0, size // TILE_WIDTH))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    for prove in (
        lambda hash_of: (hash_of(0, index), *inclusion_proof(index, size, hash_of)),
        lambda hash_of: consistency_proof(old, size, hash_of),
    ):
        tree = read(nodes_of(prove), tiled=tiled, size=size)
        assert prove(tree.hash_of) == prove(WHOLE)


def test_what_is_missing_is_told() -> None:
    """A span or a leaf that was not read is a TileError, never a wrong hash."""
    with pytest.raises(TileError):
        TiledTree(256, {}, LEAVES[256:300]).hash_of(0, 7)
    with pytest.raises(TileError):
        TiledTree(256, {}, LEAVES[256:300]).hash_of(3, 40)


@given(st.integers(0, 7), st.integers(0, 10**12), st.integers(1, 256))
@example(0, 1_234_067, 7)
def test_a_place_is_read_as_it_is_written(level: int, index: int, width: int) -> None:
    """Every place has one path, and every path that is not written so is none."""
    place = TilePlace(level, index, width)
    _, level_text, number = place.path.split("/", 2)
    assert parse_place(level_text, number) == place
    for wrong in (
        number + "/",
        "/" + number,
        number.replace("x", ""),
        "x000/" + number,
        number + ".p/0",
        number + ".p/256",
    ):
        assert parse_place(level_text, wrong) in (None, place if wrong == number else None)
    assert parse_place("0" + level_text, number) is None


@given(st.text(), st.text())
def test_no_text_breaks_the_reader_of_places(level: str, number: str) -> None:
    """Any text is a place or none."""
    assert parse_place(level, number) in (None, parse_place(level, number))
