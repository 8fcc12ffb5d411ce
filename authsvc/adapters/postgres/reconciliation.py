"""Holding reported operations against the log's grants: what is new, who could have covered it, what was found.

Everything is bounded: operations by a cursor, tokens by their actor's index between two sequence numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.log import Connection
from authsvc.core.finding import Finding, FindingKind

_BEGIN = "SELECT set_config('statement_timeout', '20000', true), set_config('jit', 'off', true)"

_CURSOR = "SELECT seq FROM cursors WHERE name = 'reconciliation' FOR UPDATE SKIP LOCKED"

_NEW = """
SELECT r.service, r.seq, r.received_at, l.entry
FROM (SELECT service, seq, received_at FROM reported WHERE seq > %s ORDER BY seq LIMIT %s) AS r
LEFT JOIN log l ON l.seq = r.seq AND l.time = r.received_at ORDER BY r.seq
"""

_AT = "SELECT seq, time FROM log WHERE seq >= %s ORDER BY seq LIMIT 1"

# Not prepared: a generic plan knows neither the months nor how common an actor is.
_ISSUED = """
SELECT seq, entry FROM log
WHERE hashtext(actor) = hashtext(%(actor)s) AND actor = %(actor)s AND seq >= %(first)s AND seq < %(before)s
    AND time >= %(since)s AND time < %(until)s AND kind = 'token.issued' AND repositories @> ARRAY[%(repository)s::text]
ORDER BY seq DESC LIMIT %(limit)s
"""

_GRANTING = """
SELECT seq, time, entry FROM log
WHERE seq >= %s AND time >= %s AND time < %s AND kind = 'token.issued' AND cardinality(actions) > 0
ORDER BY seq DESC LIMIT %s
"""

_HEARD = """
SELECT r.service, r.heard_at, s.token_ttl_seconds,
    EXISTS (SELECT FROM findings f WHERE f.kind = 'silent' AND f.service = r.service AND f.since = r.heard_at)
FROM registries r JOIN services s ON s.name = r.service ORDER BY r.service
"""

_ADD = """
INSERT INTO findings (kind, service, seq, since, found_at) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

_FINDINGS = """
SELECT f.number, f.kind, f.service, f.seq, f.since, f.found_at, l.entry,
    (SELECT epoch FROM batches WHERE prev <= f.seq ORDER BY prev DESC LIMIT 1)
FROM findings f LEFT JOIN log l ON l.seq = f.seq
WHERE (%(after)s::bigint IS NULL OR f.number < %(after)s) AND (%(kind)s::text IS NULL OR f.kind = %(kind)s)
    AND (%(service)s::text IS NULL OR f.service = %(service)s)
ORDER BY f.number DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class NewOperation:
    """A reported operation that has not been held against grants; `entry` is None where the log no longer has it."""

    service: str
    seq: int
    received_at: datetime
    entry: bytes | None


@dataclass(frozen=True, slots=True)
class Registry:
    """When the registry of a service was last heard, and whether it is known to be silent since."""

    service: str
    heard_at: datetime
    token_ttl_seconds: int
    is_found_silent: bool


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as stored, with the log's entry that shows it and the epoch of that, where the log still has them."""

    number: int
    finding: Finding
    entry: bytes | None
    epoch: int


async def begin_round(connection: Connection) -> int | None:
    """Return the cursor, and keep it from others until the end of the transaction; None when somebody else has it."""
    await connection.execute(_BEGIN)
    row = await (await connection.execute(_CURSOR)).fetchone()
    return None if row is None else int(row[0])


async def read_cursor(connection: Connection) -> int:
    """Return up to where operations have been held against grants, -1 for none."""
    row = await (await connection.execute("SELECT seq FROM cursors WHERE name = 'reconciliation'")).fetchone()
    return -1 if row is None else int(row[0])


async def move_cursor(connection: Connection, cursor: int) -> None:
    """Store up to where operations have been held against grants."""
    await connection.execute("UPDATE cursors SET seq = %s WHERE name = 'reconciliation'", [cursor])


async def list_new_operations(connection: Connection, *, after: int, limit: int) -> list[NewOperation]:
    """Return operations in the order of the log, from beyond a sequence number on.

    INVARIANT: sequence numbers are given under the log's lock, so that none is committed behind the cursor.
    """
    rows = await (await connection.execute(_NEW, [after, limit])).fetchall()
    return [NewOperation(*row) for row in rows]


async def find_seq_at(connection: Connection, time: datetime) -> int:
    """Return about where the log was at a time: the clocks of several nodes differ, so look further than you have to."""
    row = await (await connection.execute("SELECT max(size) FROM batches")).fetchone()
    low, high = 0, 0 if row is None or row[0] is None else int(row[0])
    while low < high:
        middle = (low + high) // 2
        found = await (await connection.execute(_AT, [middle])).fetchone()
        if found is None or found[1] >= time:
            high = middle
        else:
            low = int(found[0]) + 1
    return low


async def list_tokens_of(
    connection: Connection,
    *,
    actor: str,
    repository: str,
    first: int,
    before: int,
    since: datetime,
    until: datetime,
    limit: int,
) -> list[tuple[int, bytes]]:
    """Return tokens of an actor that name a repository, newest first, within both bounds of place and of time."""
    parameters = {
        "actor": actor, "repository": repository, "first": first, "before": before,
        "since": since, "until": until, "limit": limit,
    }  # fmt: skip
    return await (await connection.execute(_ISSUED, parameters, prepare=False)).fetchall()


async def list_granting_tokens(
    connection: Connection, *, first: int, since: datetime, until: datetime, limit: int
) -> list[tuple[int, datetime, bytes]]:
    """Return tokens that grant something, newest first."""
    cursor = await connection.execute(_GRANTING, [first, since, until, limit], prepare=False)
    return await cursor.fetchall()


async def list_registries(connection: Connection) -> list[Registry]:
    """Return every registry that has ever reported, by its service."""
    return [Registry(*row) for row in await (await connection.execute(_HEARD)).fetchall()]


async def add_findings(connection: Connection, findings: Iterable[Finding]) -> None:
    """Store findings that are not stored."""
    rows = [(f.kind, f.service, f.seq, f.since, f.found_at) for f in findings]
    if rows:
        async with connection.cursor() as cursor:
            await cursor.executemany(_ADD, rows)


async def list_findings(
    read: Read, *, kind: FindingKind | None, service: str | None, after: int | None, limit: int
) -> list[FindingRow]:
    """Return findings, newest first, from below a number on."""
    parameters = {"after": after, "kind": kind, "service": service, "limit": limit}
    cursor = await (await read.driver()).execute(_FINDINGS, parameters)
    return [
        FindingRow(row[0], Finding(FindingKind(row[1]), *row[2:6]), row[6], row[7])
        for row in await cursor.fetchall()
    ]
