"""What registries have reported, and when each was last heard.

INVARIANT: an id is stored in the transaction that appends its event, and is unique: a report that comes again, after an answer
that was lost or to two of our nodes at once, is in the log once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from authsvc.adapters.postgres.database import Report
from authsvc.adapters.postgres.log import Connection

KEPT = timedelta(days=30)
"""How long ids are known; a registry keeps what it could not report in memory, and asks again every few seconds."""

_KNOWN = "SELECT id FROM reported WHERE service = %s AND id = ANY(%s)"

_INSERT = """
INSERT INTO reported (service, id, seq, received_at)
SELECT %s, id, %s + n - 1, %s FROM unnest(%s::text[]) WITH ORDINALITY AS named(id, n)
"""

# Seldom written: the row is the same for every report of a registry, and whoever writes it waits for whoever did.
_HEARD = """
INSERT INTO registries AS r (service, heard_at) VALUES (%s, %s)
ON CONFLICT (service) DO UPDATE SET heard_at = excluded.heard_at
WHERE r.heard_at < excluded.heard_at - interval '10 seconds'
"""

_FORGET = """
DELETE FROM reported WHERE (service, id) IN
    (SELECT service, id FROM reported WHERE received_at < %s ORDER BY received_at LIMIT %s)
"""


async def find_known_ids(report: Report, service: str, ids: Sequence[str]) -> frozenset[str]:
    """Return those of `ids` that the service's registry has reported before."""
    cursor = await (await report.driver()).execute(_KNOWN, [service, list(ids)], prepare=True)
    return frozenset(row[0] for row in await cursor.fetchall())


async def insert_ids(report: Report, service: str, ids: Sequence[str], *, first: int, at: datetime) -> None:
    """Store the ids of events that were appended from the sequence number `first` on."""
    await (await report.driver()).execute(_INSERT, [service, first, at, list(ids)], prepare=True)


async def note_heard(report: Report, service: str, at: datetime) -> None:
    """Store that the registry was heard, unless it was a moment ago."""
    await (await report.driver()).execute(_HEARD, [service, at], prepare=True)


async def forget_ids(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete ids that were received before a time, so many at most, and return how many those were."""
    return (await connection.execute(_FORGET, [before, limit])).rowcount
