"""What an earlier server of the cluster left behind: processes that still run, and a pid that means somebody else."""

from pathlib import Path

from authsvc.adapters.embedded.cluster import SOCKET_NAME, Cluster
from authsvc.adapters.embedded.settings import cluster_name

_PROC = Path("/proc")


def server_processes(cluster: Cluster) -> set[int]:
    """Find every process of a server of this cluster, sessions whose postmaster was killed included.

    They are told by owner and command line, which anybody may read; a process' folder only root with
    CAP_SYS_PTRACE may, and a container's root has not. A server that an operator started by hand is found by
    postmaster.pid.
    """
    if not cluster.pgdata.exists():
        return set()
    owner = cluster.pgdata.stat().st_uid
    name = cluster_name(cluster).encode()
    marks = (b"\0cluster_name=" + name + b"\0", b"postgres: " + name + b": ")
    found = {
        int(entry.name)
        for entry in _PROC.iterdir()
        if entry.name.isdigit() and _is_marked(entry, marks) and _owner(entry) == owner
    }
    by_hand = _recorded_pid(cluster.pgdata / "postmaster.pid")
    if (
        by_hand is not None
        and _program(by_hand) == "postgres"
        # A recycled number may be a server's of another cluster of ours.
        and not _is_marked(_PROC / str(by_hand), (b"\0cluster_name=authsvc-", b"postgres: authsvc-"))
    ):
        found.add(by_hand)
    return found


def forget_recycled_pid(cluster: Cluster) -> None:
    """Remove the lock files of a killed server whose number now is another program's: Postgres would not start.

    Common in containers, where every start counts from 1. A number that nobody has is left to Postgres.
    INVARIANT: called under the cluster's lock, after `server_processes` found none.
    """
    for file in (cluster.pgdata / "postmaster.pid", cluster.socket_folder() / f"{SOCKET_NAME}.lock"):
        pid = _recorded_pid(file)
        if pid is not None and _program(pid) is not None:
            file.unlink(missing_ok=True)


def _recorded_pid(lock_file: Path) -> int | None:
    """Read the number in the first line of a lock file of Postgres."""
    try:
        first, *_ = lock_file.read_text(encoding="utf-8").splitlines()
        return int(first)
    except (FileNotFoundError, ValueError):
        return None


def _program(pid: int) -> str | None:
    """Name the program that a process runs; None when there is no such process."""
    try:
        return (_PROC / str(pid) / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _owner(process: Path) -> int | None:
    """Give the user of a process; None when it has ended."""
    try:
        return process.stat().st_uid
    except OSError:
        return None


def _is_marked(process: Path, marks: tuple[bytes, ...]) -> bool:
    """Tell whether a process' command line holds one of these."""
    try:
        command = (process / "cmdline").read_bytes()
    except OSError:
        return False
    return any(mark in command for mark in marks)
