"""Reading the log whole, for verification: one snapshot, streamed, over a connection of the caller's choosing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from authsvc.core.errors import UnavailableError
from authsvc.core.event import IndexRow
from authsvc.core.verify import BatchRow, LogRow

_ROWS = 2_000

_LOG = "SELECT seq, time, kind, outcome, actor, projects, repositories, actions, address, entry FROM log ORDER BY seq"
_BATCHES = (
    "SELECT prev, size, entries, root, frontier, revision, epoch, checkpoint FROM batches ORDER BY prev"
)


@dataclass(frozen=True, slots=True)
class AuditRows:
    """The log and its batches in one snapshot, and the verifier keys by epoch as the database gives them."""

    batches: Iterator[BatchRow]
    rows: Iterator[LogRow]
    keys: dict[int, str]


@contextmanager
def open_audit_rows(dsn: str) -> Iterator[AuditRows]:
    """Read with whatever role `dsn` has; raises UnavailableError when the rows cannot be read to their end."""
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            keys: dict[int, str] = dict(
                connection.execute("SELECT number, verifier_key FROM epochs").fetchall()
            )
            yield AuditRows(
                batches=(BatchRow(*row) for row in _stream(connection, "batches", _BATCHES)),
                rows=(_log_row(row) for row in _stream(connection, "log", _LOG)),
                keys=keys,
            )
    except (psycopg.Error, OSError) as error:
        raise UnavailableError(f"the log cannot be read: {type(error).__name__}; check --dsn") from error


def _stream(connection: psycopg.Connection[Any], name: str, statement: str) -> Iterator[Any]:
    with connection.cursor(f"verify_{name}") as cursor:
        cursor.itersize = _ROWS
        cursor.execute(statement)
        yield from cursor


def _log_row(row: Any) -> LogRow:
    seq, time, kind, outcome, actor, projects, repositories, actions, address, entry = row
    index = IndexRow(
        time=time,
        kind=kind,
        outcome=outcome,
        actor=actor,
        projects=tuple(projects),
        repositories=tuple(repositories),
        actions=tuple(actions),
        address=None if address is None else str(address),
    )
    return LogRow(seq, index, entry)
