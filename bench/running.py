"""A real `authsvc serve` in a folder and on a port of its own, and how to kill its parts."""

import asyncio
import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authsvc.adapters.embedded.cluster import Cluster, ClusterRole

PASSWORD = "correct-horse-1"
READY_SECONDS = 60.0


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Service:
    """One installation; `start` it as often as it dies."""

    folder: Path
    workers: int = 2
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def cluster(self) -> Cluster:
        """Return its Postgres."""
        return Cluster(self.folder / "data")

    def url(self, role: ClusterRole) -> str:
        """Return its database's URL."""
        return self.cluster.url(role)

    def start(self) -> None:
        """Start it, or start it again; its output is in `output.txt`."""
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "authsvc", "serve"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                    "AUTHSVC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD,
                    "AUTHSVC_PORT": str(self.port),
                    "AUTHSVC_WORKERS": str(self.workers),
                },
            )

    def is_alive(self) -> bool:
        """Say whether the parent lives."""
        return self.process is not None and self.process.poll() is None

    def output(self) -> str:
        """Return what it has said."""
        return (self.folder / "output.txt").read_text(errors="replace")

    async def until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return once it issues tokens; fail when its parent ends, or in `seconds`."""
        end = time.monotonic() + seconds
        while True:
            assert self.is_alive(), self.output()[-3000:]
            with suppress(OSError, http.client.HTTPException):
                if (await asyncio.to_thread(self.get, "/readyz")) == 200:
                    return
            assert time.monotonic() < end, self.output()[-3000:]
            await asyncio.sleep(0.05)

    def get(self, path: str) -> int:
        """Make one GET and return the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=6)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """Return what `/metrics` shows by a name with its labels; zero where it is not there yet."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=6) as response:
            lines = response.read().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def worker_pids(self) -> list[int]:
        """Return its workers."""
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = []
        with suppress(FileNotFoundError):
            for pid in map(int, tasks.read_text().split()):
                with suppress(OSError):
                    if b"\0worker\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        found.append(pid)
        return found

    def postmaster_pid(self) -> int | None:
        """Return its Postgres' first process."""
        with suppress(OSError, ValueError, IndexError):
            return int((self.cluster.pgdata / "postmaster.pid").read_text().split("\n")[0])
        return None

    def kill(self, pid: int | None) -> bool:
        """Kill a process of its own; say whether there was one."""
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def renew(self) -> None:
        """Have it put new workers in the place of all, one after another."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def kill_parent(self) -> None:
        """Kill the parent and collect it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Stop it as an operator does, and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill_parent()
            raise


def basic(name: str, password: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@dataclass(slots=True)
class Client:
    """A minimal HTTP/1.1 client on one kept connection, which it opens again whenever it is lost."""

    port: int
    source: str | None = None
    _streams: "tuple[asyncio.StreamReader, asyncio.StreamWriter] | None" = None

    async def ask(
        self, method: str, path: str, authorization: str, body: dict[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Make one request and return status and JSON; raises OSError, EOFError or TimeoutError when there is no answer."""
        try:
            async with asyncio.timeout(10):
                return await self._ask(method, path, authorization, body)
        except (OSError, EOFError, TimeoutError, ValueError):
            self.close()
            raise

    async def _ask(
        self, method: str, path: str, authorization: str, body: dict[str, Any] | None
    ) -> tuple[int, Any]:
        if self._streams is None:
            local = None if self.source is None else (self.source, 0)
            self._streams = await asyncio.open_connection("127.0.0.1", self.port, local_addr=local)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        credentials = f"authorization: {authorization}\r\n" if authorization else ""
        writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n{credentials}"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in head if line.startswith("content-length:")), 0)
        answer = await reader.readexactly(length)
        if "connection: close" in head:
            self.close()
        return int(head[0].split()[1]), json.loads(answer) if answer else None

    @property
    def is_open(self) -> bool:
        """Say whether there is a connection that was used before, which the other side may have closed meanwhile."""
        return self._streams is not None

    def close(self) -> None:
        """Drop the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
