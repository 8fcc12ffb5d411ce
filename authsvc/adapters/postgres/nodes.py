"""The processes that issue tokens, and the signing keys that each of them holds, by the database's clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from authsvc.adapters.postgres.log import Connection

LIVE_SECONDS = 30
"""A node that has not been seen for as long is gone: it stopped, or it cannot reach the database and so issues no tokens."""
KEYS_LOCK = 4_703_011

# A clock that was set back must not keep a dead node alive.
_IS_LIVE = f"seen_at BETWEEN now() - interval '{LIVE_SECONDS} s' AND now() + interval '{LIVE_SECONDS} s'"

_REPORT = """
INSERT INTO nodes (id, name, keys, seen_at) VALUES (%s, %s, %s, now())
ON CONFLICT (id) DO UPDATE SET keys = excluded.keys, seen_at = excluded.seen_at
"""

_UNHELD = f"""
SELECT k.id, n.name FROM signing_keys k, nodes n
WHERE (k.state = 'active' OR k.state = 'published' AND k.activated_at IS NULL) AND {_IS_LIVE} AND k.id <> ALL (n.keys)
ORDER BY k.created_at, k.id, n.name
"""  # noqa: S608 - formatted from the constant above


@dataclass(frozen=True, slots=True)
class Node:
    """A live node's name, and the ids of the keys that it holds."""

    name: str
    keys: frozenset[str]


async def report_node(connection: Connection, id_: str, name: str, keys: Iterable[str]) -> None:
    """Say that a node lives, and which keys it holds now."""
    await connection.execute(_REPORT, [id_, name, sorted(keys)])


async def list_nodes(connection: Connection) -> list[Node]:
    """Return the nodes that live, by name."""
    cursor = await connection.execute(f"SELECT name, keys FROM nodes WHERE {_IS_LIVE} ORDER BY name, id")  # noqa: S608 - the constant above
    return [Node(name, frozenset(keys)) for name, keys in await cursor.fetchall()]


async def find_unheld_keys(connection: Connection) -> dict[str, list[str]]:
    """Return the keys that sign, or that never did yet, each with the live nodes that do not hold it; none that all hold."""
    unheld: dict[str, list[str]] = {}
    for key, node in await (await connection.execute(_UNHELD)).fetchall():
        unheld.setdefault(key, []).append(node)
    return unheld


async def forget_node(connection: Connection, id_: str) -> None:
    """Say that a node has stopped, so that nobody waits for it."""
    await connection.execute("DELETE FROM nodes WHERE id = %s", [id_])


async def forget_dead_nodes(connection: Connection) -> None:
    """Delete the nodes that were killed; those that live write themselves down again."""
    await connection.execute(f"DELETE FROM nodes WHERE NOT ({_IS_LIVE})")  # noqa: S608 - the constant above


async def try_lock_keys(connection: Connection) -> bool:
    """Take the lock of who makes new keys, until the transaction ends; False when another process has it."""
    row = await (await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [KEYS_LOCK])).fetchone()
    return row is not None and bool(row[0])


def names_lacking(nodes: Sequence[Node], key: str) -> list[str]:
    """Return the names of the nodes that do not hold a key."""
    return [node.name for node in nodes if key not in node.keys]
