"""Appending to the log: one statement that inserts a batch of entries with its signed checkpoint, or fails whole.

Both writers use it: the journal (decisions) and `Database.change` (policy).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from psycopg import AsyncConnection
from psycopg.errors import Diagnostic, UniqueViolation
from psycopg.rows import TupleRow

from authsvc.core.canonical import Json
from authsvc.core.errors import StartupError
from authsvc.core.event import Event, IndexRow, encode_event
from authsvc.core.mark import name_origin
from authsvc.core.merkle import Frontier, leaf_hash
from authsvc.core.note import Checkpoint, verifier_key

POLICY_LOCK = 4_703_003
LOG_LOCK = 4_703_004
"""INVARIANT: who takes both takes the policy lock first, and the log lock last, for one commit only."""

Seal = Callable[[Checkpoint], str]
"""Signs a checkpoint with the audit key and returns the signed note."""

Connection = AsyncConnection[TupleRow]


@dataclass(frozen=True, slots=True)
class Epoch:
    """The name under which the log is signed."""

    number: int
    origin: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log ends: its tree's frontier, and the policy revision there (-1: no policy yet)."""

    frontier: Frontier
    revision: int

    @property
    def size(self) -> int:
        """Return the number of entries."""
        return self.frontier.size


EMPTY_HEAD = Head(Frontier(0, ()), -1)


@dataclass(frozen=True, slots=True)
class Line:
    """An event as it goes into the log; encoded and hashed before the log's lock is taken."""

    event: Event
    entry: bytes
    index: IndexRow
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines composed onto a head: the head after them, and the signed checkpoint over it."""

    prev: int
    lines: tuple[Line, ...]
    after: Head
    root: bytes
    checkpoint: str


# The lock comes first in the one statement that needs it; taking it again in a transaction that holds it is free. A place that is
# taken is no error of the database, as with several writers it happens many times a second, and each would be a line in the
# server's log: nothing is inserted then. The division fails the statement, and so the transaction, unless every row went in (a
# trigger may swallow rows in silence), the commit will be durable, and triggers are in force.
_APPEND = f"""
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock({LOG_LOCK}) FROM set_config('lock_timeout', '2000', true)
), batch AS (
    INSERT INTO batches (prev, size, entries, root, frontier, revision, epoch, checkpoint)
    SELECT %(prev)s, %(size)s, %(size)s - %(prev)s, %(root)b, %(frontier)b, %(revision)s, %(epoch)s, %(checkpoint)s
    FROM locked
    ON CONFLICT (prev) DO NOTHING
    RETURNING 1
), entries AS (
    INSERT INTO log (seq, time, kind, outcome, actor, projects, repositories, actions, address, entry)
    SELECT %(prev)s + line.n - 1, line.time, line.kind, line.outcome, line.actor, line.projects, line.repositories,
           line.actions, line.address, convert_to(line.entry, 'UTF8')
    FROM batch, ROWS FROM (
        json_to_recordset(%(lines)s::json) AS (
            time timestamptz, kind text, outcome text, actor text, projects text[], repositories text[], actions text[],
            address inet, entry text
        )
    ) WITH ORDINALITY AS line(time, kind, outcome, actor, projects, repositories, actions, address, entry, n)
    RETURNING 1
)
SELECT CASE WHEN (SELECT count(*) FROM batch) = 1 THEN 1 / (
    (SELECT count(*) FROM entries) = %(size)s - %(prev)s
    AND current_setting('synchronous_commit') IN ('on', 'remote_apply')
    AND current_setting('session_replication_role') = 'origin'
)::integer END
"""  # noqa: S608 - the one value formatted in is the lock's number above

# A transaction that writes no WAL waits for nobody, even with a transaction id: this writes some, and changes nothing.
_CONFIRM = """
SELECT pg_logical_emit_message(true, 'authsvc', ''),
    1 / (current_setting('synchronous_commit') IN ('on', 'remote_apply'))::integer
"""


def _encode(value: Mapping[str, Json]) -> bytes:
    """Return the canonical bytes, ten times faster than core's own encoder; a test holds the two together."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)


def compose_line(event: Event) -> Line:
    """Return the event encoded and hashed."""
    entry, index = encode_event(event, _encode)
    return Line(event, entry, index, leaf_hash(entry))


