"""Which of the log is old enough to leave it, and its leaving."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import InsufficientPrivilege, LockNotAvailable, RaiseException

from authsvc.adapters.postgres.log import Connection
from authsvc.core.errors import ConflictError, UnavailableError
from authsvc.core.kind import Kind

_OLD_MONTHS = "SELECT max(ends) FROM list_log_months() WHERE ends <= %s"
_RANGE = "SELECT (SELECT min(seq) FROM log), (SELECT min(seq) FROM log WHERE time >= %s)"
_SAID = "SELECT seq, entry FROM log WHERE kind = %s ORDER BY seq DESC"


@dataclass(frozen=True, slots=True)
class Prunable:
    """The entries from `first` up to before `end`, all of months that end by `until`."""

    first: int
    end: int
    until: datetime


async def find_prunable(connection: Connection, *, before: datetime) -> Prunable | None:
    """Return what is wholly of months that ended before a time, and followed by nothing of theirs; None when there is none."""
    row = await (await connection.execute(_OLD_MONTHS, [before])).fetchone()
    until = None if row is None else row[0]
    if until is None:
        return None
    first, end = await (await connection.execute(_RANGE, [until])).fetchone() or (None, None)
    return None if first is None or end is None or first >= end else Prunable(first, end, until)


async def find_first(connection: Connection) -> int:
    """Return the sequence number of the first entry that the log still has, 0 where it has none."""
    row = await (await connection.execute("SELECT coalesce(min(seq), 0) FROM log")).fetchone()
    return 0 if row is None else int(row[0])


async def list_prunings(connection: Connection) -> list[tuple[int, bytes]]:
    """Return what the table gives out for events of pruning, newest first; whoever may insert could have made them up."""
    rows = await (await connection.execute(_SAID, [Kind.AUDIT_PRUNED])).fetchall()
    return [(int(seq), bytes(entry)) for seq, entry in rows]


async def find_legal_hold(connection: Connection) -> str | None:
    """Return the reason of a legal hold, None when nothing is held."""
    row = await (await connection.execute("SELECT min(reason) FROM legal_holds")).fetchone()
    return None if row is None else row[0]


async def prune_log(connection: Connection, prunable: Prunable, event: int) -> int:
    """Drop it, as the owner, and return how many entries left.

    Raises ConflictError in the database's words when it refuses, and UnavailableError while others read the log.
    """
    try:
        cursor = await connection.execute("SELECT prune_log(%s, %s)", [prunable.until, event])
        row = await cursor.fetchone()
    except LockNotAvailable as error:
        raise UnavailableError(
            "the log is being read: run it again when exports and verifications have ended"
        ) from error
    except (RaiseException, InsufficientPrivilege) as error:
        raise ConflictError(f"the database refuses to prune: {error.diag.message_primary}") from error
    return 0 if row is None else int(row[0])
