"""Verifying a log without trusting the database it is in, or the service that wrote it."""

from authsvc.adapters.keys.audit_key import verify as verify_signature
from authsvc.adapters.postgres.audit_rows import open_audit_rows
from authsvc.core.note import Checkpoint, NoteError, VerifierKey, parse_verifier_key, verify_note
from authsvc.core.verify import Verified, verify_log


def verify_audit(dsn: str, *, public: bytes, known_notes: tuple[str, ...] = ()) -> Verified:
    """Return what the log at `dsn` proves under the audit key `public`, and under checkpoints that were kept elsewhere.

    The names of the epochs are taken from the database, the key never is. Raises TamperedError, UnavailableError, and
    NoteError for a known checkpoint that the key has not signed.
    """
    with open_audit_rows(dsn) as source:
        keys = {
            number: VerifierKey(parse_verifier_key(text).name, public) for number, text in source.keys.items()
        }

        def read_checkpoint(note: str, epoch: int) -> Checkpoint:
            if epoch not in keys:
                raise NoteError("its epoch is not known")
            checkpoint = _read(note, [keys[epoch]])
            if checkpoint.origin != keys[epoch].name:
                raise NoteError("it is of another log")
            return checkpoint

        known = [_read(note, list(keys.values())) for note in known_notes]
        return verify_log(
            source.batches,
            source.rows,
            read_checkpoint=read_checkpoint,
            known={checkpoint.size: checkpoint.root for checkpoint in known if checkpoint.size},
        )


def _read(note: str, keys: list[VerifierKey]) -> Checkpoint:
    return Checkpoint.parse(verify_note(note, keys, verify_signature).text)
