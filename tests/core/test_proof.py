from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from authsvc.core.merkle import EMPTY, EMPTY_ROOT, leaf_hash
from authsvc.core.proof import (
    MAX_SIZE,
    ProofError,
    consistency_proof,
    hashes_over,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)

# The published hashes of the subtrees over the eight entries that Certificate Transparency implementations share.
PUBLISHED_ENTRIES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in PUBLISHED_ENTRIES]
LEAF_0 = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAF_2 = "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
NODE_01 = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
NODE_23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
NODE_67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
NODE_0123 = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
NODE_4567 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"

numbered = [leaf_hash(b"%d" % number) for number in range(130)]
hash_of = hashes_over(numbered)
sizes = st.integers(min_value=0, max_value=len(numbered))
hashes = st.one_of(st.sampled_from(numbered[:3]), st.binary(min_size=32, max_size=32))


def root_at(size: int) -> bytes:
    """The root over the first numbered leaves."""
    return EMPTY.append(numbered[:size]).root


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 1, []),
        (0, 8, [LEAF_1, NODE_23, NODE_4567]),
        (5, 8, [LEAF_4, NODE_67, NODE_0123]),
        (2, 3, [NODE_01]),
        (1, 5, [LEAF_0, NODE_23, LEAF_4]),
    ],
)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, path: list[str]) -> None:
    """The published audit paths come out, and are accepted."""
    proof = inclusion_proof(index, size, hashes_over(LEAVES))
    assert [sibling.hex() for sibling in proof] == path
    root = EMPTY.append(LEAVES[:size]).root
    verify_inclusion(leaf=LEAVES[index], index=index, size=size, root=root, proof=proof)


@pytest.mark.parametrize(
    ("old_size", "new_size", "path"),
    [
        (1, 1, []),
        (1, 8, [LEAF_1, NODE_23, NODE_4567]),
        (6, 8, [NODE_45, NODE_67, NODE_0123]),
        (2, 5, [NODE_23, LEAF_4]),
        (3, 4, [LEAF_2, LEAVES[3].hex(), NODE_01]),
    ],
)
def test_consistency_proofs_are_the_published_ones(old_size: int, new_size: int, path: list[str]) -> None:
    """The published consistency proofs come out, and are accepted."""
    proof = consistency_proof(old_size, new_size, hashes_over(LEAVES))
    assert [subtree.hex() for subtree in proof] == path
    old_root, new_root = EMPTY.append(LEAVES[:old_size]).root, EMPTY.append(LEAVES[:new_size]).root
    verify_consistency(
        old_size=old_size, old_root=old_root, new_size=new_size, new_root=new_root, proof=proof
    )


def test_every_small_proof_is_accepted_for_its_place_only() -> None:
    """In trees of up to 17 leaves a path proves its own leaf at its own index, and no other leaf or index."""
    for size in range(1, 18):
        root = root_at(size)
        for index in range(size):
            proof = inclusion_proof(index, size, hash_of)
            verify_inclusion(leaf=numbered[index], index=index, size=size, root=root, proof=proof)
            for other in range(size):
                if other != index:
                    with pytest.raises(ProofError):
                        verify_inclusion(leaf=numbered[index], index=other, size=size, root=root, proof=proof)
                    with pytest.raises(ProofError):
                        verify_inclusion(leaf=numbered[other], index=index, size=size, root=root, proof=proof)


def naive_path(index: int, leaves: list[bytes]) -> tuple[bytes, ...]:
    """PATH of RFC 6962 section 2.1.1, word for word."""
    if len(leaves) == 1:
        return ()
    split = max(power for power in (1, 2, 4, 8, 16, 32, 64, 128) if power < len(leaves))
    if index < split:
        return (*naive_path(index, leaves[:split]), EMPTY.append(leaves[split:]).root)
    return (*naive_path(index - split, leaves[split:]), EMPTY.append(leaves[:split]).root)


