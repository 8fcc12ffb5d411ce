"""The log as the history of policy: what it takes to make the policy of any moment again."""

from collections.abc import AsyncIterator

from authsvc.adapters.postgres.log import Connection

_POLICY_BEFORE = """
SELECT seq, entry FROM log
WHERE seq < %(before)s AND (kind LIKE 'policy.%%' OR kind LIKE 'credential.%%' OR kind LIKE 'key.%%')
UNION ALL SELECT seq, entry FROM kept_policy WHERE seq < %(before)s
ORDER BY seq
"""


async def find_entry(connection: Connection, seq: int) -> bytes | None:
    """Return one entry of the log."""
    row = await (await connection.execute("SELECT entry FROM log WHERE seq = %s", [seq])).fetchone()
    return None if row is None else bytes(row[0])


async def read_policy_entries(connection: Connection, *, before: int) -> AsyncIterator[tuple[int, bytes]]:
    """Yield every entry of policy, credentials and keys before a place of the log, in order, a thousand at a time.

    Those of pruned months are among them.
    """
    async with connection.cursor("policy_entries") as cursor:
        cursor.itersize = 1000
        await cursor.execute(_POLICY_BEFORE, {"before": before})
        async for seq, entry in cursor:
            yield seq, bytes(entry)
