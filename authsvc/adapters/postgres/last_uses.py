"""The last use of principals and credentials as stored: written many at a time, in no policy transaction and with no event."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.tables import last_uses
from authsvc.core.last_use import LastUse

# Ordered, as workers write the same rows at the same time; never backwards, as they come late and in any order.
_WRITE = """
INSERT INTO last_uses AS stored (id, used_at, address)
SELECT id, used_at, address FROM unnest(%s::text[], %s::timestamptz[], %s::inet[]) AS noted (id, used_at, address) ORDER BY id
ON CONFLICT (id) DO UPDATE SET used_at = excluded.used_at, address = excluded.address
WHERE stored.used_at < excluded.used_at
"""

_FORGET = """
DELETE FROM last_uses l WHERE NOT EXISTS (SELECT FROM credentials WHERE id = l.id)
AND NOT EXISTS (SELECT FROM users WHERE id = l.id) AND NOT EXISTS (SELECT FROM robots WHERE id = l.id)
"""


async def write_last_uses(connection: Connection, uses: Mapping[str, LastUse]) -> None:
    """Store the last uses of these ids, where none later is stored."""
    times, addresses = [use.at for use in uses.values()], [use.address for use in uses.values()]
    await connection.execute(_WRITE, [list(uses), times, addresses])


async def find_last_uses(read: Read, ids: Iterable[str]) -> dict[str, LastUse]:
    """Return the stored last uses of these ids; one that was never used has none."""
    c = last_uses.c
    rows = await read.rows(select(c.id, c.used_at, c.address).where(c.id.in_(list(ids))))
    return {
        id_: LastUse(used_at, None if address is None else str(address)) for id_, used_at, address in rows
    }


async def forget_last_uses(connection: Connection) -> None:
    """Delete the last uses of what no longer exists."""
    await connection.execute(_FORGET)
