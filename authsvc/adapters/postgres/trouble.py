"""What a failed write to the log means to whoever must mend it; the driver's own words may hold values."""

from psycopg import Error
from psycopg.errors import (
    CheckViolation,
    DiskFull,
    DivisionByZero,
    InsufficientPrivilege,
    LockNotAvailable,
    QueryCanceled,
    ReadOnlySqlTransaction,
    UndefinedTable,
    UniqueViolation,
)

from authsvc.adapters.postgres.custody import LogLostError, PausedError

_NOT_KEPT = (
    "the database would not keep what is written: a trigger or rule swallows rows, synchronous_commit is off, or"
    " session_replication_role is not origin"
)
_MEANINGS: dict[type[Error], str] = {
    DiskFull: "the database's disk is full: make room, or prune the log",
    ReadOnlySqlTransaction: "the database is read-only: is it a standby, or default_transaction_read_only on?",
    LockNotAvailable: "another session holds a lock on the log: see pg_locks",
    QueryCanceled: "the database took too long: is a lock on the log held, or its disk overloaded?",
    DivisionByZero: _NOT_KEPT,
    UniqueViolation: _NOT_KEPT,  # told only of a batch under the log's lock, where its place cannot have been taken
    CheckViolation: "the log has no partition for this time: is a clock wrong, or were partitions not made?",
    InsufficientPrivilege: "the application role has lost a right on the log: run 'authsvc migrate'",
    UndefinedTable: "the log's tables are not there: run 'authsvc migrate'",
}


def describe_trouble(error: Exception) -> str:
    """Return one line that says what is wrong and where to look, without anything of what was written."""
    if isinstance(error, LogLostError | PausedError):
        return str(error)
    for cause in type(error).__mro__:
        if cause in _MEANINGS:
            return _MEANINGS[cause]
    if isinstance(error, Error) and error.sqlstate is not None:
        return f"the database refuses to write the log (SQLSTATE {error.sqlstate})"
    return "the database cannot be reached, or does not answer in time"
