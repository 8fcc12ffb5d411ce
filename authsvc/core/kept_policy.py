"""What stays of the policy in pruned entries, and how the log proves it: by one hash over all of it, in the event that says so.

Each entry alone could be proved by the tree; that none was left out, as a revocation, only a hash over all of them proves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from authsvc.core.canonical import Json
from authsvc.core.merkle import leaf_hash
from authsvc.core.states import integer_of, text_of

FAMILIES = ("policy", "credential", "key")


def is_kept(kind: str) -> bool:
    """Say whether entries of a kind stay: those that later decisions rest on."""
    return kind.partition(".")[0] in FAMILIES


@dataclass(frozen=True, slots=True)
class Kept:
    """So many entries, and the SHA-256 over each one's number, in eight bytes, the most significant first, and leaf hash."""

    entries: int
    sha256: str

    @classmethod
    def of(cls, entries: Iterable[tuple[int, bytes]]) -> "Kept":
        """Return what these are, in order."""
        count, folded = 0, sha256()
        for seq, entry in entries:
            count += 1
            folded.update(seq.to_bytes(8, "big") + leaf_hash(entry))
        return cls(count, folded.hexdigest())

    @classmethod
    def read(cls, state: Mapping[str, Json]) -> "Kept":
        """Return what an event says; raises KeyError or TypeError."""
        return cls(integer_of(state, "entries"), text_of(state, "sha256"))

    def describe(self) -> dict[str, Json]:
        """Return what an event says of it."""
        return {"entries": self.entries, "sha256": self.sha256}
