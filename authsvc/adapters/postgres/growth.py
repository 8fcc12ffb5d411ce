"""How large the log is, where it begins, and for how long it has partitions."""

from dataclasses import dataclass
from datetime import datetime

from authsvc.adapters.postgres.log import Connection

_EXTENT = """
SELECT (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits WHERE inhparent = 'log'::regclass)
        + pg_total_relation_size('batches') + pg_total_relation_size('tiles'),
    (SELECT min(seq) FROM log),
    (SELECT coalesce(max(size), 0) FROM batches),
    (SELECT (date_trunc('month', time AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' FROM log ORDER BY seq LIMIT 1),
    (SELECT max(ends) FROM list_log_months())
"""

_STRAY = "SELECT min(seq) FROM log WHERE seq >= (SELECT coalesce(max(size), 0) FROM batches)"


@dataclass(frozen=True, slots=True)
class Extent:
    """What the log takes: bytes with indexes, batches and tiles; its entries from `first` up to before `size`.

    `oldest_ends` is when its oldest month ends, None while it is empty; `partitioned_until` is when its last partition does.
    """

    bytes: int
    first: int
    size: int
    oldest_ends: datetime | None
    partitioned_until: datetime | None


async def read_extent(connection: Connection) -> Extent:
    """Return what the log takes now."""
    row = await (await connection.execute(_EXTENT)).fetchone() or (0, None, 0, None, None)
    return Extent(row[0], row[1] or 0, row[2], row[3], row[4])


async def find_stray(connection: Connection) -> int | None:
    """Return a row of the log beyond its end, which no batch of ours can have written; None when there is none."""
    row = await (await connection.execute(_STRAY)).fetchone()
    return None if row is None else row[0]