def naive_subproof(old_size: int, leaves: list[bytes], *, known: bool) -> tuple[bytes, ...]:
    """SUBPROOF of RFC 6962 section 2.1.2, word for word."""
    if old_size == len(leaves):
        return () if known else (EMPTY.append(leaves).root,)
    split = max(power for power in (1, 2, 4, 8, 16, 32, 64, 128) if power < len(leaves))
    if old_size <= split:
        return (*naive_subproof(old_size, leaves[:split], known=known), EMPTY.append(leaves[split:]).root)
    return (*naive_subproof(old_size - split, leaves[split:], known=False), EMPTY.append(leaves[:split]).root)


@given(sizes.filter(bool), sizes.filter(bool))
def test_proofs_agree_with_the_definitions(one: int, other: int) -> None:
    """Both kinds of proof are those of RFC 6962's recursive definitions."""
    old, new = sorted((one, other))
    assert inclusion_proof(old - 1, new, hash_of) == naive_path(old - 1, numbered[:new])
    assert consistency_proof(old, new, hash_of) == naive_subproof(old, numbered[:new], known=True)


@given(sizes.filter(bool), sizes.filter(bool))
def test_inclusion_proofs_agree_with_a_foreign_implementation(one: int, other: int) -> None:
    """Pymerkle, which counts from one and puts the leaf before the path, has the same path."""
    number, size = sorted((one, other))
    foreign = InmemoryTree(algorithm="sha256")
    foreign.append_entries([b"%d" % number for number in range(size)])
    path = tuple(foreign.prove_inclusion(number, size).path)
    assert path == (numbered[number - 1], *inclusion_proof(number - 1, size, hash_of))


@given(sizes, sizes)
def test_a_tree_is_consistent_with_all_its_beginnings(one: int, other: int) -> None:
    """A consistency proof is accepted between any two sizes of one tree, nothing included."""
    old, new = sorted((one, other))
    proof = consistency_proof(old, new, hash_of)
    verify_consistency(old_size=old, old_root=root_at(old), new_size=new, new_root=root_at(new), proof=proof)


@given(st.data(), sizes.filter(bool), sizes.filter(bool))
def test_a_rewritten_past_is_never_consistent(data: st.DataObject, one: int, other: int) -> None:
    """When one old leaf has been changed, the honest prover of the new tree cannot convince."""
    old, new = sorted((one, other))
    rewritten = list(numbered)
    rewritten[data.draw(st.integers(min_value=0, max_value=old - 1))] = leaf_hash(b"rewritten")
    with pytest.raises(ProofError):
        verify_consistency(
            old_size=old,
            old_root=root_at(old),
            new_size=new,
            new_root=EMPTY.append(rewritten[:new]).root,
            proof=consistency_proof(old, new, hashes_over(rewritten)),
        )


def mutations(proof: tuple[bytes, ...]) -> st.SearchStrategy[tuple[bytes, ...]]:
    """What a forger might make of a proof."""
    longer = [
        st.tuples(hashes).map(lambda more: proof + more),
        st.tuples(hashes).map(lambda more: more + proof),
    ]
    if not proof:
        return st.one_of(longer)
    at = st.integers(min_value=0, max_value=len(proof) - 1)
    flipped = st.tuples(at, st.integers(min_value=0, max_value=255)).map(
        lambda where: (
            *proof[: where[0]],
            (int.from_bytes(proof[where[0]], "big") ^ 1 << where[1]).to_bytes(32, "big"),
            *proof[where[0] + 1 :],
        )
    )
    cut = at.map(lambda index: proof[:index] + proof[index + 1 :])
    swapped = [st.permutations(proof).map(tuple)] if len(proof) > 1 else []
    return st.one_of(flipped, cut, *swapped, *longer)


@given(st.data(), sizes.filter(bool), sizes.filter(bool))
def test_a_changed_inclusion_proof_is_never_accepted(data: st.DataObject, one: int, other: int) -> None:
    """A path that was flipped, cut, lengthened or put in another order does not prove inclusion."""
    number, size = sorted((one, other))
    index, root = number - 1, root_at(size)
    genuine = inclusion_proof(index, size, hash_of)
    changed = data.draw(mutations(genuine).filter(lambda proof: proof != genuine))
    with pytest.raises(ProofError):
        verify_inclusion(leaf=numbered[index], index=index, size=size, root=root, proof=changed)


