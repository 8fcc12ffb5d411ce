"""Verifying the log from its rows alone: the tree, every signed checkpoint, what columns and entries say, and every decision.

Pure: rows go in, and the first thing that is wrong comes out, with the sequence number it is wrong from. A stretch of the log can
be verified alone, from the place that the batch before it claims: so several processes share the work.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import NamedTuple

from authsvc.core.entry_reader import OF_THE_LOG, Entries, Entry, EntryReader, LogRow
from authsvc.core.event import IndexRow, MalformedEntryError
from authsvc.core.kind import Kind
from authsvc.core.merkle import EMPTY, Frontier, FrontierError, leaf_hashes
from authsvc.core.note import Checkpoint, NoteError
from authsvc.core.replay_decision import NotReplayedError, Replay
from authsvc.core.verified import Loss, Missing, TamperedError, Verified

ReadCheckpoint = Callable[[str, int], Checkpoint]
"""Returns the checkpoint of a note that an epoch's key has signed; raises NoteError when it has not."""


class BatchRow(NamedTuple):
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
class Standing:
    """Where verification stands in the log: the tree so far, the policy revision and the epoch."""

    frontier: Frontier
    revision: int
    epoch: int

    @classmethod
    def after(cls, batch: BatchRow) -> "Standing":
        """Return where a batch claims that the log stands after it; raises TamperedError when that makes no sense."""
        try:
            return cls(Frontier.from_bytes(batch.size, batch.frontier), batch.revision, batch.epoch)
        except FrontierError as error:
            raise TamperedError(batch.prev, f"the batch's frontier is damaged: {error}") from error


START = Standing(EMPTY, -1, 0)
FIRST_EPOCH = 1


@dataclass(slots=True)
class Verifier:
    """Verifies one stretch of the log after another.

    `known` are roots by size of tree, from checkpoints that were kept elsewhere. `missing` are the ranges that were pruned, as
    the log itself claims; of these nothing is expected.
    """

    read_checkpoint: ReadCheckpoint
    reader: EntryReader
    replay: Replay | None = None
    known: Mapping[int, Collection[bytes]] = field(default_factory=dict)
    missing: Sequence[Missing] = ()

    def verify(
        self, standing: Standing, batches: Iterable[BatchRow], rows: Iterable[LogRow]
    ) -> tuple[Standing, Verified]:
        """Return where these batches lead from `standing`, and what they prove; both in order. Raises TamperedError."""
        found, remaining = Verified(), iter(rows)
        for batch in batches:
            check_place(batch, standing.frontier.size)
            standing = self._verify_batch(standing, batch, remaining, found)
            found.batches += 1
        for seq, *_ in remaining:
            raise TamperedError(
                min(seq, standing.frontier.size), "a row that no signed batch covers, or a doubled one"
            )
        found.size, found.root = standing.frontier.size, standing.frontier.root
        return standing, found

    def read(self, rows: Sequence[LogRow], found: Verified) -> Entries:
        """Return the entries of rows, once their columns say what the entries do. Raises TamperedError."""
        entries = self.reader.read_rows(rows)
        if entries is None:
            entries = Entries.of([self._read_alone(*row) for row in rows])
        for at in entries.watched:
            if entries.shapes[at].kind in OF_THE_LOG:
                claim = _read_claim(rows[at][0], entries[at])
                if isinstance(claim, Loss):
                    found.losses.append(claim)
                else:
                    found.missing.append(claim)
        found.note_times(entries.times)
        return entries

    def _read_alone(self, seq: int, data: bytes, columns: Hashable) -> Entry:
        try:
            entry = self.reader.read(data)
        except MalformedEntryError as error:
            raise TamperedError(seq, str(error)) from error
        implied = self.reader.form.join_one(entry.time, entry.shape.columns, entry.place.column)
        if columns is not None and columns != implied:
            raise TamperedError(seq, f"columns differ from the entry: {self._describe(implied, columns)}")
        if entry.shape.kind in OF_THE_LOG:
            _read_claim(seq, entry)  # what cannot be read is told before what is wrong behind it
        return entry

    def _describe(self, implied: Hashable, columns: Hashable) -> str:
        split = self.reader.form.split
        triples = zip(IndexRow._fields, split(implied), split(columns), strict=True)
        return ", ".join(name for name, mine, stored in triples if mine != stored)

    def decide_again(self, rows: Sequence[LogRow], entries: Entries, found: Verified) -> None:
        """Make the decisions among entries again. Raises TamperedError.

        INVARIANT: the entries are known to be those that were signed: of others, the first that is wrong could be one before.
        """
        if self.replay is not None:
            for (seq, *_), entry in zip(rows, entries, strict=True):
                try:
                    found.decisions += self.replay.take(seq, entry)
                except NotReplayedError as error:
                    raise TamperedError(seq, str(error)) from error

    def _verify_batch(
        self, standing: Standing, batch: BatchRow, rows: Iterator[LogRow], found: Verified
    ) -> Standing:
        # INVARIANT: what a batch claims to be is known to be signed before that many rows are read into memory.
        self._check_checkpoint(batch)
        losses = len(found.losses)
        taken, wrong = self._take(rows, batch)
        entries = self.read(taken, found)
        if wrong is not None:
            raise wrong
        if len(entries) == batch.entries:
            moved = [taken[at][0] for at in entries.watched if entries.shapes[at].kind.moves_policy]
            revision = moved[-1] if moved else standing.revision
            frontier = self.grow(standing.frontier, leaf_hashes([row[1] for row in taken]), found)
        else:
            # Some were pruned: the signed root remains, and the frontier that folds into it.
            found.bridged += batch.entries - len(entries)
            after = Standing.after(batch)
            frontier, revision = after.frontier, after.revision
            self._compare(frontier, found)
        self._check_tree(batch, frontier, revision)
        _check_epoch(standing, batch, found.losses[losses:])
        self.decide_again(taken, entries, found)
        return Standing(frontier, revision, batch.epoch)

    def _take(self, rows: Iterator[LogRow], batch: BatchRow) -> tuple[Sequence[LogRow], TamperedError | None]:
        """Return the rows of a batch up to the first that is not where it belongs, and what is wrong there."""
        expected = _kept_of(range(batch.prev, batch.size), self.missing)
        taken = list(islice(rows, sum(map(len, expected))))
        missing = chain.from_iterable(expected)
        for at, (row, seq) in enumerate(zip(taken, missing, strict=False)):
            if row[0] != seq:
                wrong = "the entry is missing, doubled, or out of order"
                return taken[:at], TamperedError(min(row[0], seq), wrong)
        for seq in missing:
            return taken, TamperedError(seq, "the entry is missing")
        return taken, None

    def grow(self, frontier: Frontier, leaves: list[bytes], found: Verified) -> Frontier:
        """Append leaves, and compare the tree with the checkpoints that are known on the way."""
        start, end = frontier.size, frontier.size + len(leaves)
        for size in sorted(size for size in self.known if start < size < end):
            frontier = frontier.append(leaves[frontier.size - start : size - start])
            self._compare(frontier, found)
        frontier = frontier.append(leaves[frontier.size - start :])
        self._compare(frontier, found)
        return frontier

    def _compare(self, frontier: Frontier, found: Verified) -> None:
        if frontier.size in self.known and frontier.root in self.known[frontier.size]:
            found.agreed.add((frontier.size, frontier.root))

    def _check_tree(self, batch: BatchRow, frontier: Frontier, revision: int) -> None:
        if batch.root != frontier.root:
            raise TamperedError(
                batch.prev,
                f"an entry up to {batch.size - 1} is not the one that its batch's root was computed over",
            )
        if batch.frontier != frontier.to_bytes():
            raise TamperedError(batch.prev, "the batch's frontier is not its tree's")
        if batch.revision != revision:
            raise TamperedError(
                batch.prev,
                f"the batch claims policy revision {batch.revision}, its entries make it {revision}",
            )

    def _check_checkpoint(self, batch: BatchRow) -> None:
        try:
            checkpoint = self.read_checkpoint(batch.checkpoint, batch.epoch)
        except NoteError as error:
            raise TamperedError(
                batch.prev, f"the batch's checkpoint is not signed by the audit key: {error}"
            ) from error
        if (checkpoint.size, checkpoint.root) != (batch.size, batch.root):
            raise TamperedError(batch.prev, "the batch's checkpoint was signed for another tree")


