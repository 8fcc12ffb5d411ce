"""The journal: writes decisions into the log, many in one commit, and proves that it did.

A micro-batcher per process, on its own connection: the next batch is whatever arrived while the last one was committed.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg
import structlog
from psycopg.errors import UniqueViolation

from authsvc.adapters.postgres.custody import Custody, LogLostError, PausedError
from authsvc.adapters.postgres.deadline import finish_within
from authsvc.adapters.postgres.log import (
    Batch,
    Connection,
    Head,
    Line,
    Seal,
    append_batch,
    compose_batch,
    compose_line,
    confirm_committed,
    is_committed,
    keep_warnings,
    lock_log,
)
from authsvc.adapters.postgres.trouble import describe_trouble
from authsvc.core.errors import UnavailableError
from authsvc.core.event import Event
from authsvc.core.recorded import Recorded, Stale

MAX_BATCH = 256
MAX_QUEUE = 4096
SEND_SECONDS = 4.0
RETRY_SECONDS = 0.2
TELL_SECONDS = 5.0
"""Between two lines of logs about the same trouble, which every batch meets."""
TROUBLE_SECONDS = 30.0
"""For so long a failure is told: a node that is not ready is not asked, and must be, to find out that it is again."""

Observe = Callable[[int, float], None]
"""Is told the size of each committed batch, and the seconds that its commit took."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Pending:
    """A line and who waits for it; `revision` None rests on no policy, so that it cannot be stale."""

    line: Line
    revision: int | None
    answer: "asyncio.Future[Recorded | Stale]"


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch of which it is not known whether it was committed, and who waits for it."""

    batch: Batch
    pending: tuple[_Pending, ...]


class _NotDurableError(Exception):
    """The commit came back with a warning: written here, but its wait for the standby was cancelled."""


class Journal:
    """See the module; `run` must be running for `record` to answer."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        custody: Custody,
        seal: Seal,
        observe: Observe,
    ) -> None:
        self._connect = connect
        self._custody = custody
        self._epoch = custody.epoch
        self._seal = seal
        self._observe = observe
        self._queue: deque[_Pending] = deque()
        self._wake = asyncio.Event()
        self._connection: Connection | None = None
        self._warnings: list[str] = []
        self._head: Head | None = None
        self._alone = True
        self._trouble: tuple[str, float] | None = None
        self._told_at = 0.0
        self._unsettled: list[_Sent] = []

    @property
    def waiting(self) -> int:
        """Return how many events wait for their batch."""
        return len(self._queue)

    @property
    def trouble(self) -> str | None:
        """Return why the last batch could not be written; None once one was, or when nobody has tried for a while."""
        if self._trouble is None or asyncio.get_running_loop().time() - self._trouble[1] > TROUBLE_SECONDS:
            return None
        return self._trouble[0]

    async def record(self, event: Event, *, revision: int | None) -> Recorded | Stale:
        """Append `event` and return once it is durable, or return Stale when policy has moved beyond `revision`.

        Raises UnavailableError when the log cannot take it: then it is not known to be in the log, and nothing may rest on it.
        """
        if len(self._queue) >= MAX_QUEUE:
            raise UnavailableError("the journal's queue is full")
        answer: asyncio.Future[Recorded | Stale] = asyncio.get_running_loop().create_future()
        self._queue.append(_Pending(compose_line(event), revision, answer))
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Write batches until cancelled; what fails is answered, logged, and tried afresh with the next batch."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._waiting_in_doubt() or self._take():
                    await self._write(batch)
        finally:
            self._refuse(
                [*self._queue, *(p for sent in self._unsettled for p in sent.pending)], "the service stops"
            )
            await self._disconnect()

    def _take(self) -> list[_Pending]:
        """Return the next events whose waiters are still there, 256 at most."""
        batch: list[_Pending] = []
        while self._queue and len(batch) < MAX_BATCH:
            pending = self._queue.popleft()
            if not pending.answer.done():
                batch.append(pending)
        return batch

    def _waiting_in_doubt(self) -> list[_Pending]:
        """Return those whose batch may or may not be in the log, once each; what nobody waits for need not be settled.

        INVARIANT: while there are any, nothing else is taken from the queue, so that what is in doubt never grows.
        """
        waiting = {id(p): p for sent in self._unsettled for p in sent.pending if not p.answer.done()}
        if not waiting:
            self._unsettled.clear()
        return list(waiting.values())

    async def _write(self, pending: list[_Pending]) -> None:
        started, was_settling = asyncio.get_running_loop().time(), bool(self._unsettled)
        try:
            written = await finish_within(SEND_SECONDS, self._append(pending))
        except asyncio.CancelledError:
            self._refuse(pending, "the service stops")
            raise
        except Exception as error:  # noqa: BLE001 - INVARIANT: the journal outlives whatever one batch meets, or nobody is answered again
            is_away = self._note_trouble(error) and isinstance(error, psycopg.OperationalError)
            timed_out = isinstance(error, UnavailableError) and not isinstance(
                error, LogLostError | PausedError
            )
            await self._give_up(pending, timed_out=timed_out)
            if was_settling:  # for the second time: those behind need not wait for a third
                self._refuse(self._queue, "the log cannot be written")
            if (
                was_settling or is_away
            ):  # or every request would be a connection more to what is starting again
                await asyncio.sleep(RETRY_SECONDS)
        else:
            if written:
                self._observe(written, asyncio.get_running_loop().time() - started)

    def _note_trouble(self, error: Exception) -> bool:
        """Keep what is wrong for whoever asks, say it once in `TELL_SECONDS`, and return whether it was so the last time too."""
        now, last = asyncio.get_running_loop().time(), self._trouble
        self._trouble = describe_trouble(error), now
        is_news = last is None or last[0] != self._trouble[0]
        if is_news or now - self._told_at > TELL_SECONDS:
            self._told_at = now
            _log.error("journal.failed", why=self._trouble[0], error=type(error).__name__)
        return not is_news

    async def _give_up(self, pending: list[_Pending], *, timed_out: bool) -> None:
        """Answer those whose batch is known not to be in the log; the others wait until that is settled."""
        in_doubt = {id(p) for sent in self._unsettled for p in sent.pending}
        self._refuse([p for p in pending if id(p) not in in_doubt], "the log cannot be written")
        self._head = None
        if timed_out:
            self._connection = None  # still in use by what was left behind, which closes it
        await self._disconnect()

    async def _append(self, pending: list[_Pending]) -> int:
        """Append what is not stale, and answer everybody; return how many entries were written."""
        self._custody.demand()
        connection = await self._connected()
        head = self._head
        try:
            if self._alone and head is not None and not any(_is_ahead(p, head) for p in pending):
                with suppress(UniqueViolation):
                    return await self._append_to(connection, head, pending)
            return await self._append_under_lock(connection, pending)
        except asyncio.CancelledError:
            await connection.close()  # here, where nobody waits on its socket any more
            raise

    async def _append_to(self, connection: Connection, head: Head, pending: list[_Pending]) -> int:
        """Append in one round trip onto the head that we left; the primary key of batches refuses it if there is a newer one."""
        fresh = _split_stale(pending, head)
        if not fresh:
            return 0
        sent = self._compose(head, fresh)
        await self._send(connection, sent)
        self._settle(sent)
        return len(fresh)

    async def _append_under_lock(self, connection: Connection, pending: list[_Pending]) -> int:
        """Append onto the newest head, settling first what is in doubt.

        INVARIANT: what is in doubt is looked up and, when it is missing, sent again under one holding of the lock: a commit of it
        that is still on its way then finds its place taken, and is refused by the primary key: nothing is lost, nothing doubled.
        INVARIANT: what is found is answered only after this transaction too has committed something, and without a warning: its
        own commit may have given up its wait for the standby, and a standby that has this one has all before it.
        """
        sent: _Sent | None = None
        async with connection.transaction():
            await lock_log(connection)
            head = await self._custody.read_head(connection)
            if any(_is_ahead(p, head) for p in pending):
                raise self._custody.lack("a decision rests on policy that the log does not hold")
            committed = [s for s in self._unsettled if await is_committed(connection, s.batch)]
            done = {id(p) for s in committed for p in s.pending}
            fresh = _split_stale([p for p in pending if id(p) not in done], head)
            if fresh:
                sent = self._compose(head, fresh)
                await append_batch(connection, sent.batch, self._epoch)
                self._unsettled.append(sent)  # from the COMMIT that follows on it is in doubt
            elif committed:
                await confirm_committed(connection)
        if connection.closed:  # psycopg then leaves the block in silence, without a COMMIT
            raise psycopg.OperationalError("the connection was lost before the commit")
        self._check_warnings()
        for settled in committed:
            self._answer(settled)
        self._alone = self._head in (None, head)
        if sent is None:
            self._unsettled.clear()
            self._head = head
            return 0
        self._settle(sent)
        return len(fresh)

    def _compose(self, head: Head, pending: Sequence[_Pending]) -> _Sent:
        lines = [p.line for p in pending]
        return _Sent(compose_batch(head, lines, epoch=self._epoch, seal=self._seal), tuple(pending))

    async def _send(self, connection: Connection, sent: _Sent) -> None:
        """Run the statement that commits `sent`, which is in doubt from now until the server has answered."""
        self._unsettled.append(sent)
        try:
            await append_batch(connection, sent.batch, self._epoch)
        except psycopg.Error:
            # INVARIANT: the statement's own connection is asked, and whoever closed it: when this was left behind, the journal
            # has another one by now.
            if not connection.closed:
                self._unsettled.remove(sent)  # an error on a living connection: rolled back
            raise
        self._check_warnings()

    def _settle(self, sent: _Sent) -> None:
        """Take over the head that `sent` made, and answer its waiters; anything older that was in doubt is refused by now."""
        self._unsettled.clear()
        self._trouble = None
        self._head = sent.batch.after
        self._custody.saw(sent.batch.after.size, sent.batch.root)
        self._answer(sent)

    def _answer(self, sent: _Sent) -> None:
        for seq, pending in enumerate(sent.pending, start=sent.batch.prev):
            if not pending.answer.done():
                pending.answer.set_result(Recorded(pending.line.event, self._epoch.number, seq))

    def _refuse(self, pending: Iterable[_Pending], why: str) -> None:
        for p in pending:
            if not p.answer.done():
                p.answer.set_exception(UnavailableError(why))

    def _check_warnings(self) -> None:
        if self._warnings:
            self._warnings.clear()
            raise _NotDurableError

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            connection = await self._connect()
            self._head = None  # it may be another database by now: the next head is read, and held against what was seen
            self._warnings.clear()
            connection.add_notice_handler(keep_warnings(self._warnings))
            self._connection = connection
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error, OSError):
                await self._connection.close()
            self._connection = None


def _is_ahead(pending: _Pending, head: Head) -> bool:
    """Say whether the decision rests on newer policy than `head` knows: then there is a newer head."""
    return pending.revision is not None and pending.revision > head.revision


def _split_stale(pending: Sequence[_Pending], head: Head) -> list[_Pending]:
    """Answer those that rest on older policy than the head's, and return the others."""
    fresh: list[_Pending] = []
    for p in pending:
        if p.revision is None or p.revision >= head.revision:
            fresh.append(p)
        elif not p.answer.done():
            p.answer.set_result(Stale(head.revision))
    return fresh
