"""A place for the server's socket when its data folder's path is no address for one."""

import os
import stat
import tempfile
from pathlib import Path

from authsvc.adapters.embedded.account import Account
from authsvc.adapters.embedded.cluster import SOCKET_NAME, SOCKET_PATH_MAX_BYTES, Cluster, write_durably

_SHORT_PLACE = "/tmp"  # noqa: S108 - a fresh folder of a random name and mode 0700 is made in it


def prepare_socket_folder(cluster: Cluster, account: Account) -> Path:
    """Choose where the server listens and record it for `Cluster.url`: the data folder, private already, if it can be.

    It cannot be if its path is too long or holds a comma, which separates hosts in an address. The short folder of
    a supervisor that was killed is used again if it still is what that made.
    """
    if len(os.fsencode(cluster.pgdata / SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES and "," not in str(
        cluster.pgdata
    ):
        cluster.socket_record.unlink(missing_ok=True)
        return cluster.pgdata
    if cluster.socket_record.exists() and _is_private(cluster.socket_folder(), account):
        return cluster.socket_folder()
    folder = Path(tempfile.mkdtemp(prefix="authsvc-", dir=_SHORT_PLACE))
    os.chown(folder, account.uid, account.gid)
    write_durably(cluster.socket_record, str(folder))
    return folder


def remove_short_folder(cluster: Cluster) -> None:
    """Remove the short folder, if there is one, after the server has taken its socket out of it."""
    if not cluster.socket_record.exists():
        return
    try:
        cluster.socket_folder().rmdir()
    except OSError:  # the server crashed with its socket there; the next start uses the folder again
        return
    cluster.socket_record.unlink()


def _is_private(folder: Path, account: Account) -> bool:
    """Tell whether a folder in a place where anybody can make one is the account's alone."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == account.uid
        and stat.S_IMODE(status.st_mode) & 0o077 == 0
    )
