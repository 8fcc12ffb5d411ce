"""Custody of the log: nothing is signed onto a database that lacks what is known to have been signed.

A restored backup, a failover that lost a tail, or a database that is another's would otherwise be signed on in silence: two logs
under one name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg
import structlog

from authsvc.adapters.postgres.log import (
    EMPTY_HEAD,
    Connection,
    Epoch,
    Head,
    confirm_committed,
    keep_warnings,
)
from authsvc.core.errors import StartupError, UnavailableError
from authsvc.core.mark import Mark
from authsvc.core.merkle import Frontier
from authsvc.core.note import Checkpoint, NoteError

RETRY_AFTER = 30

_NEWEST = """
SELECT b.size, b.root, b.checkpoint, (SELECT max(number) FROM epochs),
    (SELECT root FROM batches AS kept WHERE kept.size = %s)
FROM batches AS b ORDER BY b.prev DESC LIMIT 1
"""

_READ_HEAD = """
SELECT b.size, b.frontier, b.revision, (SELECT max(number) FROM epochs),
    (SELECT root FROM batches AS kept WHERE kept.size = %s), b.root, b.checkpoint
FROM batches AS b ORDER BY b.prev DESC LIMIT 1
"""

_CONTAINS = """
SELECT EXISTS (
    SELECT FROM batches JOIN epochs ON epochs.number = batches.epoch
    WHERE batches.size = %s AND batches.root = %b AND epochs.origin = %s
)
"""

# A later epoch says how much of the ones before it was lost when it was opened.
_WRITTEN_OFF = """
SELECT EXISTS (
    SELECT FROM epochs WHERE number > %s AND lost_until >= %s AND origin = %s || '/audit/' || number
)
"""

_log = structlog.get_logger()


class LogLostError(UnavailableError):
    """The log lacks something that was signed, or goes on under another epoch: this process signs nothing more."""


class PausedError(UnavailableError):
    """Something that signing rests on is not as it must be; it is looked at again every second."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest batch that is durable: the size of the log, and its signed checkpoint."""

    size: int
    checkpoint: str


