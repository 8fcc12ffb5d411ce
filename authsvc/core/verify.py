"""Verifying the log from its rows alone: the tree, every signed checkpoint, and that columns say what their entries say.

Pure: rows go in, and the first thing that is wrong comes out, with the sequence number it is wrong from.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from authsvc.core import canonical
from authsvc.core.canonical import NotCanonicalError
from authsvc.core.event import IndexRow, Kind, MalformedEntryError, index_entry
from authsvc.core.merkle import Frontier, FrontierError, leaf_hash
from authsvc.core.note import Checkpoint, NoteError

ReadCheckpoint = Callable[[str, int], Checkpoint]
"""Returns the checkpoint of a note that an epoch's key has signed; raises NoteError when it has not."""


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of the log as stored."""

    seq: int
    index: IndexRow
    entry: bytes


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One row of the batches as stored."""

    prev: int
    size: int
    entries: int
    root: bytes
    frontier: bytes
    revision: int
    epoch: int
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was proved: so many entries under this root, in so many signed batches."""

    size: int
    root: bytes
    batches: int


class TamperedError(Exception):
    """The log is not what was signed; `seq` is the first sequence number that is wrong, or that its batch covers."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(f"entry {seq}: {what}")
        self.seq = seq


def verify_log(
    batches: Iterable[BatchRow],
    rows: Iterable[LogRow],
    *,
    read_checkpoint: ReadCheckpoint,
    known: Mapping[int, bytes] | None = None,
) -> Verified:
    """Return what the rows prove, both in order; `known` are roots by tree size from checkpoints kept elsewhere.

    Raises TamperedError.
    """
    waiting = dict(known or {})
    frontier, revision, count = Frontier(0, ()), -1, 0
    remaining = iter(rows)
    for batch in batches:
        _check_place(batch, frontier.size)
        for row in _take(remaining, batch):
            revision = row.seq if _check_row(row) else revision
            frontier = frontier.append([leaf_hash(row.entry)])
            _check_known(waiting, frontier)
        _check_batch(batch, frontier, revision, read_checkpoint)
        count += 1
    for extra in remaining:
        raise TamperedError(min(extra.seq, frontier.size), "a row that no signed batch covers")
    if waiting:
        raise TamperedError(
            frontier.size, f"the tail is missing: a checkpoint of {max(waiting)} entries was signed"
        )
    return Verified(frontier.size, frontier.root, count)


def _check_place(batch: BatchRow, size: int) -> None:
    if batch.prev != size:
        raise TamperedError(
            min(batch.prev, size), f"batches do not join: one ends at {size}, the next begins at {batch.prev}"
        )
    if batch.entries <= 0 or batch.size != batch.prev + batch.entries:
        raise TamperedError(size, "a batch's size and number of entries contradict each other")


def _take(rows: Iterator[LogRow], batch: BatchRow) -> Iterator[LogRow]:
    """Yield exactly the rows of a batch, in order and without a gap."""
    for seq in range(batch.prev, batch.size):
        row = next(rows, None)
        if row is None:
            raise TamperedError(seq, "the entry is missing")
        if row.seq != seq:
            raise TamperedError(min(row.seq, seq), "the entry is missing, doubled, or out of order")
        yield row


def _check_row(row: LogRow) -> bool:
    """Check an entry's form and its columns; say whether it moves the policy revision."""
    try:
        entry = canonical.decode(row.entry)
        index = index_entry(entry)
        kind = Kind(index.kind)
    except NotCanonicalError as error:
        raise TamperedError(row.seq, f"the entry is no canonical JSON: {error}") from error
    except MalformedEntryError as error:
        raise TamperedError(row.seq, str(error)) from error
    except ValueError as error:
        raise TamperedError(row.seq, "the entry is of no known kind") from error
    if index != row.index:
        names = [name for name in IndexRow.__slots__ if getattr(index, name) != getattr(row.index, name)]
        raise TamperedError(row.seq, f"columns differ from the entry: {', '.join(names)}")
    return kind.moves_policy


def _check_known(waiting: dict[int, bytes], frontier: Frontier) -> None:
    root = waiting.pop(frontier.size, None)
    if root is not None and root != frontier.root:
        raise TamperedError(
            0, f"the log is another than the one a checkpoint of {frontier.size} entries was signed for"
        )


def _check_batch(batch: BatchRow, frontier: Frontier, revision: int, read_checkpoint: ReadCheckpoint) -> None:
    if batch.root != frontier.root:
        raise TamperedError(
            batch.prev, "the entries of this batch are not those that its root was computed over"
        )
    try:
        stored = Frontier.from_bytes(batch.size, batch.frontier)
    except FrontierError as error:
        raise TamperedError(batch.prev, f"the batch's frontier is damaged: {error}") from error
    if stored != frontier:
        raise TamperedError(batch.prev, "the batch's frontier is not its tree's")
    if batch.revision != revision:
        raise TamperedError(
            batch.prev, f"the batch claims policy revision {batch.revision}, its entries make it {revision}"
        )
    try:
        checkpoint = read_checkpoint(batch.checkpoint, batch.epoch)
    except NoteError as error:
        raise TamperedError(
            batch.prev, f"the batch's checkpoint is not signed by the audit key: {error}"
        ) from error
    if (checkpoint.size, checkpoint.root) != (batch.size, batch.root):
        raise TamperedError(batch.prev, "the batch's checkpoint was signed for another tree")
