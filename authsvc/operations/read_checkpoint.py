"""Reading checkpoints that the audit key has signed, for one epoch or for any."""

from dataclasses import dataclass, field

from authsvc.adapters.keys.audit_key import verify as verify_signature
from authsvc.core.note import (
    Checkpoint,
    NoteError,
    VerifierKey,
    parse_note,
    parse_verifier_key,
    read_plain_checkpoint,
    verify_note,
)
from authsvc.core.verified import Known, TamperedError


@dataclass(frozen=True, slots=True)
class Trust:
    """What an auditor trusts: the audit key, and where he has its whole verifier key the name of the log that it is for."""

    public: bytes
    log: str | None = None

    @classmethod
    def of(cls, vkey: str) -> "Trust":
        """Return the trust in a verifier key; raises NoteError when it is none."""
        key = parse_verifier_key(vkey)
        return cls(key.public, log_of(key.name))

    def check_origin(self, origin: str) -> None:
        """Raise NoteError for another log than the one that is trusted."""
        if self.log is not None and log_of(origin) != self.log:
            raise NoteError(f"it is of {origin}, and the verifier key is for {self.log}")

    def read(self, note: str) -> Checkpoint:
        """Return the checkpoint of a note that names its own origin; raises NoteError unless the audit key signed it so."""
        origin = Checkpoint.parse(parse_note(note).text).origin
        self.check_origin(origin)
        return Checkpoint.parse(verify_note(note, [VerifierKey(origin, self.public)], verify_signature).text)

    def read_known(self, note: str) -> Known:
        """Return a checkpoint that was kept elsewhere; raises NoteError."""
        checkpoint = self.read(note)
        return Known(epoch_of(checkpoint.origin), checkpoint.size, checkpoint.root)


def log_of(origin: str) -> str:
    """Return the part of an origin that all epochs of a log share."""
    return origin.rpartition("/")[0]


def epoch_of(origin: str) -> int:
    """Return the epoch that an origin names; raises NoteError when it names none."""
    epoch = origin.rpartition("/")[2]
    if not (epoch.isascii() and epoch.isdigit()):
        raise NoteError("the checkpoint's origin names no epoch of a log")
    return int(epoch)


@dataclass(frozen=True, slots=True)
class CheckpointReader:
    """Reads the checkpoints of batches: by the audit key alone, under the names of the log's epochs."""

    keys: dict[int, VerifierKey] = field(default_factory=dict)

    @classmethod
    def of(cls, trust: Trust, epochs: dict[int, str]) -> "CheckpointReader":
        """Return a reader for the epochs of a database, of which it may give the names, and never the key.

        Raises TamperedError when a verifier key there is not the audit key's.
        """
        keys = {}
        for number, text in epochs.items():
            try:
                key = parse_verifier_key(text)
                trust.check_origin(key.name)
            except NoteError as error:
                raise TamperedError(0, f"epoch {number} has no verifier key of this log: {error}") from error
            if key.public != trust.public:
                raise TamperedError(
                    0, f"epoch {number} claims another audit key than the one that is trusted"
                )
            keys[number] = key
        return cls(keys)

    def __call__(self, note: str, epoch: int) -> Checkpoint:
        """Return the checkpoint of a batch; raises NoteError."""
        key = self.keys.get(epoch)
        if key is None:
            raise NoteError("its epoch is not known")
        checkpoint = read_plain_checkpoint(note, key, verify_signature)
        if checkpoint is None:
            checkpoint = Checkpoint.parse(verify_note(note, [key], verify_signature).text)
        if checkpoint.origin != key.name:
            raise NoteError("it is of another log")
        return checkpoint
