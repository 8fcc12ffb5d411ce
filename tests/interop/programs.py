"""Real programs as child processes: started as an operator starts them, waited for by asking, and ended for certain."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PATIENCE = 60.0
"""Seconds until a wait is given up; far beyond what anything takes, so that a busy machine fails nothing."""

REQUIRE = "REQUIRE_INTEROP"

AUTHSVC = (sys.executable, "-m", "authsvc")
"""The program under test: that of the checkout whose tests run, whatever the environment has installed."""

_PATH = os.pathsep.join(
    [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
)
_HOW_TO_INSTALL = {
    "skopeo": "apt-get install skopeo",
    "docker-registry": "apt-get install docker-registry",
    "dxf": "make test, which installs python-dxf in .venv",
    "curl": "apt-get install curl",
}

living: list["Program"] = []
"""The programs that run now; their logs are shown with a test that fails."""


def require(*programs: str) -> None:
    """Skip the test, or fail it where REQUIRE_INTEROP=1 is set, when a program is not installed."""
    missing = [name for name in programs if shutil.which(name, path=_PATH) is None]
    if not missing:
        return
    message = "; ".join(f"{name} is not installed: {_HOW_TO_INSTALL[name]}" for name in missing)
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment that takes over only which checkout is run: Distribution reads REGISTRY_*, authsvc AUTHSVC_*."""
    checkout = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {"PATH": _PATH, "HOME": str(home), "LANG": "C.UTF-8", **checkout, **more}


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Ask every 50 ms until a condition holds; fails the test when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.05)


@dataclass(slots=True)
class Program:
    """A process that stays; its two outputs are in `folder`, one pair of files a start."""

    name: str
    folder: Path
    process: "subprocess.Popen[bytes]"
    out: Path
    err: Path

    @classmethod
    def start(cls, command: Sequence[str], *, folder: Path, env: Mapping[str, str], name: str) -> "Program":
        """Start it in `folder`, as the leader of a session of its own, and let it die with this process."""
        number = len(list(folder.glob(f"{name}.*.out")))
        out, err = folder / f"{name}.{number}.out", folder / f"{name}.{number}.err"
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                cwd=folder,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                start_new_session=True,
            )
        program = cls(name, folder, process, out, err)
        living.append(program)
        return program

    def await_ready(self, is_ready: Callable[[], bool]) -> None:
        """Wait until it is ready; fails the test with its log when it ends instead."""

        def ready_or_dead() -> bool:
            return self.process.poll() is not None or is_ready()

        wait_until(ready_or_dead, f"{self.name} is ready")
        if self.process.poll() is not None:
            pytest.fail(f"{self.name} ended with {self.process.returncode}:\n{self.log()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code; what ignores it is killed, and fails the test."""
        if self in living:
            living.remove(self)
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} ignored {number.name}:\n{self.log()}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def kill(self) -> None:
        """Kill this process alone, without a word to what it started."""
        living.remove(self)
        self.process.kill()
        self.process.wait()

    def log(self, most: int = 6000) -> str:
        """Return the last `most` characters of what it wrote to each of its outputs."""
        texts = [file.read_text(encoding="utf-8", errors="replace")[-most:] for file in (self.out, self.err)]
        return "\n".join(text for text in texts if text)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    command: Sequence[str] = field(repr=False)

    def succeeded(self) -> "Ended":
        """Return this, and fail the test when the command failed."""
        assert self.code == 0, f"{' '.join(self.command)}\nexit code {self.code}\n{self.out}\n{self.err}"
        return self

    def failed(self, *, code: int, saying: str) -> "Ended":
        """Return this, and fail the test unless the command failed with `code` and said `saying`."""
        told = f"{' '.join(self.command)}\nexit code {self.code}\n{self.out}\n{self.err}"
        assert self.code == code, told
        assert saying in self.out + self.err, told
        return self


def run(command: Sequence[str], *, env: Mapping[str, str], folder: Path, stdin: str | bytes = "") -> Ended:
    """Run a command to its end."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        list(command),
        env=dict(env),
        cwd=folder,
        input=data,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return Ended(
        done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), command
    )


def family(pid: int) -> set[tuple[int, str]]:
    """Return a process and all its descendants, each with its start time, as numbers are used again."""
    parents: dict[int, tuple[int, str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(stat.parent.name)] = (int(fields[1]), fields[19])
    found = {pid}
    while more := {child for child, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return {(member, parents[member][1]) for member in found if member in parents}


def alive(members: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return those of some processes that still run."""
    return {(pid, started) for pid, started in members if (pid, started) in family(pid)}
