"""Proofs as text: C2SP tlog-proof, a checkpoint with the path from one entry to it, verifiable offline and for ever."""

import base64
from dataclasses import dataclass
from typing import Self

from authsvc.core.merkle import HASH_BYTES
from authsvc.core.note import Checkpoint
from authsvc.core.proof import MAX_SIZE, ProofError, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
_EXTRA, _INDEX = "extra ", "index "


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That the entry at `index` is in the tree of `checkpoint`, a whole signed note; `path` leads from the leaf to the root.

    `extra` is opaque, and signed by nobody.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def to_text(self) -> str:
        """Return the proof as it is stored, in a file named `*.tlog-proof`."""
        extra = [] if self.extra is None else [_EXTRA + _encode(self.extra)]
        lines = [HEADER, *extra, f"{_INDEX}{self.index}", *map(_encode, self.path)]
        return "\n".join([*lines, "", self.checkpoint])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a proof without trusting it; raises ProofError for everything that is none."""
        above, separator, checkpoint = text.partition("\n\n")
        header, *lines = above.split("\n")
        if header != HEADER or not separator:
            raise ProofError(f"a proof begins with {HEADER} and has a checkpoint after a blank line")
        extra = _decode(lines.pop(0)[len(_EXTRA) :]) if lines and lines[0].startswith(_EXTRA) else None
        if not lines or not lines[0].startswith(_INDEX):
            raise ProofError("the proof has no index")
        index = _parse_index(lines.pop(0)[len(_INDEX) :])
        path = tuple(_decode(line) for line in lines)
        if any(len(hash_) != HASH_BYTES for hash_ in path):
            raise ProofError("a hash of the proof is not 32 bytes long")
        return cls(index, path, checkpoint, extra)

    def verify(self, leaf: bytes, checkpoint: Checkpoint) -> None:
        """Check that the leaf hash is where the proof says, in the tree of its own checkpoint, whose signature was verified.

        Raises ProofError.
        """
        verify_inclusion(
            leaf=leaf, index=self.index, size=checkpoint.size, root=checkpoint.root, proof=self.path
        )


def _parse_index(text: str) -> int:
    # INVARIANT: one proof has one text, so int() must not get to read "+1", "1_0" or "01".
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_SIZE)) or str(int(text)) != text:
        raise ProofError("the index is a decimal number without leading zeros")
    return int(text)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    """Decode base64 in its one canonical spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ProofError("a line of the proof is not base64") from error
    if _encode(data) != text:
        raise ProofError("a line of the proof is not canonical base64")
    return data