class Custody:
    """What this process knows the log to hold; journal and changes read the head through it, and so cannot pass it by.

    INVARIANT: once the log is found to lack something, this process signs nothing more: what it remembers of policy may be of the
    history that was lost. Only a new process begins anew, and asks the marks outside the database first.
    INVARIANT: nothing is signed onto a batch that the audit key has not signed: `read` reads a note that it has, and raises
    NoteError for another. None is for who signs elsewhere. What this process committed itself is not read again.
    """

    def __init__(self, epoch: Epoch, read: Callable[[str], Mark] | None = None) -> None:
        self._epoch = epoch
        self._read = read
        self._forged: str | None = None
        self._seen = _Seen(0, b"")
        self._confirmed = 0
        self._fault: str | None = None
        self._pause: str | None = None

    @property
    def epoch(self) -> Epoch:
        """Return the epoch that this process signs for."""
        return self._epoch

    @property
    def fault(self) -> str | None:
        """Return what the log was found to lack, and what to do; None while all is well."""
        return self._fault

    def demand(self) -> None:
        """Raise LogLostError once the log was found to lack something, PausedError while signing is paused."""
        if self._fault is not None:
            raise LogLostError(self._fault, retry_after=RETRY_AFTER)
        if self._forged is not None or self._pause is not None:
            raise PausedError(self._forged or self._pause or "", retry_after=RETRY_AFTER)

    def pause(self, why: str | None) -> None:
        """Sign nothing for a reason that passes, until told None."""
        if why != self._pause:
            _log.error("custody.paused", why=why) if why else _log.info("custody.resumed")
        self._pause = why

    def saw(self, size: int, root: bytes) -> None:
        """Note a commit: from now on the log must hold it."""
        if size > self._seen.size:
            self._seen = _Seen(size, root)

    async def read_head(self, connection: Connection) -> Head:
        """Return where the log ends; raises LogLostError when it lacks what was seen, or another epoch has begun.

        Raises PausedError when somebody else has written its newest batch.

        INVARIANT: to follow it, the caller holds the log's lock, taken by an earlier statement: only so is this one sure to see
        the newest.
        """
        self.demand()
        seen = self._seen  # before the question, as others in this process go on committing
        row = await (await connection.execute(_READ_HEAD, [seen.size])).fetchone()
        if row is None:
            self._check(seen, _Seen(0, b""), self._epoch.number)
            return EMPTY_HEAD
        size, frontier, revision, epoch, there, root, checkpoint = row
        self._check(seen, _Seen(size, there), epoch)
        if size != seen.size:
            self._check_signed(size, bytes(root), checkpoint)
        return Head(Frontier.from_bytes(size, bytes(frontier)), revision)

    async def look(self, connection: Connection) -> Newest | None:
        """Return the newest batch once it is known to be durable on every standby that must have it, None when there is none.

        Raises LogLostError and PausedError as `read_head` does, and UnavailableError when it is not durable there.
        """
        if self._fault is not None:
            raise LogLostError(self._fault, retry_after=RETRY_AFTER)
        seen = self._seen  # before the question, as others in this process go on committing
        row = await (await connection.execute(_NEWEST, [seen.size])).fetchone()
        if row is None:
            self._check(seen, _Seen(0, b""), self._epoch.number)
            return None
        size, root, checkpoint, epoch, there = row
        self._check(seen, _Seen(size, there), epoch)
        if size != seen.size:
            self._check_signed(size, bytes(root), checkpoint)
        self._forged = None
        if size > self._confirmed:
            await _confirm(connection)
            self._confirmed = size
            self.saw(size, bytes(root))
        return Newest(size, checkpoint)

    def lack(self, what: str) -> LogLostError:
        """Stop this process's signing for good, and return the error that says why."""
        self._fault = f"{what}; no tokens are issued: bring the right database back, or see 'authsvc audit recover'; then restart"
        _log.critical("custody.lost", why=what)
        return LogLostError(self._fault, retry_after=RETRY_AFTER)

    def _check_signed(self, size: int, root: bytes, note: str) -> None:
        """Raise PausedError, until a look finds it mended, unless the audit key has signed the tree of the newest batch."""
        if self._read is None:
            return
        try:
            signed = self._read(note).checkpoint
            is_ours = (signed.size, signed.root) == (size, root)
        except NoteError:
            is_ours = False
        if not is_ours:
            if self._forged is None:
                _log.critical("custody.forged", size=size)
            self._forged = (
                f"the newest batch of the log, up to {size} entries, is not signed by our audit key: somebody else wrote it;"
                " no tokens are issued: run 'authsvc audit verify', and see 'A stolen application role' in the README"
            )
            raise PausedError(self._forged, retry_after=RETRY_AFTER)

    def _check(self, seen: "_Seen", there: "_Seen", epoch: int) -> None:
        """Hold what is there, the log's size and its root at the size that was seen, against what was seen."""
        if epoch != self._epoch.number:
            raise self.lack(
                f"epoch {epoch} of the log has begun, and this process signs for {self._epoch.number}"
            )
        if there.size < seen.size:
            raise self.lack(f"the log ends at {there.size} entries, and {seen.size} were signed")
        if seen.size and there.root != seen.root:
            raise self.lack(f"the log is another than the one of which {seen.size} entries were signed")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A size of the log, and a root; None where no batch ends."""

    size: int
    root: bytes | None


async def _confirm(connection: Connection) -> None:
    """Commit something, so that a standby that confirms it has all before it; raises UnavailableError when it does not."""
    warnings: list[str] = []
    keep = keep_warnings(warnings)
    connection.add_notice_handler(keep)
    try:
        await confirm_committed(connection)
    finally:
        connection.remove_notice_handler(keep)
    if warnings:
        raise UnavailableError("the newest batch is not known to be durable")


async def read_clock(connection: Connection) -> datetime:
    """Return the time by the database's clock."""
    row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
    if row is None:
        raise UnavailableError("the database tells no time")
    time: datetime = row[0]
    return time


async def check_marks(connection: psycopg.AsyncConnection[tuple[object, ...]], marks: list[Mark]) -> None:
    """Raise StartupError unless the log holds every mark, or a later epoch has written off what it lacks.

    INVARIANT: the marks were read before this is called, so that the database can only be further.
    """
    for mark in marks:
        if not await holds(connection, mark.checkpoint) and not await is_written_off(connection, mark):
            raise StartupError(
                f"this database lacks the log as it was signed: {mark.checkpoint.size} entries as {mark.checkpoint.origin}."
                " Restore its newest copy; if what is missing is lost for good, 'authsvc audit recover' says what to do"
            )


async def holds(connection: psycopg.AsyncConnection[tuple[object, ...]], checkpoint: Checkpoint) -> bool:
    """Say whether the log was, at the checkpoint's size, the tree that it is of."""
    cursor = await connection.execute(_CONTAINS, [checkpoint.size, checkpoint.root, checkpoint.origin])
    return await cursor.fetchone() == (True,)


async def is_written_off(connection: psycopg.AsyncConnection[tuple[object, ...]], mark: Mark) -> bool:
    """Say whether a later epoch of the same log has declared the mark's size lost."""
    cursor = await connection.execute(_WRITTEN_OFF, [mark.epoch, mark.checkpoint.size, mark.log])
    return await cursor.fetchone() == (True,)
