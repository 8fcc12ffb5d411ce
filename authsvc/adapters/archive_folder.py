"""An archive of the log as files: C2SP tlog-tiles, the signed checkpoint, and a manifest; for nobody's eyes but the owner's.

    FOLDER/checkpoint             the signed note over everything here
    FOLDER/tile/0/x001/067        hashes; FOLDER/tile/entries/x001/067 the entries under them
    FOLDER/manifest.json          what is in it, for people; nothing is believed because it says so

Files appear whole or not at all, each durable before what names it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from authsvc.core.errors import ConflictError, UnavailableError
from authsvc.core.tiles import TilePlace

CHECKPOINT, MANIFEST = "checkpoint", "manifest.json"
_TEMPORARY = ".new"


@dataclass(frozen=True, slots=True)
class ArchiveFolder:
    """See the module. Reading and writing raise UnavailableError; what is not there is None."""

    path: Path

    def prepare(self) -> None:
        """Make the folder, mode 0700; raises ConflictError for one that holds something else."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            strange = {entry.name for entry in self.path.iterdir()} - {CHECKPOINT, MANIFEST, "tile"}
        except OSError as error:
            raise _unusable(self.path, error) from error
        if any(not name.endswith(_TEMPORARY) for name in strange):
            raise ConflictError(f"{self.path} holds something else: give a new folder, or that of an archive")

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, None when there is no such file."""
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unusable(self.path / name, error) from error

    def write(self, name: str, data: bytes) -> None:
        """Make a file hold `data`, whole or not at all, mode 0600."""
        path = self.path / name
        temporary = path.with_name(path.name + _TEMPORARY)
        try:
            self._make_folder(path.parent)
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
            _sync(path.parent)
        except OSError as error:
            raise _unusable(path, error) from error

    def remove_partial(self, keep: frozenset[str]) -> None:
        """Remove the partial tiles and bundles but those named: fuller ones have taken their place."""
        try:
            for partial in self._partials():
                if str(partial.relative_to(self.path)) not in keep:
                    partial.unlink()
        except OSError as error:
            raise _unusable(self.path, error) from error

    def _partials(self) -> Iterator[Path]:
        for folder in self.path.glob("tile/**/*.p"):
            yield from folder.iterdir()

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it up to the archive, each mode 0700: `parents` would use the umask alone."""
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync(folder.parent)


def partial_names(places: Iterator[TilePlace]) -> frozenset[str]:
    """Return the names under which these tiles, and the bundles of the lowest, are kept."""
    names: set[str] = set()
    for place in places:
        names.add(place.path)
        if place.level == 0:
            names.add(place.bundle_path)
    return frozenset(names)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(f"{path}: {error.strerror or type(error).__name__}")
