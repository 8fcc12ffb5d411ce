"""Verifying a log without trusting the database it is in, or the service that wrote it."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from authsvc.adapters.canonical_json import decode
from authsvc.adapters.postgres.audit_rows import AuditRows, open_audit_rows
from authsvc.core.canonical import NotCanonicalError
from authsvc.core.kept_policy import Kept
from authsvc.core.kind import Kind
from authsvc.core.merkle import leaf_hash
from authsvc.core.note import NoteError
from authsvc.core.proof import ProofError
from authsvc.core.stored_tiles import verify_tiles
from authsvc.core.tlog_proof import TlogProof
from authsvc.core.verified import Known, Missing, TamperedError, Verified
from authsvc.operations.read_checkpoint import CheckpointReader, Trust
from authsvc.operations.verify_stretches import Progress, Task, cut, verify_alone, verify_together

FEW = 50_000
"""Entries that are verified before another process would have started."""


def verify_audit(dsn: str, *, public: bytes, known_notes: tuple[str, ...] = ()) -> Verified:
    """Return what the log at `dsn` proves under the audit key `public`, replay included; raises as `verify_database` does."""
    trust = Trust(public)
    return verify_database(dsn, trust, known=[trust.read_known(note) for note in known_notes])


def verify_database(
    dsn: str,
    trust: Trust,
    *,
    known: Sequence[Known] = (),
    replay: bool = True,
    jobs: int = 1,
    progress: Progress = lambda _, __: None,
) -> Verified:
    """Return what the log at `dsn` proves, and that it holds the checkpoints `known`, which were kept elsewhere.

    With `replay` every decision is made again. Where the log's beginning was pruned, by the policy that stayed of that, if the
    events that pruned it say which that is; if they do not, none is, and `not_replayed` says so.
    The names of the epochs are taken from the database, the key never is. Raises TamperedError, of this FalseTileError when all
    is proved but for the tiles that proofs are made of, and UnavailableError.
    """
    with open_audit_rows(dsn) as rows:
        missing = _claimed_missing(rows)
        lacking, false = _check_kept(rows, missing) if replay else (None, None)
        task = Task(
            CheckpointReader.of(trust, rows.epochs()),
            by_size(known),
            missing,
            replay=replay and lacking is None and false is None,
        )
        size, stretches = rows.size(), cut(rows.batches())

        def tell(done: int) -> None:
            progress(done, size)

        if jobs > 1 and size > FEW:
            whole = verify_together(stretches, rows.address, task, jobs=jobs, progress=tell)
        else:
            whole = verify_alone(stretches, rows, task, progress=tell)
        stray = rows.beyond(whole.size)
        if stray is not None:
            raise TamperedError(stray, "a row that no signed batch covers")
        _judge(whole, trust, known, missing)
        if false is not None:
            raise false
        whole.not_replayed = lacking
        verify_tiles(rows.tiles, rows.trees(), rows.entries)
    return whole


def _judge(whole: Verified, trust: Trust, known: Sequence[Known], missing: Sequence[Missing]) -> None:
    """Raise TamperedError for what only the whole log tells."""
    whole.judge(known, missing)
    for loss in whole.losses:
        try:
            trust.read(loss.checkpoint)
        except NoteError as error:
            raise TamperedError(
                loss.lost_from,
                f"epoch {loss.epoch} writes off entries by a checkpoint that was never signed: {error}",
            ) from error


def _claimed_missing(rows: AuditRows) -> list[Missing]:
    """Return the ranges that entries say were pruned: a claim until these entries themselves have been verified."""
    claimed = []
    for _, data in rows.of_kind(Kind.AUDIT_PRUNED):
        with suppress(NotCanonicalError, KeyError, TypeError):
            claimed.append(Missing.read(decode(data)))
    return claimed


def _check_kept(rows: AuditRows, missing: Sequence[Missing]) -> tuple[str | None, TamperedError | None]:
    """Return why there is no policy to decide by, and what is wrong with it, once `missing` is proved; None where it is whole."""
    at = 0
    for gap in sorted(missing, key=lambda one: one.first):
        if gap.first != at:
            return "what was pruned does not begin with the first entry", None
        if gap.kept is None:
            return "the event that pruned them does not say which policy stayed", None
        if Kept.of(rows.kept(gap.first, gap.end)) != gap.kept:
            return None, TamperedError(
                gap.first, "the policy that stayed of pruned entries is not what the log says stayed"
            )
        at = gap.end
    return None, None


def by_size(known: Iterable[Known]) -> dict[int, list[bytes]]:
    """Return the roots of checkpoints by the size of their tree."""
    roots: dict[int, list[bytes]] = {}
    for checkpoint in known:
        roots.setdefault(checkpoint.size, []).append(checkpoint.root)
    return roots


@dataclass(frozen=True, slots=True)
class Proved:
    """That an entry is in the log: at `seq`, in the tree of a signed checkpoint of `size` entries."""

    seq: int
    size: int
    root: bytes
    origin: str


def verify_proof(proof: str, entry: bytes, trust: Trust) -> Proved:
    """Return what a C2SP tlog-proof proves of an entry; raises NoteError when nobody trusted signed it, and TamperedError."""
    try:
        parsed = TlogProof.parse(proof)
        checkpoint = trust.read(parsed.checkpoint)
        parsed.verify(leaf_hash(entry), checkpoint)
    except ProofError as error:
        raise TamperedError(0, f"the proof does not prove it: {error}") from error
    return Proved(parsed.index, checkpoint.size, checkpoint.root, checkpoint.origin)
