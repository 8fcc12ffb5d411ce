"""Making stored tiles again that are not the tree's: of the entries, and where these were pruned of an archive."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from authsvc.adapters.archive_folder import ArchiveFolder
from authsvc.adapters.postgres.custody import holds
from authsvc.adapters.postgres.database import connect_alone
from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.retention import find_first
from authsvc.adapters.postgres.tiles import add_full_tiles, add_tile, forget_tiles, read_leaves
from authsvc.core.errors import ConflictError
from authsvc.core.merkle import HASH_BYTES
from authsvc.core.stored_tiles import FalseTileError
from authsvc.core.tiles import TILE_WIDTH, tiles_at
from authsvc.core.verified import TamperedError
from authsvc.operations.read_checkpoint import Trust
from authsvc.operations.verify_archive import ArchivedRange, verify_archive
from authsvc.operations.verify_audit import verify_database

AT_ONCE = 64


def find_false_tile(dsn: str, trust: Trust, *, jobs: int = 1) -> FalseTileError | None:
    """Return the first stored tile that is not the tree's, None when there is none.

    Raises TamperedError when the entries themselves are not those that were signed: of these nothing is made.
    """
    try:
        verify_database(dsn, trust, replay=False, jobs=jobs)
    except FalseTileError as error:
        return error
    return None


async def repair_tiles(
    false: FalseTileError, *, owner_url: Callable[[], str], archive: Path | None, trust: Trust
) -> int:
    """Make the tiles from a false one on again, as the owner, and return how many were deleted for it.

    Raises ConflictError where entries below it were pruned and the archive does not prove these.
    """
    first = false.seq // TILE_WIDTH
    archived = None if archive is None else await asyncio.to_thread(_prove, archive, trust)
    async with connect_alone(owner_url()) as owner, owner.transaction():
        kept = await find_first(owner)
        forgotten = await forget_tiles(owner, first)
        if first * TILE_WIDTH < kept:
            await _add_pruned(owner, archive, archived, first, kept)
        while await add_full_tiles(owner, most=AT_ONCE):
            continue
    return forgotten


def _prove(folder: Path, trust: Trust) -> ArchivedRange:
    try:
        return verify_archive(folder, trust, replay=False)
    except TamperedError as error:
        raise ConflictError(f"{folder} does not prove the log: {error}; nothing was changed") from error


async def _add_pruned(
    owner: Connection, folder: Path | None, archived: ArchivedRange | None, first: int, kept: int
) -> None:
    """Add the tiles from `first` on below which entries were pruned; the log has those from `kept` on."""
    if folder is None or archived is None or archived.end < kept:
        raise ConflictError(
            f"the entries before {kept} were pruned: give --archive with one that has them; nothing was changed"
        )
    if not await holds(owner, archived.checkpoint):
        raise ConflictError("the archive is of another log than this database's; nothing was changed")
    files = ArchiveFolder(folder)
    for place in tiles_at(archived.end, level=0):
        start, end = place.index * TILE_WIDTH, (place.index + 1) * TILE_WIDTH
        if place.index < first or start >= kept:
            continue
        hashes = files.read(place.path) or b""
        rest = await read_leaves(owner, start + place.width, end)
        if len(hashes) + len(rest) * HASH_BYTES == TILE_WIDTH * HASH_BYTES:
            await add_tile(owner, place.index, hashes + b"".join(rest))
