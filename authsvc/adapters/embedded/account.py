"""Who runs the server's programs, and how a program is started as that account."""

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from authsvc.adapters.embedded.cluster import Cluster, EmbeddedServerError

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl
_LAST_RESORTS = ("postgres", "nobody")

# How a program names the data folder that it is started in. An absolute path would have to be walked, and a dropped
# user may not be allowed to walk the folders above; the kernel follows this link without walking anything.
HERE = "/proc/self/cwd"


@dataclass(frozen=True, slots=True)
class Account:
    """An operating-system account by its numbers."""

    uid: int
    gid: int


def server_account(cluster: Cluster) -> Account:
    """Choose who runs the server: ourselves, unless that is root, which Postgres refuses.

    For root: the owner of the data folder, or before it exists the owner of `DATA_DIR`, or `postgres`, or `nobody`.
    Nothing is created and no mode is changed. Raises EmbeddedServerError when no account fits.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if cluster.pgdata.exists():
        # The owner decides for ever: an account `postgres` that appears later must not lock the cluster out.
        account = _unprivileged(cluster.pgdata.stat().st_uid)
        if account is None:
            raise EmbeddedServerError(
                f"{cluster.pgdata} belongs to no unprivileged account; chown -R it to the account that ran its server"
            )
        return account
    account = _unprivileged(cluster.data_dir.stat().st_uid)
    if account is not None:
        return account
    for name in _LAST_RESORTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "Postgres does not run as root and there is no account `postgres` or `nobody`: "
        "run the service as an ordinary user, or set AUTHSVC_DATABASE_URL"
    )


def start_program(
    command: Sequence[str | Path],
    *,
    account: Account,
    folder: Path,
    output: int | IO[bytes],
    standard_input: int | IO[bytes] = subprocess.DEVNULL,
    death_signal: signal.Signals,
) -> subprocess.Popen[str]:
    """Start a program as an account in a folder, in a session of its own, to be sent `death_signal` when we die.

    The folder is entered before root is dropped, so that the account need not be able to reach it. The environment
    is not inherited: it can hold our secrets, and PG* variables change what the programs do.
    INVARIANT: called from the main thread, as the kernel sends the signal when the *thread* that started it ends.
    """
    is_root = os.geteuid() == 0
    return subprocess.Popen(  # noqa: S603 - the command is built here from constants and our own paths
        list(command),
        cwd=folder,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"},
        stdin=standard_input,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C is for the service, which stops the server after it has drained
        preexec_fn=_dying_with(os.getpid(), death_signal),  # noqa: PLW1509 - the only place after the change of user
        user=account.uid if is_root else None,
        group=account.gid if is_root else None,
        extra_groups=() if is_root else None,
    )


def _dying_with(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    """Give what the child does last before exec; a change of user clears the setting, so no earlier."""
    number = int(death_signal)

    def ask_for_signal() -> None:
        _prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask_for_signal


def _unprivileged(uid: int) -> Account | None:
    """Look an account up; root and a number without an entry (which initdb refuses) are None."""
    if uid == 0:
        return None
    try:
        return Account(uid, pwd.getpwuid(uid).pw_gid)
    except KeyError:
        return None
