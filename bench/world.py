"""What is measured: the service as `authsvc serve` runs it with one worker, and what it is compared with."""

import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg

from authsvc.adapters.embedded.cluster import Cluster, ClusterRole
from authsvc.adapters.workers import listen, this_python

PASSWORD = "bench-password-1"
ROBOT = "acme+ci"
USER = "alice"
OTHER = "other"
GUESSED = 200
EMPTY = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n"
SCOPE = "repository:acme/app:pull,push"
ES256, RS256 = "registry.bench", "rsa.bench"
START_SECONDS = 60.0

_SIZES = """
SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('log') WHERE isleaf)
     + pg_total_relation_size('batches'),
       (SELECT max(size) FROM batches), (SELECT count(*) FROM batches)
"""


@dataclass(frozen=True, slots=True)
class LogSize:
    """How large the log is: bytes of its tables and indexes, entries, commits."""

    disk: int
    entries: int
    batches: int


@dataclass(frozen=True, slots=True)
class World:
    """Three servers on ports of this machine: the service, the same without an audit, and an empty FastAPI route."""

    folder: Path
    audited: int
    unaudited: int
    empty: int
    secret: str

    @property
    def keys(self) -> Path:
        """Return the service's KEYS_DIR."""
        return self.folder / "keys"

    def ask(self, service: str) -> str:
        """Return a robot's request for a token to pull and push."""
        return ask(ROBOT, self.secret, service)

    def ask_by_password(self) -> str:
        """Return the same request of a user who has a password."""
        return ask(USER, PASSWORD, ES256)

    def guess(self, many: int) -> list[str]:
        """Return requests with wrong passwords, none of which was tried before: one that was is remembered, and costs nothing."""
        tried = secrets.token_hex(8)
        return [ask(f"guessed{number % GUESSED}", f"wrong-{tried}-{number}", ES256) for number in range(many)]

    def change_policy(self) -> str:
        """Return a request that binds somebody to another project: a policy event."""
        body = json.dumps({"role": "reader", "subject": {"kind": "user", "name": USER}})
        return (
            f"POST /api/v1/projects/{OTHER}/bindings HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Basic {_basic('admin', PASSWORD)}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def measure_log(self) -> LogSize:
        """Ask the database how large the log is."""
        with psycopg.connect(Cluster(self.folder).url(ClusterRole.SUPERUSER)) as connection:
            row = connection.execute(_SIZES).fetchone()
        assert row is not None
        return LogSize(int(row[0]), *row[1:])


def ask(name: str, secret: str, service: str, *, scope: str = SCOPE) -> str:
    """Return a request for a token as docker sends it."""
    return (
        f"GET /token?account={quote(name)}&scope={scope}&service={service} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"User-Agent: docker/28.0.1\r\nAuthorization: Basic {_basic(name, secret)}\r\nAccept-Encoding: gzip\r\n\r\n"
    )


def ask_api(target: str) -> str:
    """Return the administrator's request for something of the API."""
    return (
        f"GET /api/v1{target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Basic {_basic('admin', PASSWORD)}\r\n\r\n"
    )


def _basic(name: str, secret: str) -> str:
    return base64.b64encode(f"{name}:{secret}".encode()).decode()


@contextmanager
def open_world() -> Iterator[World]:
    """Start everything, with a robot that may push, and stop it again."""
    with ExitStack() as stack:
        service = stack.enter_context(open_service())
        secret = _build(service.port)
        metrics = stack.enter_context(tempfile.TemporaryDirectory(prefix="authsvc-bench-metrics-"))
        environment = service.environment | {"PROMETHEUS_MULTIPROC_DIR": metrics}
        unaudited = stack.enter_context(_app("unaudited", environment, "/readyz"))
        empty = stack.enter_context(_app("empty", environment, "/"))
        yield World(service.folder, service.port, unaudited, empty, secret)


@dataclass(frozen=True, slots=True)
class Service:
    """`authsvc serve` on a database of its own."""

    folder: Path
    port: int
    environment: dict[str, str]


@contextmanager
def open_service(workers: int = 1) -> Iterator[Service]:
    """Start the service in a new folder, and stop it again."""
    with tempfile.TemporaryDirectory(prefix="authsvc-bench-") as folder:
        port = _free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")}
        environment |= {
            "AUTHSVC_DATA_DIR": folder,
            "AUTHSVC_PORT": str(port),
            "AUTHSVC_SERVICES": ES256,
            "AUTHSVC_WORKERS": str(workers),
            "AUTHSVC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD,
        }
        with _process([*this_python(), "serve"], environment) as serving:
            _wait_for(serving, port, "/readyz")
            yield Service(Path(folder), port, environment)


@contextmanager
def _app(name: str, environment: dict[str, str], path: str) -> Iterator[int]:
    """Run one of `bench.apps` as the product runs its worker, and give its port once it answers on `path`."""
    with listen("127.0.0.1", 0) as listening:
        descriptor, port = listening.fileno(), int(listening.getsockname()[1])
        command = [sys.executable, "-m", "bench.apps", name, str(descriptor)]
        with _process(command, environment, descriptor) as process:
            _wait_for(process, port, path)
            yield port


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], *descriptors: int
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=environment, pass_fds=descriptors, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with listen("127.0.0.1", 0) as listening:
        return int(listening.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    """Return once a server answers; raises RuntimeError when it has ended instead."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).raise_for_status()
        except httpx.HTTPError:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}") from None
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _build(port: int) -> str:
    """Make the services, a project, and a robot that may push to it; return the robot's secret."""
    base = f"http://127.0.0.1:{port}/api/v1"
    with httpx.Client(base_url=base, auth=("admin", PASSWORD), timeout=60) as client:

        def post(path: str, body: dict[str, object]) -> httpx.Response:
            return client.post(path, json=body).raise_for_status()

        project, name = ROBOT.split("+")
        post("/services", {"name": RS256, "algorithm": "RS256"})
        post("/projects", {"name": project})
        post("/projects", {"name": OTHER})
        post(f"/projects/{project}/robots", {"name": name})
        post("/users", {"name": USER, "password": PASSWORD})
        for kind, subject in (("robot", ROBOT), ("user", USER)):
            post(
                f"/projects/{project}/bindings",
                {"role": "developer", "subject": {"kind": kind, "name": subject}},
            )
        return str(post(f"/projects/{project}/robots/{name}/secrets", {}).json()["secret"])