def check_place(batch: BatchRow, size: int) -> None:
    """Check that a batch joins a log of `size` entries; raises TamperedError."""
    if None in batch:
        raise TamperedError(size, "a batch lacks a value")
    if batch.prev != size:
        raise TamperedError(size, f"batches do not join: one ends at {size}, the next begins at {batch.prev}")
    if batch.entries <= 0 or batch.size != batch.prev + batch.entries:
        raise TamperedError(size, "a batch's size and number of entries contradict each other")


def _check_epoch(standing: Standing, batch: BatchRow, losses: Sequence[Loss]) -> None:
    """Check that an epoch begins with the entry that says what was lost, and nowhere else; the first needs none."""
    begins = batch.epoch not in (standing.epoch, FIRST_EPOCH)
    if batch.epoch < standing.epoch:
        raise TamperedError(batch.prev, "an epoch that had ended begins again")
    if [loss.epoch for loss in losses] != ([batch.epoch] if begins else []):
        raise TamperedError(
            batch.prev, "an epoch begins without the entry that says so, or the entry without it"
        )


def _kept_of(whole: range, missing: Sequence[Missing]) -> list[range]:
    """Return what is left of a range without what is missing, in order."""
    kept, at = list[range](), whole.start
    for gap in sorted(missing, key=lambda one: one.first):
        if gap.first < whole.stop and at < gap.end:
            kept.append(range(at, max(at, gap.first)))
            at = gap.end
    return [*kept, range(at, whole.stop)]


def _read_claim(seq: int, entry: Entry) -> Missing | Loss:
    """Return what an entry says of the log itself; raises TamperedError."""
    try:
        read = Missing.read if entry.shape.kind is Kind.AUDIT_PRUNED else Loss.read
        return read(entry.fields)
    except (KeyError, TypeError) as error:
        raise TamperedError(seq, "what was pruned or lost cannot be read") from error
