"""The high-water mark: the furthest checkpoint that is known to have been signed, kept outside the database it is about."""

import re
from dataclasses import dataclass
from typing import Self

from authsvc.core.note import Checkpoint, NoteError, VerifierKey, Verify, parse_note, verify_note

_ORIGIN = re.compile(r"(.+)/audit/([1-9][0-9]{0,8})")


def name_origin(log: str, epoch: int) -> str:
    """Return the name under which an epoch of a log signs its checkpoints."""
    return f"{log}/audit/{epoch}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A checkpoint with its whole note, and what its origin says: which log, and which of its epochs."""

    log: str
    epoch: int
    checkpoint: Checkpoint
    note: str

    @property
    def place(self) -> tuple[int, int]:
        """Return how far it is: a later epoch is further than any size of an earlier one."""
        return self.epoch, self.checkpoint.size

    @classmethod
    def read(cls, note: str, *, public: bytes, verify: Verify) -> Self:
        """Read a note that the audit key `public` has signed under the origin that it names; raises NoteError otherwise."""
        claimed = Checkpoint.parse(parse_note(note).text)
        signed = verify_note(note, [VerifierKey(claimed.origin, public)], verify)
        checkpoint = Checkpoint.parse(signed.text)
        parts = _ORIGIN.fullmatch(checkpoint.origin)
        if parts is None:
            raise NoteError("the checkpoint's origin names no epoch of a log")
        return cls(parts[1], int(parts[2]), checkpoint, note)
