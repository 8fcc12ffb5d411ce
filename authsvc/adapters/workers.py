"""Worker processes that share one listening socket, are started again when they die, and never outlive their parent."""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

_PR_SET_PDEATHSIG = 1
RESTART_PAUSE = 1.0
STOP_SECONDS = 20.0
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process, and the end of a pipe that it writes to once it accepts connections."""

    process: subprocess.Popen[bytes]
    ready: int

    def becomes_ready(self) -> bool:
        """Wait until it accepts connections; say False when it ends or takes too long instead."""
        readable, _, _ = select.select([self.ready], [], [], START_SECONDS)
        return bool(readable) and os.read(self.ready, 1) != b""

    def stop(self, seconds: float) -> None:
        """Let it finish what it answers within `seconds` from now, else end it; `terminate` has been sent before."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.ready)


@dataclass(slots=True)
class Workers:
    """`count` processes of `command`, whose last arguments are the descriptors of the socket and of a pipe to say "ready" on.

    Used from the main thread only.

    `forget` is told the pid of each that has died. `inherit` is told it, and the pid of a new one, by the new process before its
    program begins: what the dead one has left in files is then its own.
    """

    command: Sequence[str]
    listening: socket.socket
    count: int
    environment: Mapping[str, str]
    forget: Callable[[int], None]
    inherit: Callable[[int, int], None]
    _running: list[_Worker] = field(default_factory=list)
    _started_at: float = 0.0
    _may_fail: bool = False
    _without_heir: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start all."""
        self._started_at = time.monotonic()
        self._running = [self._spawn() for _ in range(self.count)]

    def keep_running(self) -> int | None:
        """Replace those that have died; return the exit code when the first of all fails so soon that others would too.

        Once one has been replaced, whatever its replacement meets passes.
        """
        for at, worker in enumerate(self._running):
            code = worker.process.poll()
            if code is None:
                continue
            self._bury(worker)
            os.close(worker.ready)
            if time.monotonic() - self._started_at < STOP_SECONDS and code > 0 and not self._may_fail:
                return code
            self._may_fail = True
            time.sleep(RESTART_PAUSE)
            self._running[at] = self._spawn()
        return None

    def forgive_failures(self) -> None:
        """Replace from now on even those that fail at once: the database was gone, and that is no fault of theirs."""
        self._may_fail = True

    def renew(self) -> bool:
        """Put a new process in the place of each, one after the other, with no connection refused and no request cut off.

        An old one ends when the new one accepts connections; when a new one does not come up, say False and keep the rest.
        """
        for at, old in enumerate(self._running):
            new = self._spawn()
            if not new.becomes_ready():
                new.process.kill()
                new.stop(STOP_SECONDS)
                self._bury(new)
                return False
            self._running[at] = new
            old.process.terminate()
            old.stop(STOP_SECONDS)
            self._bury(old)
        return True

    def stop(self) -> None:
        """Let them finish what they answer, then end those that do not."""
        for worker in self._running:
            worker.process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for worker in self._running:
            worker.stop(max(0.0, end - time.monotonic()))
        self._running = []

    def _bury(self, worker: _Worker) -> None:
        self.forget(worker.process.pid)
        self._without_heir.append(worker.process.pid)

    def _spawn(self) -> _Worker:
        dead = self._without_heir.pop() if self._without_heir else None
        die_with_parent = _die_with(os.getpid())

        def begin() -> None:
            die_with_parent()
            if dead is not None:
                self.inherit(dead, os.getpid())

        descriptor = self.listening.fileno()
        ready, say_ready = os.pipe()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*self.command, str(descriptor), str(say_ready)],
            pass_fds=[descriptor, say_ready],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for the parent, which lets the workers finish; and they die with it, so that a restart can bind.
            start_new_session=True,
            preexec_fn=begin,  # noqa: PLW1509 - the parent has no other thread when it spawns
        )
        os.close(say_ready)
        return _Worker(process, ready)


def _die_with(parent: int) -> Callable[[], None]:
    library = ctypes.CDLL(None, use_errno=True)

    def arrange() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return arrange


def listen(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket; raises OSError when the address is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(2048)
    return listening


def this_python() -> Sequence[str]:
    """Return the command that runs this installation of authsvc."""
    return (sys.executable, "-m", "authsvc")
