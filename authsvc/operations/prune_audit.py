"""Pruning: what is older than the retention leaves the log, once it is proved to be in an archive, and the log says so."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from authsvc.adapters.canonical_json import decode
from authsvc.adapters.postgres.custody import holds
from authsvc.adapters.postgres.database import connect_alone
from authsvc.adapters.postgres.log import Connection
from authsvc.adapters.postgres.retention import (
    Prunable,
    find_legal_hold,
    find_prunable,
    list_prunings,
    prune_log,
)
from authsvc.adapters.postgres.tiles import add_full_tiles
from authsvc.core.errors import ConflictError, UnavailableError
from authsvc.core.event import Event, Requester
from authsvc.core.kept_policy import FAMILIES, Kept, is_kept
from authsvc.core.kind import Kind
from authsvc.core.merkle import leaf_hash
from authsvc.core.note import Checkpoint
from authsvc.core.principal import SYSTEM
from authsvc.core.recorded import Stale
from authsvc.core.states import text_of
from authsvc.core.verified import Missing, TamperedError
from authsvc.operations.deps import Deps
from authsvc.operations.keep_custody import look
from authsvc.operations.read_checkpoint import Trust
from authsvc.operations.read_tree import find_head, prove_entry
from authsvc.operations.verify_archive import ArchivedRange, read_archive, verify_archive

TILES_AT_ONCE = 64

_MARKS = tuple(f'"kind":"{family}.'.encode() for family in FAMILIES)


@dataclass(frozen=True, slots=True)
class Pruning:
    """What leaves the log, the archive that has the first `archived` entries, as `archive` signs them, and what is kept."""

    prunable: Prunable
    archive: Checkpoint
    archived: int
    kept: Kept


async def prune_audit(
    deps: Deps, *, owner_url: Callable[[], str], archive: Path, trust: Trust, retention_days: int, keep: bool
) -> Pruning | None:
    """Drop every month that is wholly older than the retention, or return None when there is none; `keep` only looks.

    Raises ConflictError when a legal hold stops it, or the archive does not prove what it would drop. An attempt that ended after
    its event is taken up again.
    """
    before = deps.now() - timedelta(days=retention_days)
    async with deps.database.hot_read() as connection:
        prunable = await find_prunable(connection, before=before)
        hold = await find_legal_hold(connection)
    if hold is not None:
        raise ConflictError(f"a legal hold stops pruning: {hold}")
    if prunable is None:
        return None
    proved, kept = await asyncio.to_thread(_prove, archive, trust, prunable)
    pruning = Pruning(prunable, proved.checkpoint, proved.end, kept)
    await _check_archive(deps, pruning)
    if keep:
        return pruning
    async with deps.database.hot_read() as connection:
        while await add_full_tiles(connection, most=TILES_AT_ONCE):
            continue
        event = await _find_event(deps, connection, pruning)
    if event is None:
        event = await _record(deps, pruning, retention_days)
    await look(deps, publish=True)
    async with connect_alone(owner_url()) as owner:
        await prune_log(owner, prunable, event)
    return pruning


def _prove(folder: Path, trust: Trust, prunable: Prunable) -> tuple[ArchivedRange, Kept]:
    """Read the archive again; that its decisions were right was asked of the log, and is not asked once more.

    What it says of policy is what is to stay; the database prunes nothing unless its own entries say the same.
    """
    try:
        proved = verify_archive(folder, trust, replay=False)
        entries = read_archive(folder, proved, prunable.first, prunable.end)
        return proved, Kept.of((seq, entry) for seq, entry in entries if _is_kept(entry))
    except (TamperedError, UnavailableError) as error:
        raise ConflictError(f"{folder} does not prove the log: {error}; nothing was pruned") from error


def _is_kept(entry: bytes) -> bool:
    return any(mark in entry for mark in _MARKS) and is_kept(text_of(decode(entry), "kind"))


async def _find_event(deps: Deps, connection: Connection, pruning: Pruning) -> int | None:
    """Return the event that already says that this is pruned, where an earlier attempt ended before it was.

    INVARIANT: it is proved to be in the log. A row of somebody who can insert would let the entries go and leave no event that
    says so: the log would be taken for tampered with.
    """
    head = await find_head(deps, connection)
    for seq, entry in await list_prunings(connection):
        if head is None or seq >= head.checkpoint.size:
            continue
        leaf, _ = await prove_entry(connection, head, seq)
        if leaf != leaf_hash(entry):
            continue
        said = decode(entry)
        wanted = pruning.prunable
        if said["kind"] == Kind.AUDIT_PRUNED and Missing.read(said) == Missing(
            wanted.first, wanted.end, pruning.kept
        ):
            return seq
    return None


async def _check_archive(deps: Deps, pruning: Pruning) -> None:
    size = pruning.archived
    if size < pruning.prunable.end:
        raise ConflictError(
            f"the archive ends at {size} entries, and {pruning.prunable.end} would be pruned:"
            " run 'authsvc audit archive' again"
        )
    async with deps.database.hot_read() as connection:
        if not await holds(connection, pruning.archive):
            raise ConflictError("the archive is of another log than this database's")


async def _record(deps: Deps, pruning: Pruning, retention_days: int) -> int:
    event = Event(
        Kind.AUDIT_PRUNED,
        deps.now(),
        deps.new_nonce(),
        Requester(SYSTEM),
        body={
            "first": pruning.prunable.first,
            "end": pruning.prunable.end,
            "until": pruning.prunable.until.isoformat(),
            "retention_days": retention_days,
            "kept": pruning.kept.describe(),
            "archive": {
                "end": pruning.archived,
                "size": pruning.archive.size,
                "root": pruning.archive.root.hex(),
            },
        },
    )
    recorded = await deps.journal.record(event, revision=None)
    if isinstance(recorded, Stale):
        raise ConflictError("the log refused the event")
    return recorded.seq
