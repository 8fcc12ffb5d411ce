"""The supervisor of the embedded server: one process that starts it, restarts it, stops it, and takes it along when it dies."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from authsvc.adapters.embedded.account import HERE, Account, server_account, start_program
from authsvc.adapters.embedded.cluster import Cluster, EmbeddedServerError
from authsvc.adapters.embedded.initialise import create_files, create_roles_and_database
from authsvc.adapters.embedded.leftovers import forget_recycled_pid, server_processes
from authsvc.adapters.embedded.programs import Programs, find_programs
from authsvc.adapters.embedded.settings import server_settings
from authsvc.adapters.embedded.socket_folder import prepare_socket_folder, remove_short_folder

_LOCK_SECONDS = 3.0
_LEFTOVER_SECONDS = 60.0
_READY_SECONDS = 120.0
_FAST_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.01
_LOG_LIMIT_BYTES = 10 * 1024 * 1024
_STILL_ATTACHED = "pre-existing shared memory block"


class EmbeddedServer:
    """Runs the Postgres below `DATA_DIR` as a child of this process; a context manager that starts and stops it.

    Start it from the main thread, before other threads exist: the server is told to shut down when the thread that
    started it ends, so a SIGKILL of this process ends in a clean shutdown too. `fast_unsafe` gives up surviving a
    power failure, for tests. Every fault is an EmbeddedServerError.
    """

    def __init__(self, data_dir: Path, *, fast_unsafe: bool = False) -> None:
        self.cluster = Cluster(data_dir)
        self._fast_unsafe = fast_unsafe
        self._lock: IO[bytes] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._account: Account | None = None
        self._programs: Programs | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make the cluster if there is none, run its server, and return when it takes connections.

        Repairs what an interrupted earlier start left. Waits for a server whose supervisor was just killed (60 s)
        and for crash recovery (120 s).
        """
        if not sys.platform.startswith("linux"):
            raise EmbeddedServerError("the embedded Postgres needs Linux: set AUTHSVC_DATABASE_URL")
        _require_main_thread()
        if self._lock is not None:
            raise EmbeddedServerError("this embedded Postgres was started already")
        try:
            self._take_folder()
            self._account = server_account(self.cluster)
            self._programs = find_programs(self._account)
            self._await_leftovers(time.monotonic() + _LEFTOVER_SECONDS)
            create_files(
                self.cluster, programs=self._programs, account=self._account, fast_unsafe=self._fast_unsafe
            )
            self._run()
            create_roles_and_database(self.cluster)
        except OSError as fault:
            self.stop()
            raise EmbeddedServerError(
                f"cannot use {self.cluster.home}: {fault.strerror or fault}"
                + (f" ({fault.filename})" if fault.filename else "")
            ) from fault
        except BaseException:
            self.stop()
            raise

    def is_running(self) -> bool:
        """Tell whether the server's first process lives."""
        return self._process is not None and self._process.poll() is None

    def ensure_running(self) -> bool:
        """Start the server again if it died; tells whether it had to. Blocks like `start`; same thread.

        While it lives its log is kept small, so call this now and then.
        """
        if self._lock is None:
            raise EmbeddedServerError("this embedded Postgres was never started, or was stopped")
        if self.is_running():
            _rotate_log(self.cluster)
            return False
        _require_main_thread()
        try:
            self._run()
        except OSError as fault:
            raise EmbeddedServerError(f"cannot use {self.cluster.home}: {fault.strerror or fault}") from fault
        return True

    def stop(self) -> None:
        """Shut down: sessions are ended and a checkpoint is written; after 30 s without, recovery is left to a start."""
        try:
            self._stop_process()
            if self._lock is not None:
                remove_short_folder(self.cluster)
        finally:
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def _take_folder(self) -> None:
        """Make our folder and lock it against a second supervisor; the lock goes with this process, however it ends."""
        home = self.cluster.home
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        if home.is_symlink() or home.stat().st_uid != os.geteuid():
            raise EmbeddedServerError(f"{home} belongs to another user; run the service as its owner")
        lock = _open_private(self.cluster.lock_file)
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    lock.close()
                    raise EmbeddedServerError(
                        f"another process runs the Postgres in {home}; stop it, or choose another AUTHSVC_DATA_DIR"
                    ) from None
                time.sleep(_POLL_SECONDS)
            else:
                self._lock = lock
                return

    def _await_leftovers(self, deadline: float) -> None:
        """Wait until no process of an earlier server of this cluster is left; never kill one that may be writing."""
        while pids := server_processes(self.cluster):
            if time.monotonic() > deadline:
                numbers = ", ".join(map(str, sorted(pids)))
                raise EmbeddedServerError(
                    f"a Postgres that is not ours still runs on {self.cluster.pgdata}: "
                    f"stop it with kill -INT {min(pids)} (processes: {numbers})"
                )
            time.sleep(_POLL_SECONDS)
        forget_recycled_pid(self.cluster)

    def _run(self) -> None:
        """Run the server until it is ready, trying again while remains of a killed one keep its memory, or it is killed again."""
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        pause = 0.05
        while True:
            self._await_leftovers(deadline)
            reason = self._try_run()
            if reason is None:
                return
            was_killed = self._process is not None and (self._process.returncode or 0) < 0
            if not (was_killed or _STILL_ATTACHED in reason) or time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"the embedded Postgres did not start; see {self.cluster.log_file}: {reason}"
                )
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _try_run(self) -> str | None:
        """Start the server once; None when it is ready, else the log line that says why it is not."""
        if self._account is None or self._programs is None:
            raise EmbeddedServerError("this embedded Postgres was never started")
        cluster = self.cluster
        folder = prepare_socket_folder(cluster, self._account)
        settings = server_settings(cluster, socket_folder=folder, fast_unsafe=self._fast_unsafe)
        _rotate_log(cluster)
        with _open_private(cluster.log_file) as log:
            said_before = os.fstat(log.fileno()).st_size
            self._process = start_program(
                [self._programs.postgres, "-D", HERE, *settings],
                account=self._account,
                folder=cluster.pgdata,
                output=log,
                death_signal=signal.SIGINT,
            )
        deadline = time.monotonic() + _READY_SECONDS
        while self._process.poll() is None:
            if _is_ready(cluster, self._process.pid):
                return None
            if time.monotonic() > deadline:
                self._stop_process()
                return f"not ready after {_READY_SECONDS:.0f} s; {_last_fault(cluster, said_before)}"
            time.sleep(_POLL_SECONDS)
        return _last_fault(cluster, said_before)

    def _stop_process(self) -> None:
        """Fast shutdown, then an immediate one; its sessions' processes go with it."""
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGINT)  # does nothing to a process that ended
        try:
            process.wait(_FAST_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()
        self._process = None


def _require_main_thread() -> None:
    """Refuse any other thread: the server would shut down when that ends."""
    if threading.current_thread() is not threading.main_thread():
        raise EmbeddedServerError(
            "start the embedded Postgres from the main thread: it dies with its starter"
        )


def _open_private(file: Path) -> IO[bytes]:
    """Open for appending a file that only its owner can read, never through a link that somebody planted."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(file, flags, 0o600), "ab", buffering=0)


def _rotate_log(cluster: Cluster) -> None:
    """Keep the log and one older one, some 10 MB each; what the server says in that very moment may be lost.

    It is copied and cut, not renamed: the server holds the file open, and appends to it.
    """
    log = cluster.log_file
    if not log.exists() or log.stat().st_size <= _LOG_LIMIT_BYTES:
        return
    older = log.with_name(f"{log.name}.1")
    older.unlink(missing_ok=True)
    # A full disk must not keep the log from being cut.
    with suppress(OSError), _open_private(older) as copy, log.open("rb") as said:
        said.seek(-_LOG_LIMIT_BYTES, os.SEEK_END)
        copy.write(said.read())
    os.truncate(log, 0)


def _last_fault(cluster: Cluster, offset: int) -> str:
    """Give the last line after an offset of the log that names a fault, or the last line."""
    with cluster.log_file.open("rb") as log:
        log.seek(offset)
        lines = log.read(_LOG_LIMIT_BYTES).decode(errors="replace").strip().splitlines()
    faults = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return (faults or lines or ["it said nothing"])[-1][:300]


def _is_ready(cluster: Cluster, pid: int) -> bool:
    """Read what the server says of itself: the pid in line 1 and the state in line 8 of postmaster.pid."""
    try:
        lines = (cluster.pgdata / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"  # noqa: PLR2004 - see above
