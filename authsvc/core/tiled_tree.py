"""The tree of a log whose full tiles are stored, and whose newest leaves are at hand: what proofs are made of.

A proof asks for the roots of few subtrees. Each is a span of hashes inside one tile (C2SP tlog-tiles), so that making a proof
reads some tiles and no entry but the newest, however long the log is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from authsvc.core.merkle import EMPTY, HASH_BYTES, Frontier, node_hash
from authsvc.core.note import Checkpoint
from authsvc.core.proof import HashOf, consistency_proof, verify_consistency
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


def frontier_of(size: int, hash_of: HashOf, *, level: int = 0) -> Frontier:
    """Return the frontier of the tree of the first `size` nodes of a level."""
    bits = [bit for bit in reversed(range(size.bit_length())) if size >> bit & 1]
    return Frontier(size, tuple(hash_of(level + bit, (size >> bit) - 1) for bit in bits))


@dataclass(frozen=True, slots=True)
class Prefix:
    """A tree of `size` leaves that another is to begin with: what it was made of is true if it leads there."""

    size: int
    root: bytes
    proof: tuple[bytes, ...]

    @classmethod
    def of(cls, size: int, head: Checkpoint, hash_of: HashOf, *, root: bytes | None = None) -> "Prefix":
        """Return the prefix of the head's tree, by its hashes; `root` is given where it was made of others."""
        root = frontier_of(size, hash_of).root if root is None else root
        return cls(size, root, consistency_proof(size, head.size, hash_of))

    def check(self, head: Checkpoint) -> None:
        """Raise ProofError unless the head's tree begins with it."""
        verify_consistency(
            old_size=self.size, old_root=self.root, new_size=head.size, new_root=head.root, proof=self.proof
        )


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
