"""The tree of a log whose full tiles are stored, and whose newest leaves are at hand: what proofs are made of.

A proof asks for the roots of few subtrees. Each is a span of hashes inside one tile (C2SP tlog-tiles), so that making a proof
reads some tiles and no entry but the newest, however long the log is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from authsvc.core.merkle import EMPTY, HASH_BYTES, node_hash
from authsvc.core.proof import HashOf
from authsvc.core.tiles import TileError, split_tile, subtree_root

TILE_LEVELS = 8
"""Levels of the tree that one tile spans."""

Node = tuple[int, int]
"""The root of a perfect subtree: its level in the tree, and its index there."""


@dataclass(frozen=True, slots=True)
class Span:
    """`count` consecutive hashes of a level of tiles, all in one tile."""

    level: int
    first: int
    count: int


def span_of(node: Node) -> Span:
    """Return the hashes under a node that tiles hold: 1 to 128, a power of two."""
    level, above = divmod(node[0], TILE_LEVELS)
    return Span(level, node[1] << above, 1 << above)


def nodes_of(prove: Callable[[HashOf], object]) -> list[Node]:
    """Return the nodes that a proof asks for."""
    nodes: list[Node] = []

    def note(level: int, index: int) -> bytes:
        nodes.append((level, index))
        return bytes(HASH_BYTES)

    prove(note)
    return nodes


def stored_under(nodes: Iterable[Node], tiled: int) -> Iterator[Node]:
    """Yield the nodes whose hashes are stored, where full tiles hold the first `tiled` leaves; some are parts of those given."""
    for level, index in nodes:
        if (index + 1) << level <= tiled:
            yield level, index
        elif index << level < tiled:
            yield from stored_under([(level - 1, 2 * index), (level - 1, 2 * index + 1)], tiled)


@dataclass(frozen=True, slots=True)
class TiledTree:
    """What was read of a tree: of `stored_under` each node's span of hashes, and the leaf hashes from `tiled` on."""

    tiled: int
    stored: Mapping[Node, bytes]
    newest: Sequence[bytes]

    def hash_of(self, level: int, index: int) -> bytes:
        """Return a node's hash; raises TileError when what was read is not what the tree needs."""
        start, end = index << level, (index + 1) << level
        if end <= self.tiled:
            span = span_of((level, index))
            return subtree_root(split_tile(self.stored.get((level, index), b""), span.count))
        if start < self.tiled:
            return node_hash(self.hash_of(level - 1, 2 * index), self.hash_of(level - 1, 2 * index + 1))
        leaves = self.newest[start - self.tiled : end - self.tiled]
        if len(leaves) != end - start:
            raise TileError("entries are missing at the end of the log")
        return EMPTY.append(leaves).root
