"""Reading the log's tree so that what is read proves itself: nothing leaves here that does not lead to the signed checkpoint."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.tiles import count_tiled, find_checkpoint, read_leaves, read_spans
from authsvc.core.errors import UnavailableError
from authsvc.core.mark import Mark
from authsvc.core.merkle import FrontierError
from authsvc.core.note import Checkpoint, NoteError
from authsvc.core.proof import HashOf, ProofError, inclusion_proof
from authsvc.core.tiled_tree import TiledTree, nodes_of, stored_under
from authsvc.core.tiles import TILE_WIDTH, TileError
from authsvc.core.tlog_proof import TlogProof
from authsvc.operations.deps import Deps

MOST_HASHED = 1 << 18
"""Entries of a log that is hashed anew for one answer where its tiles are false: a second of the database and of one thread."""

_T = TypeVar("_T")

_log = structlog.get_logger()


async def find_head(deps: Deps, driver: Connection) -> Mark | None:
    """Return the newest checkpoint, None while the log is empty; raises UnavailableError unless our audit key has signed it."""
    note = await find_checkpoint(driver)
    try:
        return None if note is None else deps.kept.read(note)
    except NoteError as error:
        raise contradiction() from error


async def prove_entry(driver: Connection, head: Mark, seq: int) -> tuple[bytes, TlogProof]:
    """Return an entry's leaf hash, and the proof that it is in the head's tree; raises UnavailableError as `from_tree` does."""
    size = head.checkpoint.size

    def prove(hash_of: HashOf) -> tuple[bytes, TlogProof]:
        return hash_of(0, seq), TlogProof(seq, inclusion_proof(seq, size, hash_of), head.note)

    def check(proved: tuple[bytes, TlogProof]) -> None:
        leaf, proof = proved
        proof.verify(leaf, head.checkpoint)

    return await from_tree(driver, head.checkpoint, prove, check)


async def from_tree(
    driver: Connection,
    head: Checkpoint,
    compute: Callable[[HashOf], _T],
    check: Callable[[_T], None],
) -> _T:
    """Return what is computed of the tree's hashes, once `check` raises no ProofError for it; only what it asks for is read.

    Where stored tiles are false, all is computed of the entries themselves. Raises UnavailableError when these are too many or
    were pruned, or when they contradict the checkpoint too.
    """
    nodes = nodes_of(compute)
    tiled = min(await count_tiled(driver), head.size // TILE_WIDTH * TILE_WIDTH)
    stored = await read_spans(driver, list(stored_under(nodes, tiled)))
    is_in_tiles = all((index + 1) << level <= tiled for level, index in nodes)
    newest: Sequence[bytes] = () if is_in_tiles else await read_leaves(driver, tiled, head.size)
    try:
        return _checked(TiledTree(tiled, stored, newest), compute, check)
    except _FALSE as error:
        if head.size > MOST_HASHED:
            raise contradiction() from error
    tree = TiledTree(0, {}, await read_leaves(driver, 0, head.size))
    try:
        computed = await asyncio.to_thread(_checked, tree, compute, check)
    except _FALSE as error:
        raise contradiction() from error
    _log.error("audit.tiles_are_false", do="run 'authsvc audit verify', then 'authsvc audit repair-tiles'")
    return computed


_FALSE = (TileError, FrontierError, ProofError)


def _checked(tree: TiledTree, compute: Callable[[HashOf], _T], check: Callable[[_T], None]) -> _T:
    computed = compute(tree.hash_of)
    check(computed)
    return computed


def contradiction() -> UnavailableError:
    """Return what is told when the log is not what was signed."""
    return UnavailableError("the log contradicts its own checkpoint: run 'authsvc audit verify'")
