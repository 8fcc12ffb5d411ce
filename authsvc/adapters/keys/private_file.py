"""Files that hold secrets: written whole or not at all, never replaced, and refused when others could read them."""

import errno
import os
import stat
import tempfile
from pathlib import Path

from authsvc.adapters.keys.errors import KeyFolderError, ReadOnlyKeyFolderError

PRIVATE, PUBLIC = 0o600, 0o644
TEMPORARY_PREFIX = ".new-"
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}


def read_private(path: Path) -> bytes:
    """The bytes of a secret file that only we can read; owned by us or by root, mode 0600 or stricter.

    The open file is judged, not its name, so that nobody can exchange it between the check and the read; a symbolic link
    counts as what it points to. Raises `KeyFolderError`.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                mode = stat.S_IMODE(status.st_mode)
                raise KeyFolderError(f"{path} has mode {mode:04o}, so others may use it: chmod 600 {path}")
            if status.st_uid not in {os.geteuid(), 0}:
                raise KeyFolderError(f"{path} belongs to user {status.st_uid}: chown {os.geteuid()} {path}")
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from error


def read_public(path: Path) -> bytes:
    """The bytes of a file that anybody may read. Raises `KeyFolderError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def write_new(path: Path, data: bytes, *, mode: int = PRIVATE) -> None:
    """Makes `path` appear with all of `data`, durably; raises `KeyFolderError` when it exists or cannot be written.

    INVARIANT: a link, not a rename: a rename would replace a key that somebody else made meanwhile.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            path.hardlink_to(temporary)
        finally:
            temporary.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def unreadable(path: Path, error: OSError) -> KeyFolderError:
    """The error for a file or folder that is missing or cannot be read, with what to do."""
    if isinstance(error, FileNotFoundError):
        return KeyFolderError(
            f"{path} is missing: restore it, or start once with a KEYS_DIR that can be written"
        )
    return KeyFolderError(f"{path} cannot be read ({error.strerror}): give it to user {os.geteuid()}")


def unwritable(path: Path, error: OSError) -> KeyFolderError:
    """The error for a file or folder that cannot be written: `ReadOnlyKeyFolderError` where permission is the cause."""
    if error.errno in _NOT_WRITABLE:
        return ReadOnlyKeyFolderError(
            f"{path} cannot be written ({error.strerror}): make KEYS_DIR writable for user {os.geteuid()},"
            " or create the keys elsewhere and mount them"
        )
    return KeyFolderError(f"{path} cannot be written: {error.strerror}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
