"""The Merkle tree of the log: RFC 6962 section 2.1 hashing, and the frontier that grows it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


class FrontierError(Exception):
    """A frontier or a leaf hash has not the shape its size demands: what was stored or read is damaged."""


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Hash entries into leaves, as `leaf_hash` does one."""
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry into a leaf: SHA-256 of 0x00 and the entry, 32 bytes."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children into their parent: SHA-256 of 0x01, left and right, 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def fold(subtree_roots: Sequence[bytes]) -> bytes:
    """Join adjacent perfect subtrees, largest first, into the root over all their leaves, or EMPTY_ROOT."""
    if not subtree_roots:
        return EMPTY_ROOT
    *larger, root = subtree_roots
    for left in reversed(larger):
        root = node_hash(left, root)
    return root


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that must be kept of a tree to go on growing it: at most 63 hashes for any number of leaves.

    `size` counts leaves. `hashes` are the roots of the perfect subtrees the tree falls into, largest first:
    one for each bit set in `size`. Raises FrontierError when they do not fit each other.
    """

    size: int
    hashes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise FrontierError(f"{len(self.hashes)} hashes do not make a frontier of size {self.size}")
        if any(len(subtree_root) != HASH_BYTES for subtree_root in self.hashes):
            raise FrontierError("a hash of the frontier is not 32 bytes long")

    @property
    def root(self) -> bytes:
        """The RFC 6962 tree hash of all leaves so far, 32 bytes; computed anew at each reading."""
        return fold(self.hashes)

    def append(self, leaves: Iterable[bytes]) -> "Frontier":
        """Grow by leaf hashes, in order, level by level, about one hash each; raises FrontierError when one is not 32 bytes."""
        nodes, level, larger, smaller = list(leaves), self.size, list(self.hashes), list[bytes]()
        size = self.size + len(nodes)
        if not {HASH_BYTES}.issuperset(map(len, nodes)):
            raise FrontierError("a leaf hash is not 32 bytes long")
        while nodes:
            if level & 1:
                nodes.insert(0, larger.pop())
            if len(nodes) & 1:
                smaller.append(nodes.pop())
            # node_hash, spelled out: this runs while every writer waits for the log's lock.
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            nodes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
            level >>= 1
        return Frontier(size=size, hashes=(*larger, *reversed(smaller)))

    def to_bytes(self) -> bytes:
        """The hashes one after another: 32 bytes for each bit set in `size`, which is stored beside them."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Self:
        """Read back what `to_bytes` wrote; raises FrontierError when the length does not fit the size."""
        return cls(size, tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)))


EMPTY = Frontier(size=0, hashes=())
