"""Reading the log whole, for verification: streamed, in one snapshot that several processes share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import psycopg
from psycopg import sql

from authsvc.adapters.postgres.stored_columns import STORED_COLUMNS
from authsvc.core.entry_reader import LogRow
from authsvc.core.errors import UnavailableError
from authsvc.core.stored_tiles import TileRow, TreeAt
from authsvc.core.tiles import TILE_WIDTH
from authsvc.core.verify import BatchRow

_ROWS = 500

_LOG = f"""
SELECT seq, entry, {STORED_COLUMNS} FROM log WHERE seq >= {{first}} AND seq < {{end}} ORDER BY seq
"""  # noqa: S608 - what is formatted in is a constant
_ENTRIES = (
    "SELECT seq, entry FROM log WHERE seq >= {first} AND seq < {end} AND kind NOT IN ({usual}) ORDER BY seq"
)
_USUAL = ("token.issued", "registry.pull", "registry.push")
"""The kinds that an index leaves out; none of them is policy."""
_OF_KIND = "SELECT seq, entry FROM log WHERE kind = {kind} AND kind NOT IN ({usual}) ORDER BY seq"
_BEYOND = "SELECT min(seq), max(seq) FROM log WHERE seq < 0 OR seq >= {end}"
_SIZE_BEFORE = """
SELECT coalesce(min(size), 0) FROM batches WHERE size > (SELECT max(seq) FROM log WHERE time < %s)
"""
_BATCHES = (
    "SELECT prev, size, entries, root, frontier, revision, epoch, checkpoint FROM batches ORDER BY prev"
)
_TILES = "SELECT index, root, hashes FROM tiles WHERE level = {level} ORDER BY index"
_TILES_AT_ONCE = 256
_TREES = f"""
SELECT DISTINCT ON (size / {TILE_WIDTH}) size, frontier FROM batches ORDER BY size / {TILE_WIDTH}, size
"""  # noqa: S608 - what is formatted in is a constant
_KEPT = """
SELECT seq, entry FROM kept_policy WHERE seq >= {first} AND seq < {end}
UNION ALL SELECT seq, entry FROM log WHERE seq >= {first} AND seq < {end}
    AND (kind LIKE 'policy.%' OR kind LIKE 'credential.%' OR kind LIKE 'key.%')
ORDER BY seq
"""
_ENTRIES_OF = "SELECT entry FROM log WHERE seq >= %s AND seq < %s ORDER BY seq"


@dataclass(frozen=True, slots=True)
class LogAddress:
    """Where the log is read, and the snapshot in which: it can be sent to another process."""

    dsn: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class AuditRows:
    """The log in one snapshot; `address` lets other processes see the same."""

    connection: psycopg.Connection[Any]
    address: LogAddress

    def epochs(self) -> dict[int, str]:
        """Return the verifier keys by epoch, as the database gives them."""
        return dict(self.connection.execute("SELECT number, verifier_key FROM epochs").fetchall())

    def size(self) -> int:
        """Return how many entries the batches claim."""
        (size,) = self.connection.execute("SELECT coalesce(max(size), 0) FROM batches").fetchone() or (0,)
        return int(size)

    def size_before(self, time: datetime) -> int:
        """Return how large the log was once all entries of before `time` were in it."""
        (size,) = self.connection.execute(_SIZE_BEFORE, [time]).fetchone() or (0,)
        return int(size)

    def checkpoint(self, size: int) -> str | None:
        """Return the signed checkpoint of a size at which a batch ends, or None."""
        query = "SELECT checkpoint FROM batches WHERE size = %s"
        row = self.connection.execute(query, [size]).fetchone()
        return None if row is None else str(row[0])

    def batches(self) -> Iterator[BatchRow]:
        """Yield every batch, in order."""
        return map(BatchRow._make, self._stream("batches", sql.SQL(_BATCHES)))

    def rows(self, first: int, end: int) -> Iterator[LogRow]:
        """Yield the rows from `first` up to before `end`, in order."""
        return self._stream("log", sql.SQL(_LOG).format(first=first, end=end))

    def unusual(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield the entries of a range but for those of the kinds that are many; all of policy is among them."""
        query = sql.SQL(_ENTRIES).format(first=first, end=end, usual=_usual())
        return self._stream("unusual", query)

    def of_kind(self, kind: str) -> list[tuple[int, bytes]]:
        """Return the entries of a rare kind, as the columns have it."""
        return self.connection.execute(sql.SQL(_OF_KIND).format(kind=kind, usual=_usual())).fetchall()

    def kept(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield the entries of policy that stay of a range which leaves the log, in order: before and after it has left."""
        return self._stream("kept", sql.SQL(_KEPT).format(first=first, end=end))

    def entries(self, first: int, end: int) -> list[bytes]:
        """Return the entries of a range that the log has."""
        return [entry for (entry,) in self.connection.execute(_ENTRIES_OF, [first, end]).fetchall()]

    def tiles(self, level: int) -> Iterator[TileRow]:
        """Yield the stored tiles of a level, in order."""
        query = sql.SQL(_TILES).format(level=level)
        return map(TileRow._make, chain.from_iterable(self._chunks("tiles", query, size=_TILES_AT_ONCE)))

    def trees(self) -> Iterator[TreeAt]:
        """Yield the tree after the first batch with each number of full tiles, in order."""
        return map(TreeAt._make, self._stream("trees", sql.SQL(_TREES)))

    def beyond(self, end: int) -> int | None:
        """Return the seq of a row that lies outside of the log's `end` entries, or None."""
        low, high = self.connection.execute(sql.SQL(_BEYOND).format(end=end)).fetchone() or (None, None)
        return low if high is None or low is None or low < 0 else min(low, high)

    def _stream(self, name: str, query: sql.SQL | sql.Composed) -> Iterator[Any]:
        return chain.from_iterable(self._chunks(name, query))

    def _chunks(self, name: str, query: sql.SQL | sql.Composed, *, size: int = _ROWS) -> Iterator[list[Any]]:
        with self.connection.cursor(f"verify_{name}") as cursor:
            cursor.itersize = size
            cursor.execute(query, binary=True)
            while rows := cursor.fetchmany(size):
                yield rows


@contextmanager
def open_audit_rows(dsn: str) -> Iterator[AuditRows]:
    """Read with whatever role `dsn` has; raises UnavailableError when the rows cannot be read to their end.

    INVARIANT: the log is locked against being pruned until the end; other processes read it while this is open.
    """
    with _opened(dsn) as connection:
        connection.execute("LOCK TABLE log IN ACCESS SHARE MODE")
        (snapshot,) = connection.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        yield AuditRows(connection, LogAddress(dsn, snapshot))


@contextmanager
def open_again(address: LogAddress) -> Iterator[AuditRows]:
    """Read in a snapshot that another process holds open; raises UnavailableError as `open_audit_rows` does."""
    with _opened(address.dsn) as connection:
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(address.snapshot))
        yield AuditRows(connection, address)


@contextmanager
def _opened(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(dsn, connect_timeout=5, client_encoding="utf8") as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            # Rows are cheap and sorting is not: the plan that follows the primary key.
            connection.execute("SELECT set_config('cursor_tuple_fraction', '1', true)")
            yield connection
    except (psycopg.Error, OSError) as error:
        raise UnavailableError(f"the log cannot be read: {type(error).__name__}; check --dsn") from error


def _usual() -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Literal, _USUAL))
