"""Checkpoints outside Postgres: the high-water mark that a start holds the database against, and a history for others to copy.

    FOLDER/checkpoint                          the mark: the newest, a second old at most while the log grows
    FOLDER/checkpoints/20260131T235959Z-1-42   the history, by time, epoch and size; its beginning is thinned
    SECOND                                     the mark again, where it outlives the loss of FOLDER

Files appear whole or not at all. Several processes and, by a shared folder, several nodes may keep the same files.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from authsvc.adapters.mounts import EPHEMERAL, file_system_of
from authsvc.core.errors import StartupError
from authsvc.core.mark import Mark
from authsvc.core.note import MAX_NOTE_BYTES, NoteError

PUBLISH_EVERY = timedelta(seconds=10)
HEARTBEAT = timedelta(seconds=60)
KEEP_ALL = timedelta(hours=1)
KEEP_HOURLY = timedelta(days=31)

_TIME = "%Y%m%dT%H%M%SZ"
_LOCK, _TEMPORARY = ".checkpoint.lock", ".checkpoint.new"
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}

ReadMark = Callable[[str], Mark]
"""Reads a note that the audit key has signed; raises NoteError."""


@dataclass(frozen=True, slots=True)
class KeptCheckpoints:
    """See the module. `second` is the whole path of the second mark, None where there is no other place."""

    folder: Path
    second: Path | None
    read: ReadMark

    @property
    def mark_file(self) -> Path:
        """The mark."""
        return self.folder / "checkpoint"

    @property
    def history(self) -> Path:
        """The folder whose copy elsewhere bounds what could be rewritten."""
        return self.folder / "checkpoints"

    def marks(self) -> list[Mark]:
        """Return the marks there are; raises StartupError for one that is unreadable, or not signed by the audit key."""
        found = []
        for path in (self.mark_file, self.second):
            if path is not None and (text := _read(path)) is not None:
                try:
                    found.append(self.read(text))
                except NoteError as error:
                    raise StartupError(
                        f"{path} is no checkpoint of this audit key ({error}): restore it, or the audit key;"
                        " once 'authsvc audit verify --checkpoint' has proved the log against a copy, it may be moved away"
                    ) from error
        return found

    def weakness(self, *, log_size: int) -> str | None:
        """Say in a line why nothing may tell a later start what was signed, and what to do; None where something will.

        A KEYS_DIR within DATA_DIR goes with it, and with that the key that could sign a second history.
        """
        if self.second is None or os.access(self.second.parent, os.W_OK):
            return None
        kind = file_system_of(self.folder)
        if kind in EPHEMERAL:
            why = f"{self.folder} is on {kind}, which ends with its container or machine"
        elif log_size > 0 and not self.marks():
            why = f"{self.folder} has none, though the log has {log_size} entries"
        else:
            return None
        return (
            f"{why}, and {self.second.parent} cannot be written: a restart cannot tell a restored backup from the newest log; "
            "put AUTHSVC_DATA_DIR on a volume that stays"
        )

    def keep(self, mark: Mark, *, now: datetime, publish: bool = False) -> None:
        """Raise the marks to `mark`, never lower them, and publish it when it is time or when told to; raises OSError.

        A second place that cannot be written is left alone: KEYS_DIR may be read-only.
        """
        if self.second is not None:
            try:
                self._raise(self.second, mark)
            except OSError as error:
                if error.errno not in _NOT_WRITABLE:
                    raise
        self.history.mkdir(parents=True, exist_ok=True)
        self._raise(self.mark_file, mark)
        self._publish(mark, now, at_once=publish)

    def _raise(self, path: Path, mark: Mark) -> None:
        """INVARIANT: read and replaced under one lock, so that of two writers the further one's mark stays."""
        with _locked(path):
            text = _read(path)
            if text is None or self.read(text).place < mark.place:
                _write(path, mark.note)

    def _publish(self, mark: Mark, now: datetime, *, at_once: bool) -> None:
        with _locked(self.history / "checkpoint"):
            at = now.astimezone(UTC)
            # What a clock that ran ahead has named is no measure of what is due.
            names = [name for name in self._names() if name <= f"{at:{_TIME}}~"]
            last = next(filter(None, map(_parse, reversed(names))), None)
            grown = last is None or mark.place > last.place
            due = last is None or at - last.time >= (PUBLISH_EVERY if grown else HEARTBEAT)
            if not due and not at_once:
                return
            name = f"{at.strftime(_TIME)}-{mark.epoch}-{mark.checkpoint.size}"
            _write(self.history / name, mark.note)
            for old in _superfluous(list(filter(None, map(_parse, names))), at):
                (self.history / old.name).unlink(missing_ok=True)

    def published(self) -> "list[Published]":
        """Return the history, oldest first."""
        return list(filter(None, map(_parse, self._names())))

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.history.iterdir()) if self.history.is_dir() else []

    def read_published(self, one: "Published") -> Mark:
        """Return one of the history; raises NoteError when it is not what was published."""
        return self.read(_read(self.history / one.name) or "")


@dataclass(frozen=True, slots=True)
class Published:
    """What the name of a published checkpoint says."""

    time: datetime
    place: tuple[int, int]
    name: str


def _parse(name: str) -> Published | None:
    """Return what a name in the history says; None for what somebody else has put there."""
    time, *place = name.split("-")
    try:
        epoch, size = map(int, place)
        return Published(datetime.strptime(time, _TIME).replace(tzinfo=UTC), (epoch, size), name)
    except ValueError:
        return None


def _superfluous(published: list[Published], now: datetime) -> list[Published]:
    """Return what thinning removes: all stay for an hour, then the last of each hour for a month, then of each day for ever."""
    kept: dict[str, str] = {}
    for one in published:  # oldest first, so that the last of a span wins
        span = "%Y%m%dT%H" if now - one.time <= KEEP_HOURLY else "%Y%m%d"
        kept[one.time.strftime(_TIME if now - one.time <= KEEP_ALL else span)] = one.name
    names = set(kept.values())
    return [one for one in published if one.name not in names]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file's folder, which dies with the process: the file itself is replaced."""
    with path.with_name(_LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> str | None:
    """Return a file's text, None when there is none; what is no text is returned as what no note can be."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_NOTE_BYTES + 1).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    """Replace a file, durably; the caller holds the folder's lock, so that the temporary name is its own."""
    temporary = path.with_name(_TEMPORARY)
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
