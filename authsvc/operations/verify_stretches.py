"""Verifying a database stretch by stretch, in as many processes as there are to spare."""

import gc
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from authsvc.adapters.canonical_json import decode
from authsvc.adapters.postgres.audit_rows import AuditRows, LogAddress, open_again
from authsvc.adapters.postgres.stored_columns import STORED
from authsvc.core.entry_reader import EntryReader, LogRow
from authsvc.core.event import MalformedEntryError
from authsvc.core.replay_decision import NotReplayedError, Replay
from authsvc.core.verified import Missing, TamperedError, Verified
from authsvc.core.verify import START, BatchRow, Standing, Verifier, check_place
from authsvc.operations.read_checkpoint import CheckpointReader

STRETCH = 20_000
"""Entries in one piece of work."""

Progress = Callable[[int, int], None]
"""Is told how many entries have been verified so far, and of how many."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is the same for every stretch of a log; it can be sent to another process."""

    read_checkpoint: CheckpointReader
    known: dict[int, list[bytes]]
    missing: Sequence[Missing]
    replay: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive batches, and where the log stands before them as the batch there claims."""

    start: Standing
    batches: Sequence[BatchRow]

    @property
    def end(self) -> int:
        """Return the size of the log after it."""
        return self.batches[-1].size


@dataclass(slots=True)
class Worker:
    """Verifies stretches in ascending order; what lies between them is read for its policy only."""

    rows: AuditRows
    verifier: Verifier
    at: int = 0

    @classmethod
    def of(cls, rows: AuditRows, task: Task) -> "Worker":
        """Make a worker that stands at the beginning of the log."""
        replay = Replay() if task.replay else None
        worker = cls(
            rows,
            Verifier(task.read_checkpoint, EntryReader(decode, STORED), replay, task.known, task.missing),
        )
        if replay is not None and task.missing:
            worker.at = max(gap.end for gap in task.missing)
            worker._take(rows.kept(0, worker.at), replay)
        return worker

    def verify(self, stretch: Stretch) -> Verified:
        """Return what the stretch proves; raises TamperedError."""
        self._catch_up(stretch.start.frontier.size)
        first, end = stretch.start.frontier.size, stretch.end
        _, found = self.verifier.verify(stretch.start, stretch.batches, self._rows(first, end))
        self.at = max(self.at, end)
        return found

    def _rows(self, first: int, end: int) -> Iterator[LogRow]:
        """Return the rows of a stretch; of what was pruned nothing is looked at, whatever is left of it."""
        rows, gaps = self.rows.rows(first, end), self.verifier.missing
        if not gaps:
            return rows
        return (row for row in rows if not any(gap.first <= row[0] < gap.end for gap in gaps))

    def _catch_up(self, end: int) -> None:
        """Take in the policy of the stretches that others verify."""
        replay = self.verifier.replay
        if replay is None or self.at >= end:
            return
        self._take(self.rows.unusual(self.at, end), replay)

    def _take(self, entries: Iterable[tuple[int, bytes]], replay: Replay) -> None:
        """Take in entries, of which those of policy matter."""
        for seq, data in entries:
            try:
                replay.take(seq, self.verifier.reader.read(data))
            except (NotReplayedError, MalformedEntryError) as error:
                raise TamperedError(seq, str(error)) from error


def cut(batches: Iterator[BatchRow]) -> Iterator[Stretch]:
    """Yield batches in stretches; raises TamperedError where they do not join, after all that lies before."""
    start: Standing = START
    held: list[BatchRow] = []
    for batch in batches:
        try:
            check_place(batch, held[-1].size if held else start.frontier.size)
        except TamperedError:
            if held:
                yield Stretch(start, held)
            raise
        held.append(batch)
        if batch.size - start.frontier.size >= STRETCH:
            yield Stretch(start, held)
            start, held = Standing.after(batch), []
    if held:
        yield Stretch(start, held)


def verify_alone(
    stretches: Iterator[Stretch], rows: AuditRows, task: Task, *, progress: Callable[[int], None]
) -> Verified:
    """Verify in this process; raises TamperedError."""
    worker, whole = Worker.of(rows, task), Verified()
    with _uncollected():
        for stretch in stretches:
            whole.add(worker.verify(stretch))
            progress(whole.size)
    return whole


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no cycles among the many things that are remembered: there are none, and looking takes a sixth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def verify_together(
    stretches: Iterator[Stretch],
    address: LogAddress,
    task: Task,
    *,
    jobs: int,
    progress: Callable[[int], None],
) -> Verified:
    """Verify in `jobs` processes; raises TamperedError for the first fault in the order of the log."""
    whole, fault = Verified(), None
    running: deque[Future[Verified]] = deque()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, initializer=_begin, initargs=(address, task)) as pool:
        try:
            while True:
                while fault is None and len(running) < 2 * jobs:
                    try:
                        running.append(pool.submit(_verify, next(stretches)))
                    except StopIteration:
                        break
                    except TamperedError as error:
                        fault = error  # told when all that lies before it has been proved
                if not running:
                    break
                whole.add(running.popleft().result())
                progress(whole.size)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if fault is not None:
        raise fault
    return whole


@dataclass(slots=True)
class _Process:
    """What a process of the pool keeps between stretches."""

    stack: ExitStack = field(default_factory=ExitStack)
    worker: Worker | None = None


_process = _Process()


def _begin(address: LogAddress, task: Task) -> None:
    _process.stack.enter_context(_uncollected())
    _process.worker = Worker.of(_process.stack.enter_context(open_again(address)), task)


def _verify(stretch: Stretch) -> Verified:
    if _process.worker is None:
        raise RuntimeError("the process was not prepared")
    return _process.worker.verify(stretch)
