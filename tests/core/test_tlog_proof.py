import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.core.merkle import EMPTY, leaf_hash
from authsvc.core.note import Checkpoint
from authsvc.core.proof import ProofError, hashes_over, inclusion_proof
from authsvc.core.tlog_proof import HEADER, TlogProof

MANY = 100_000 if os.environ.get("CAMPAIGN") == "full" else 500
LEAVES = [leaf_hash(b"%d" % number) for number in range(70)]
NOTE = "example.com/log\n70\nroot\n\n\N{EM DASH} example.com/log c2ln\n"


def proof_of(index: int, size: int, extra: bytes | None = None) -> TlogProof:
    """The proof of one of the leaves."""
    return TlogProof(index, inclusion_proof(index, size, hashes_over(LEAVES)), NOTE, extra)


@given(st.integers(0, 69), st.integers(0, 69), st.none() | st.binary(max_size=20))
def test_proofs_read_back_and_hold(one: int, other: int, extra: bytes | None) -> None:
    """A proof survives its text, and proves its own leaf only."""
    index, size = min(one, other), max(one, other) + 1
    proof = TlogProof.parse(proof_of(index, size, extra).to_text())
    assert proof == proof_of(index, size, extra)
    checkpoint = Checkpoint("example.com/log", size, EMPTY.append(LEAVES[:size]).root)
    proof.verify(LEAVES[index], checkpoint)
    with pytest.raises(ProofError):
        proof.verify(leaf_hash(b"another"), checkpoint)


def test_the_text_is_that_of_the_specification() -> None:
    """Header, extra, index, hashes from the leaf's sibling on, an empty line, and the checkpoint as it stands."""
    text = TlogProof(7, (bytes(32),), NOTE, b"abc").to_text()
    assert text == f"{HEADER}\nextra YWJj\nindex 7\n{'A' * 43}=\n\n{NOTE}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        f"{HEADER}\n\n{NOTE}",
        f"{HEADER}\nindex 01\n\n{NOTE}",
        f"{HEADER}\nindex +1\n\n{NOTE}",
        f"{HEADER}\nindex 1\nAAAA\n\n{NOTE}",
        f"{HEADER}\nindex 1\n{'A' * 42}B=\n\n{NOTE}",
        f"{HEADER}\nindex 1\nextra YWJj\n\n{NOTE}",
        f"{HEADER}\nextra YWJj\nextra YWJj\nindex 1\n\n{NOTE}",
        f"{HEADER}\r\nindex 1\r\n\r\n{NOTE}",
        f"c2sp.org/tlog-proof@v2\nindex 1\n\n{NOTE}",
    ],
)
def test_what_is_no_proof_is_refused(text: str) -> None:
    """Anything but the one spelling of the specification is a ProofError."""
    with pytest.raises(ProofError):
        TlogProof.parse(text)


@settings(max_examples=MANY)
@given(st.data())
def test_a_damaged_proof_is_a_proof_error_or_another_proof(data: st.DataObject) -> None:
    """However a proof's text is damaged, it is refused with ProofError, or proves nothing else of the tree it is held against."""
    text = proof_of(data.draw(st.integers(0, 69)), 70).to_text()
    checkpoint = Checkpoint("example.com/log", 70, EMPTY.append(LEAVES).root)
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 50))
    damaged = text[:at] + data.draw(st.text(max_size=5)) + text[at + cut :]
    try:
        proof = TlogProof.parse(damaged)
        proof.verify(LEAVES[13], checkpoint)
    except ProofError:
        return
    assert (proof.index, proof.path) == (13, proof_of(13, 70).path)
