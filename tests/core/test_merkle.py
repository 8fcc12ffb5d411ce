from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from authsvc.core.merkle import EMPTY, EMPTY_ROOT, Frontier, FrontierError, leaf_hash, node_hash

# The entries, and the roots over the first n of them, that Certificate Transparency implementations share.
ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

entries = st.lists(st.binary(max_size=8), max_size=70)


def naive_root(data: list[bytes]) -> bytes:
    """The definition of the Merkle tree hash in RFC 6962 section 2.1, word for word."""
    if not data:
        return sha256().digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    split = max(power for power in (1 << n for n in range(len(data))) if power < len(data))
    return sha256(b"\x01" + naive_root(data[:split]) + naive_root(data[split:])).digest()


def grown(data: list[bytes]) -> Frontier:
    """The frontier over some entries."""
    return EMPTY.append([leaf_hash(entry) for entry in data])


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    """The first n published entries have the published root."""
    assert grown(ENTRIES[:size]).root.hex() == ROOTS[size]


def test_the_frontier_holds_the_perfect_subtrees_largest_first() -> None:
    """Seven leaves fall into subtrees of four, two and one."""
    leaves = [leaf_hash(entry) for entry in ENTRIES[:7]]
    four = node_hash(node_hash(leaves[0], leaves[1]), node_hash(leaves[2], leaves[3]))
    assert EMPTY.append(leaves).hashes == (four, node_hash(leaves[4], leaves[5]), leaves[6])


@given(entries)
def test_root_agrees_with_the_definition_and_a_foreign_implementation(data: list[bytes]) -> None:
    """The incremental root is that of RFC 6962's recursive definition, and that of pymerkle."""
    foreign = InmemoryTree(algorithm="sha256")
    foreign.append_entries(data)
    assert grown(data).root == naive_root(data) == foreign.get_root()


@given(entries, st.integers(min_value=0, max_value=70))
def test_batches_do_not_matter(data: list[bytes], at: int) -> None:
    """Leaves that are appended in two batches give the frontier of one batch, and the first is unchanged."""
    first = grown(data[:at])
    before = first.to_bytes()
    assert first.append([leaf_hash(entry) for entry in data[at:]]) == grown(data)
    assert first.to_bytes() == before


@given(entries)
def test_bytes_read_back(data: list[bytes]) -> None:
    """A frontier survives its bytes, which are 32 for each bit set in its size."""
    frontier = grown(data)
    stored = frontier.to_bytes()
    assert len(stored) == 32 * len(data).bit_count()
    assert Frontier.from_bytes(len(data), stored) == frontier


@given(st.integers(min_value=-2, max_value=2**63), st.binary(max_size=100))
@example(-1, bytes(32))
def test_bytes_that_do_not_fit_the_size_are_refused(size: int, data: bytes) -> None:
    """Only as many whole hashes as the size has bits set are read; all else is a FrontierError."""
    if size >= 0 and len(data) == 32 * size.bit_count():
        assert Frontier.from_bytes(size, data).to_bytes() == data
    else:
        with pytest.raises(FrontierError):
            Frontier.from_bytes(size, data)


@pytest.mark.parametrize("leaf", [b"", b"x" * 31, b"x" * 33])
def test_a_leaf_that_is_no_hash_is_refused(leaf: bytes) -> None:
    """What is not 32 bytes long is not taken for a leaf hash."""
    with pytest.raises(FrontierError):
        EMPTY.append([leaf, leaf])


def test_leaves_and_nodes_are_hashed_apart() -> None:
    """The bytes of two hashes, taken for an entry, do not give the hash of their parent (second preimages)."""
    left, right = leaf_hash(b"left"), leaf_hash(b"right")
    assert leaf_hash(left + right) != node_hash(left, right)
    assert EMPTY.root == EMPTY_ROOT