@given(st.data(), sizes.filter(bool), sizes.filter(bool))
def test_a_changed_consistency_proof_is_never_accepted(data: st.DataObject, one: int, other: int) -> None:
    """A proof that was flipped, cut, lengthened or put in another order does not prove consistency."""
    old, new = sorted((one, other))
    old_root, new_root = root_at(old), root_at(new)
    genuine = consistency_proof(old, new, hash_of)
    changed = data.draw(mutations(genuine).filter(lambda proof: proof != genuine))
    with pytest.raises(ProofError):
        verify_consistency(old_size=old, old_root=old_root, new_size=new, new_root=new_root, proof=changed)


anything = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.binary(max_size=40),
    st.integers(),
    st.floats(),
    st.lists(st.integers(), max_size=3),
)
any_size = st.one_of(st.integers(min_value=-2, max_value=70), st.integers(), st.just(MAX_SIZE), anything)
any_hash = st.one_of(hashes, st.just(EMPTY_ROOT), anything)
any_proof = st.one_of(st.lists(any_hash, max_size=70), anything)


@given(any_hash, any_size, any_size, any_hash, any_proof)
def test_no_input_makes_verify_inclusion_raise_anything_else(
    leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Arguments of any value and type are accepted or refused with ProofError; nothing else escapes."""
    try:
        verify_inclusion(leaf=leaf, index=index, size=size, root=root, proof=proof)
    except ProofError:
        return
    assert (index, size, leaf) == (0, 1, root)


@given(any_size, any_hash, any_size, any_hash, any_proof)
def test_no_input_makes_verify_consistency_raise_anything_else(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Arguments of any value and type are accepted or refused with ProofError; nothing else escapes."""
    try:
        verify_consistency(
            old_size=old_size, old_root=old_root, new_size=new_size, new_root=new_root, proof=proof
        )
    except ProofError:
        return
    assert (old_size, old_root) in {(0, EMPTY_ROOT), (new_size, new_root)}


@pytest.mark.parametrize(
    ("old_size", "old_root", "new_size", "new_root"),
    [
        (3, root_at(3), 4, root_at(4)),
        (4, root_at(4), 8, root_at(8)),
        (0, root_at(1), 4, root_at(4)),
        (0, root_at(1), 0, root_at(1)),
        (4, root_at(4), 4, root_at(3)),
        (4, b"short", 4, b"short"),
        (4, root_at(4), 3, root_at(4)),
        (-1, root_at(4), -1, root_at(4)),
    ],
)
def test_an_empty_consistency_proof_proves_little(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes
) -> None:
    """Without hashes only equal trees, and the empty tree, are consistent; their roots must be roots."""
    with pytest.raises(ProofError):
        verify_consistency(
            old_size=old_size, old_root=old_root, new_size=new_size, new_root=new_root, proof=()
        )


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (0, MAX_SIZE + 1)])
def test_there_is_no_inclusion_proof_of_what_is_not_there(index: int, size: int) -> None:
    """A leaf outside of the tree has no proof."""
    with pytest.raises(ProofError):
        inclusion_proof(index, size, hash_of)


@pytest.mark.parametrize(("old_size", "new_size"), [(-1, 3), (4, 3), (0, MAX_SIZE + 1)])
def test_there_is_no_consistency_proof_backwards(old_size: int, new_size: int) -> None:
    """A tree does not begin with a larger one."""
    with pytest.raises(ProofError):
        consistency_proof(old_size, new_size, hash_of)


@given(sizes.filter(bool), sizes.filter(bool))
def test_only_subtrees_that_are_complete_are_asked_for(one: int, other: int) -> None:
    """Proofs at a size never read past it, so that they can be made while the tree grows, and from tiles."""
    old, new = sorted((one, other))

    def guarded(level: int, index: int) -> bytes:
        assert (index + 1) << level <= new
        return hash_of(level, index)

    inclusion_proof(old - 1, new, guarded)
    consistency_proof(old, new, guarded)