def compose_batch(head: Head, lines: Sequence[Line], *, epoch: Epoch, seal: Seal) -> Batch:
    """Return `lines` as the batch that follows `head`, its checkpoint signed."""
    frontier = head.frontier.append([line.leaf for line in lines])
    revision = head.revision
    for seq, line in enumerate(lines, start=head.size):
        if line.event.kind.moves_policy:
            revision = seq
    root = frontier.root
    checkpoint = seal(Checkpoint(origin=epoch.origin, size=frontier.size, root=root))
    return Batch(head.size, tuple(lines), Head(frontier, revision), root, checkpoint)


async def append_batch(connection: Connection, batch: Batch, epoch: Epoch) -> None:
    """Insert `batch`; outside a transaction this is also its commit.

    Raises psycopg's UniqueViolation when another batch follows the same head, another of its errors when it was not inserted.
    """
    cursor = await connection.execute(
        _APPEND,
        {
            "prev": batch.prev,
            "size": batch.after.size,
            "root": batch.root,
            "frontier": batch.after.frontier.to_bytes(),
            "revision": batch.after.revision,
            "epoch": epoch.number,
            "checkpoint": batch.checkpoint,
            "lines": orjson.dumps([_row(line) for line in batch.lines]).decode(),
        },
        prepare=True,
    )
    if await cursor.fetchone() != (1,):
        raise UniqueViolation("another batch follows this head")


def _row(line: Line) -> dict[str, object]:
    """Return a line as the one JSON parameter has it: an array parameter for each column costs the driver ten times as much.

    An entry is JSON in UTF-8 itself, so that it is the same bytes again when it has been a text.
    """
    index = line.index
    return {
        "time": index.time,
        "kind": index.kind,
        "outcome": index.outcome,
        "actor": index.actor,
        "projects": index.projects,
        "repositories": index.repositories,
        "actions": index.actions,
        "address": index.address,
        "entry": line.entry.decode(),
    }


async def lock_log(connection: Connection) -> None:
    """Take the log's lock until the end of the transaction; a holder that stops between statements loses its session in 1 s."""
    await connection.execute(
        "SELECT set_config('lock_timeout', '2000', true), set_config('statement_timeout', '5000', true),"
        " set_config('idle_in_transaction_session_timeout', '1000', true)"
    )
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOG_LOCK])


async def is_committed(connection: Connection, batch: Batch) -> bool:
    """Say whether exactly this batch is in the log; its root is unique, as every entry has a nonce.

    INVARIANT: the caller holds the log's lock; without it a commit that is still in flight would be missed.
    """
    cursor = await connection.execute(
        "SELECT 1 FROM batches WHERE prev = %s AND root = %b", [batch.prev, batch.root]
    )
    return await cursor.fetchone() is not None


async def confirm_committed(connection: Connection) -> None:
    """Make this transaction's commit one that a standby must confirm, as it then confirms every earlier one that was found."""
    await connection.execute(_CONFIRM)


def keep_warnings(found: list[str]) -> Callable[[Diagnostic], None]:
    """Return a notice handler that adds warnings to `found`: a commit whose wait for the standby was cancelled comes with one.

    INVARIANT: the notice is read inside the call; afterwards the driver has freed it, and it says nothing.
    """

    def keep(diagnostic: Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            found.append(diagnostic.message_primary or "")

    return keep


async def open_epoch(connection: Connection, *, public: bytes, name: str) -> Epoch:
    """Return the newest epoch, opening the first under `name` when there is none.

    Raises StartupError when it belongs to another audit key than `public`: signing on would fork the log.
    """
    async with connection.transaction():
        await lock_log(connection)
        row = await (
            await connection.execute(
                "SELECT number, origin, verifier_key FROM epochs ORDER BY number DESC LIMIT 1"
            )
        ).fetchone()
        if row is None:
            origin = name_origin(name, 1)
            row = (1, origin, verifier_key(origin, public))
            await connection.execute("SELECT open_first_epoch(%s, %s)", row[1:])
    number, origin, key = row
    if key != verifier_key(origin, public):
        raise StartupError(
            "the audit key in KEYS_DIR is not the one that this log is signed with: restore the folder"
        )
    return Epoch(number, origin)
