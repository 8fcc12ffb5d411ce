"""Inclusion and consistency proofs of RFC 6962, section 2.1, checked as RFC 9162, section 2.1, tells."""

from collections.abc import Callable, Iterator, Sequence

from authsvc.core.merkle import EMPTY, EMPTY_ROOT, HASH_BYTES, fold, node_hash

HashOf = Callable[[int, int], bytes]
"""`hash_of(level, index)`: the root of the perfect subtree over leaves index·2^level to (index+1)·2^level - 1.

Level 0 holds the leaf hashes. Only subtrees that are complete at the size of the proof are asked for, so that
tiles (C2SP tlog-tiles) can answer.
"""

MAX_SIZE = 2**63 - 1


class ProofError(Exception):
    """A proof does not prove what it should, or was asked for where there is none."""


def hashes_over(leaf_hashes: Sequence[bytes]) -> HashOf:
    """Answer for subtrees from all leaf hashes at hand; hashes anew each time, so for small trees only."""

    def hash_of(level: int, index: int) -> bytes:
        return EMPTY.append(leaf_hashes[index << level : (index + 1) << level]).root

    return hash_of


def inclusion_proof(index: int, size: int, hash_of: HashOf) -> tuple[bytes, ...]:
    """Prove that the leaf `index`, from 0, is in the tree of `size` leaves: the audit path, leaf to root.

    Raises ProofError when the tree has no such leaf.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    siblings: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        middle = _middle(start, end)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return tuple(_root_between(*sibling, hash_of) for sibling in reversed(siblings))


def consistency_proof(old_size: int, new_size: int, hash_of: HashOf) -> tuple[bytes, ...]:
    """Prove that the tree of `new_size` leaves begins with the tree of `old_size` leaves.

    Empty from the empty tree and between equal sizes. Raises ProofError when the sizes are out of order.
    """
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise ProofError(f"a tree of {new_size} leaves does not begin with one of {old_size}")
    if old_size == 0:
        return ()
    subtrees: list[tuple[int, int]] = []
    start, end = 0, new_size
    while end != old_size:
        middle = _middle(start, end)
        if old_size <= middle:
            subtrees.append((middle, end))
            end = middle
        else:
            subtrees.append((start, middle))
            start = middle
    if start > 0:  # at 0 the subtree is the whole old tree, whose root the verifier has
        subtrees.append((start, end))
    return tuple(_root_between(*subtree, hash_of) for subtree in reversed(subtrees))


def verify_inclusion(*, leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the leaf hash `leaf` is at `index` in the tree of `size` leaves with this root.

    Raises ProofError, and nothing else, whatever the arguments hold.
    """
    path = _require_hashes(proof)
    _require_hashes((leaf, root))
    if not (_is_size(index) and _is_size(size) and index < size):
        raise ProofError("the tree has no leaf of that index")
    found = leaf
    for sibling, on_left in _climb(index, size - 1, path):
        found = node_hash(sibling, found) if on_left else node_hash(found, sibling)
    if found != root:
        raise ProofError("the proof leads to another root")


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree (new_size, new_root) only appended to the tree (old_size, old_root).

    Raises ProofError, and nothing else, whatever the arguments hold.
    """
    path = _require_hashes(proof)
    _require_hashes((old_root, new_root))
    if not (_is_size(old_size) and _is_size(new_size) and old_size <= new_size):
        raise ProofError("the sizes are out of order")
    _require_empty_root(old_size, old_root)
    _require_empty_root(new_size, new_root)
    if old_size in {0, new_size}:
        if path or (old_size == new_size and old_root != new_root):
            raise ProofError("there is nothing to prove, and the proof or the roots say otherwise")
        return
    # An old tree that is itself a subtree of the new one has its root left out of the proof.
    if old_size.bit_count() == 1:
        path = (old_root, *path)
    if not path:
        raise ProofError("the proof is too short")
    level = (old_size & -old_size).bit_length() - 1  # of the subtree that ends the old tree
    old_found = new_found = path[0]
    for sibling, on_left in _climb((old_size - 1) >> level, (new_size - 1) >> level, path[1:]):
        if on_left:
            old_found, new_found = node_hash(sibling, old_found), node_hash(sibling, new_found)
        else:
            new_found = node_hash(new_found, sibling)
    if old_found != old_root or new_found != new_root:
        raise ProofError("the proof leads to other roots")


def _climb(node: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Walk from a node to the root along its siblings, telling of each whether it stands on the left.

    `node` and `last`, the rightmost node there is, are indices on one level. Raises ProofError unless the
    path ends exactly at the root.
    """
    for sibling in path:
        if last == 0:
            raise ProofError("the proof is too long")
        on_left = node & 1 == 1 or node == last
        yield sibling, on_left
        if on_left:
            while node and not node & 1:  # a rightmost node without a sibling stands for its parent too
                node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofError("the proof is too short")


def _middle(start: int, end: int) -> int:
    """Where RFC 6962 splits these leaves: after the largest power of two smaller than their number."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def _root_between(start: int, end: int, hash_of: HashOf) -> bytes:
    """The root over the leaves from `start` up to `end`, a subtree that `_middle` has split off."""
    roots: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        roots.append(hash_of(level, start >> level))
        start += 1 << level
    return fold(roots)


def _require_hashes(values: object) -> tuple[bytes, ...]:
    """The values as hashes; a proof comes from outside, so its types are not believed."""
    if not isinstance(values, (list, tuple)):
        raise ProofError("a proof is a sequence of hashes")
    hashes = tuple(value for value in values if isinstance(value, bytes) and len(value) == HASH_BYTES)
    if len(hashes) != len(values):
        raise ProofError("a hash is 32 bytes")
    return hashes


def _require_empty_root(size: int, root: bytes) -> None:
    if size == 0 and root != EMPTY_ROOT:
        raise ProofError("the root is not that of the empty tree")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= MAX_SIZE
