"""The tree's hashes: full tiles (C2SP tlog-tiles), derived from the log and stored, and the newest leaves beyond them."""

from collections.abc import Sequence
from typing import Any

from authsvc.adapters.postgres.log import Connection
from authsvc.core.merkle import HASH_BYTES
from authsvc.core.tiled_tree import Node, span_of
from authsvc.core.tiles import TILE_WIDTH, split_tile

_LEAF = r"sha256('\x00'::bytea || entry)"

_TILED = "SELECT coalesce(max(index) + 1, 0) FROM tiles WHERE level = 0"

# A tile that is full is stored. One that is not has its hashes in the tiles below: each is the root of one of these.
_SPANS = f"""
SELECT coalesce(
    (SELECT substr(t.hashes, (span.first %% {TILE_WIDTH})::integer * {HASH_BYTES} + 1, span.count * {HASH_BYTES})
     FROM tiles t WHERE t.level = span.level AND t.index = span.first / {TILE_WIDTH}),
    (SELECT string_agg(t.root, ''::bytea ORDER BY t.index)
     FROM tiles t WHERE t.level = span.level - 1 AND t.index >= span.first AND t.index < span.first + span.count)
)
FROM unnest(%s::integer[], %s::bigint[], %s::integer[]) WITH ORDINALITY AS span(level, first, count, n) ORDER BY n
"""  # noqa: S608 - formatted from the constants above

_NEWEST = f"SELECT string_agg({_LEAF}, ''::bytea ORDER BY seq) FROM log WHERE seq >= %s AND seq < %s"  # noqa: S608 - the constant above

_BUNDLE = "SELECT entry FROM log WHERE seq >= %s AND seq < %s ORDER BY seq"

_CHECKPOINT = "SELECT checkpoint FROM batches ORDER BY prev DESC LIMIT 1"


async def add_full_tiles(connection: Connection, *, most: int) -> bool:
    """Have the database store the next tiles that the log has filled, `most` of the lowest level; say whether there are more.

    One worker at a time does; the others leave it to that one.
    """
    return bool(await _value(connection, "SELECT fill_tiles(%s)", most))


async def forget_tiles(connection: Connection, first: int) -> int:
    """Delete, as the owner, the tiles from the one of the lowest level on, and those above; return how many."""
    return int(await _value(connection, "SELECT forget_tiles(%s)", first))


async def add_tile(connection: Connection, index: int, hashes: bytes) -> None:
    """Store, as the owner, a full tile of the lowest level, and those above that it completes."""
    await connection.execute("SELECT add_tile(0, %s, %s)", [index, hashes])


async def count_tiled(connection: Connection) -> int:
    """Return how many leaves the stored tiles hold, from the first on."""
    tiles: int = await _value(connection, _TILED)
    return tiles * TILE_WIDTH


async def read_spans(connection: Connection, nodes: Sequence[Node]) -> dict[Node, bytes]:
    """Return the hashes that are stored under nodes; what is missing is empty."""
    spans = [span_of(node) for node in nodes]
    columns = [[s.level for s in spans], [s.first for s in spans], [s.count for s in spans]]
    rows = await (await connection.execute(_SPANS, columns)).fetchall()
    return {node: bytes(hashes or b"") for node, (hashes,) in zip(nodes, rows, strict=True)}


async def read_leaves(connection: Connection, start: int, end: int) -> tuple[bytes, ...]:
    """Return the leaf hashes of the entries from `start` up to `end` that the log has."""
    hashes = bytes(await _value(connection, _NEWEST, start, end) or b"")
    return split_tile(hashes, len(hashes) // HASH_BYTES)


async def read_entries(connection: Connection, start: int, end: int) -> list[bytes]:
    """Return the entries from `start` up to `end` that the log has."""
    return [bytes(entry) for (entry,) in await (await connection.execute(_BUNDLE, [start, end])).fetchall()]


async def find_checkpoint(connection: Connection) -> str | None:
    """Return the newest checkpoint, a signed note; None while the log is empty."""
    row = await (await connection.execute(_CHECKPOINT)).fetchone()
    return None if row is None else str(row[0])


async def _value(connection: Connection, statement: str, *values: int) -> Any:
    row = await (await connection.execute(statement.encode(), values)).fetchone()
    return None if row is None else row[0]
