"""Verifying an archive of the log: from its files alone, with the audit key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from authsvc.adapters.archive_folder import CHECKPOINT, ArchiveFolder
from authsvc.adapters.canonical_json import decode
from authsvc.core.entry_reader import EntryReader, LogRow
from authsvc.core.merkle import EMPTY, HASH_BYTES, Frontier, leaf_hashes
from authsvc.core.note import Checkpoint, NoteError
from authsvc.core.replay_decision import Replay
from authsvc.core.tiles import TILE_WIDTH, TileError, TilePlace, decode_bundle, subtree_root, tiles_at
from authsvc.core.verified import Known, TamperedError, Verified
from authsvc.core.verify import Verifier
from authsvc.operations.read_checkpoint import CheckpointReader, Trust
from authsvc.operations.verify_audit import by_size
from authsvc.operations.verify_stretches import Progress


@dataclass(frozen=True, slots=True)
class ArchivedRange:
    """What an archive proves: the entries from the first up to before `end`, as `checkpoint` signs them."""

    end: int
    checkpoint: Checkpoint
    verified: Verified


def verify_archive(
    path: Path,
    trust: Trust,
    *,
    known: Sequence[Known] = (),
    replay: bool = True,
    progress: Progress = lambda _, __: None,
) -> ArchivedRange:
    """Return what the archive in the folder `path` proves; everything is read again, nothing is believed.

    Raises TamperedError for what is wrong or missing, UnavailableError for what cannot be read or is no archive.
    """
    folder = ArchiveFolder(path)
    checkpoint = _read_checkpoint(folder, trust)
    verifier = Verifier(CheckpointReader(), EntryReader(decode), Replay() if replay else None, by_size(known))
    found, frontier, roots = Verified(batches=1), EMPTY, list[bytes]()
    for place in tiles_at(checkpoint.size, level=0):
        leaves = _verify_bundle(folder, place, verifier, found)
        frontier = verifier.grow(frontier, leaves, found)
        if place.width == TILE_WIDTH:
            roots.append(subtree_root(leaves))
        progress(frontier.size, checkpoint.size)
    _check_root(frontier, checkpoint)
    _verify_upper_tiles(folder, checkpoint.size, roots)
    found.size, found.root = checkpoint.size, checkpoint.root
    found.judge(known, [])
    return ArchivedRange(checkpoint.size, checkpoint, found)


def read_archive(path: Path, archived: ArchivedRange, first: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield entries of an archive that was just verified, from `first` up to before `end`; raises as `verify_archive` does."""
    folder = ArchiveFolder(path)
    for place in tiles_at(archived.checkpoint.size, level=0):
        start = place.index * TILE_WIDTH
        if start < end and start + place.width > first:
            for seq, entry in enumerate(_read_bundle(folder, place), start=start):
                if first <= seq < end:
                    yield seq, entry


def _read_checkpoint(folder: ArchiveFolder, trust: Trust) -> Checkpoint:
    note = folder.read(CHECKPOINT)
    if note is None:
        raise TamperedError(0, f"{folder.path} holds no checkpoint")
    try:
        return trust.read(note.decode())
    except (NoteError, UnicodeDecodeError) as error:
        raise TamperedError(0, f"the archive's checkpoint is not signed by the audit key: {error}") from error


def _verify_bundle(
    folder: ArchiveFolder, place: TilePlace, verifier: Verifier, found: Verified
) -> list[bytes]:
    """Return the leaf hashes of a bundle, once each entry is what the tile beside it says."""
    first = place.index * TILE_WIDTH
    entries = _read_bundle(folder, place)
    tile, leaves = _read_tile(folder, place, first), leaf_hashes(entries)
    hashes = [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
    wrong = next((at for at, leaf in enumerate(leaves) if leaf != hashes[at]), None)
    rows: list[LogRow] = [(seq, entry, None) for seq, entry in enumerate(entries[:wrong], start=first)]
    read = verifier.read(rows, found)
    if wrong is not None:
        raise TamperedError(first + wrong, "the entry is not the one that its tile has the hash of")
    verifier.decide_again(rows, read, found)
    return leaves


def _read_bundle(folder: ArchiveFolder, place: TilePlace) -> Sequence[bytes]:
    first = place.index * TILE_WIDTH
    data = folder.read(place.bundle_path)
    if data is None:
        raise TamperedError(first, f"the file {place.bundle_path} is missing")
    try:
        return decode_bundle(data, place.width)
    except TileError as error:
        raise TamperedError(first, f"the file {place.bundle_path} is damaged: {error}") from error


def _read_tile(folder: ArchiveFolder, place: TilePlace, first: int) -> bytes:
    tile = folder.read(place.path)
    if tile is None or len(tile) != place.width * HASH_BYTES:
        raise TamperedError(first, f"the file {place.path} is missing or damaged")
    return tile


def _check_root(frontier: Frontier, checkpoint: Checkpoint) -> None:
    if frontier.root != checkpoint.root:
        raise TamperedError(0, "the entries are not those that the archive's checkpoint was signed for")


def _verify_upper_tiles(folder: ArchiveFolder, size: int, roots: Sequence[bytes]) -> None:
    for place, hashes in upper_tiles(size, roots):
        first = (place.index * TILE_WIDTH) << (8 * place.level)
        if _read_tile(folder, place, first) != b"".join(hashes):
            raise TamperedError(first, f"the file {place.path} is not the tree's")


def upper_tiles(size: int, roots: Sequence[bytes]) -> Iterator[tuple[TilePlace, Sequence[bytes]]]:
    """Yield every tile above the lowest level with its hashes, from the roots of all full tiles of that level."""
    level, hashes = 1, list(roots)
    while hashes:
        above = []
        for place in tiles_at(size, level=level):
            tile = hashes[place.index * TILE_WIDTH : place.index * TILE_WIDTH + place.width]
            yield place, tile
            if place.width == TILE_WIDTH:
                above.append(subtree_root(tile))
        level, hashes = level + 1, above
