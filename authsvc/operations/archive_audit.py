"""Archiving the log: everything up to some month as C2SP tlog-tiles under one signed checkpoint, verified before it counts."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from authsvc.adapters.archive_folder import CHECKPOINT, MANIFEST, ArchiveFolder, partial_names
from authsvc.adapters.postgres.audit_rows import AuditRows, open_audit_rows
from authsvc.core.entry_reader import LogRow
from authsvc.core.errors import ConflictError
from authsvc.core.merkle import EMPTY, HASH_BYTES, fold, leaf_hash
from authsvc.core.note import Checkpoint, NoteError
from authsvc.core.tiles import TILE_WIDTH, encode_bundle, split_tile, subtree_root, tiles_at, tiles_of
from authsvc.core.verified import TamperedError
from authsvc.operations.read_checkpoint import Trust
from authsvc.operations.verify_archive import ArchivedRange, upper_tiles, verify_archive
from authsvc.operations.verify_stretches import Progress


def archive_audit(
    dsn: str,
    path: Path,
    trust: Trust,
    *,
    until: datetime | None = None,
    progress: Progress = lambda _, __: None,
) -> ArchivedRange:
    """Bring the archive in `path` up to the end of the log, or to all that happened before `until`; return what it then proves.

    The same again changes nothing. What is there already is not written again, and is verified with the rest.
    Raises TamperedError when log or archive are not what was signed, ConflictError where the log no longer has what the archive
    lacks or the folder is something else, and UnavailableError.
    """
    folder = ArchiveFolder(path)
    folder.prepare()
    with open_audit_rows(dsn) as rows:
        end = rows.size() if until is None else rows.size_before(until)
        note = rows.checkpoint(end)
        had = _archived(folder, trust)
        if note is not None and end > had:
            try:
                checkpoint = trust.read(note)
            except NoteError as error:
                raise TamperedError(
                    0, f"the log's checkpoint is not signed by the audit key: {error}"
                ) from error
            _write(folder, rows, had, checkpoint, progress)
            folder.write(CHECKPOINT, note.encode())
    if folder.read(CHECKPOINT) is None:
        raise ConflictError("there is nothing to archive: no entry is so old")
    proved = verify_archive(path, trust)
    folder.write(MANIFEST, _manifest(proved))
    folder.remove_partial(partial_names(tiles_of(proved.end)))
    return proved


def _archived(folder: ArchiveFolder, trust: Trust) -> int:
    """Return how many entries the archive has; none where its checkpoint is not there."""
    note = folder.read(CHECKPOINT)
    if note is None:
        return 0
    try:
        return trust.read(note.decode()).size
    except (NoteError, UnicodeDecodeError) as error:
        raise TamperedError(0, f"the archive's checkpoint is not signed by the audit key: {error}") from error


def _write(
    folder: ArchiveFolder, rows: AuditRows, had: int, checkpoint: Checkpoint, progress: Progress
) -> None:
    """Write the bundles and tiles that are new at the checkpoint's size; those that were full stay as they are."""
    start = had // TILE_WIDTH
    roots = _roots(folder, had)
    leaves: list[bytes] = []
    entries = _consecutive(rows.rows(start * TILE_WIDTH, checkpoint.size), start * TILE_WIDTH)
    for place in islice(tiles_at(checkpoint.size, level=0), start, None):
        bundle = list(islice(entries, place.width))
        if len(bundle) < place.width:
            raise TamperedError(place.index * TILE_WIDTH + len(bundle), "the entry is missing")
        leaves = [leaf_hash(entry) for entry in bundle]
        folder.write(place.bundle_path, encode_bundle(bundle))
        folder.write(place.path, b"".join(leaves))
        if place.width == TILE_WIDTH:
            roots.append(subtree_root(leaves))
        progress(place.index * TILE_WIDTH + place.width, checkpoint.size)
    whole, rest = EMPTY.append(roots), EMPTY.append(leaves if len(leaves) < TILE_WIDTH else [])
    if fold((*whole.hashes, *rest.hashes)) != checkpoint.root:
        raise TamperedError(
            start * TILE_WIDTH,
            "the entries from here on are not those that the log's checkpoint was signed for",
        )
    for place, hashes in upper_tiles(checkpoint.size, roots):
        if (place.index + 1) * TILE_WIDTH << 8 * (place.level - 1) > start or folder.read(place.path) is None:
            folder.write(place.path, b"".join(hashes))


def _roots(folder: ArchiveFolder, had: int) -> list[bytes]:
    """Return the roots of the full tiles that the archive has, as its next level has them."""
    roots: list[bytes] = []
    for place in tiles_at(had, level=1):
        tile = folder.read(place.path)
        if tile is None or len(tile) != place.width * HASH_BYTES:
            raise TamperedError(
                (place.index * TILE_WIDTH) << 8, f"the file {place.path} is missing or damaged"
            )
        roots += split_tile(tile, place.width)
    return roots


def _consecutive(rows: Iterator[LogRow], seq: int) -> Iterator[bytes]:
    """Yield the entries of rows; raises ConflictError or TamperedError where they are not consecutive from `seq` on."""
    first = seq
    for at, entry, *_ in rows:
        if at != seq and seq == first:
            raise ConflictError(
                f"the log no longer has entry {seq}: give the folder of the archive that has what lies before {at}"
            )
        if at != seq:
            raise TamperedError(min(at, seq), "the entry is missing or doubled")
        yield entry
        seq += 1


def _manifest(proved: ArchivedRange) -> bytes:
    found, checkpoint = proved.verified, proved.checkpoint
    times = {
        name: None if time is None else time.isoformat()
        for name, time in (("first_time", found.first_time), ("last_time", found.last_time))
    }
    manifest = {
        "v": 1,
        "origin": checkpoint.origin,
        "first": 0,
        "end": proved.end,
        "root": checkpoint.root.hex(),
    }
    return json.dumps(manifest | times, indent=1).encode() + b"\n"
