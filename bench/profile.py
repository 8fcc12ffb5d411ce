"""`make profile`: what the steps of a token request cost, in microseconds on one core, each measured alone and in process.

Its own objects on an embedded Postgres; no sockets, so that uvicorn's share is left out on both sides. Each figure is the
least of several rounds: what the step costs when nothing disturbs it.
"""

import asyncio
import base64
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_METRICS = tempfile.TemporaryDirectory(prefix="authsvc-profile-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _METRICS.name  # read when prometheus_client is first imported

import uvloop  # noqa: E402 - after the variable above

from authsvc.adapters.embedded.cluster import ClusterRole  # noqa: E402
from authsvc.adapters.embedded.server import EmbeddedServer  # noqa: E402
from authsvc.adapters.postgres.log import compose_line  # noqa: E402
from authsvc.adapters.postgres.migrate import upgrade  # noqa: E402
from authsvc.config import read_settings  # noqa: E402
from authsvc.core.event import Event, Requester  # noqa: E402
from authsvc.core.kind import Kind  # noqa: E402
from authsvc.core.principal import SYSTEM  # noqa: E402
from authsvc.core.recorded import Recorded, Stale  # noqa: E402
from authsvc.core.scope import parse_scopes, split_scopes  # noqa: E402
from authsvc.faces.token import TokenEndpoint  # noqa: E402
from authsvc.operations.bootstrap import FirstStart, bootstrap  # noqa: E402
from authsvc.operations.deps import Deps  # noqa: E402
from authsvc.operations.prepare_token import key_of, prepare_token  # noqa: E402
from authsvc.operations.sign_token import sign_token  # noqa: E402
from authsvc.operations.token_request import TokenRequest  # noqa: E402
from authsvc.wiring import calm_interpreter, open_deps  # noqa: E402
from bench.apps import Acknowledging, empty  # noqa: E402

ROUNDS, TIMES = 400, 20
BATCH = 32
PASSWORD = "profile-passphrase-1"
QUERY = b"account=admin&scope=repository:acme/app:pull,push&service=registry.profile"

Step = Callable[[], Awaitable[object]]


class Keeping(Acknowledging):
    """Says that an event is in the log, and keeps it to be looked at."""

    last: Event

    async def record(self, event: Event, *, revision: int | None) -> Recorded | Stale:
        """Keep the event and return the next sequence number."""
        self.last = event
        return await super().record(event, revision=revision)


@dataclass(frozen=True, slots=True)
class Figure:
    """What a step costs, in microseconds."""

    name: str
    micros: float

    def __str__(self) -> str:
        return f"{self.name:<58} {self.micros:>7.1f}"


async def measure(name: str, step: Step) -> Figure:
    """Return the least of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(TIMES):
            await step()
        rounds.append((time.perf_counter() - started) / TIMES)
    return Figure(name, min(rounds) * 1e6)


@asynccontextmanager
async def _open() -> AsyncIterator[Deps]:
    with (
        tempfile.TemporaryDirectory(prefix="authsvc-profile-") as folder,
        EmbeddedServer(Path(folder)) as server,
    ):
        upgrade(server.cluster.url(ClusterRole.OWNER))
        settings = read_settings({"AUTHSVC_DATA_DIR": folder})
        async with open_deps(settings, create_keys=True) as deps:
            await bootstrap(deps, FirstStart("admin", ["registry.profile"], PASSWORD))
            yield deps


async def _measure_token(deps: Deps) -> AsyncIterator[Figure]:
    """Yield the whole request first, then its parts."""
    journal = Keeping(deps.database)
    endpoint = TokenEndpoint(replace(deps, journal=journal), (), lambda _label, _seconds: None)
    scope = _scope("/token", QUERY)
    requests: list[TokenRequest] = []

    async def read() -> None:
        requests[:] = [await endpoint._read(scope, _receive, posted=False)]  # noqa: SLF001 - a step of its own

    await endpoint(dict(scope), _receive, _discard)
    await endpoint(dict(scope), _receive, _discard)
    await read()
    (request,) = requests
    key = key_of(deps, request)
    assert key is not None
    prepared = deps.prepared.find(key, deps.memory, now=deps.now())
    assert prepared is not None
    recorded = Recorded(journal.last, 1, 1)  # measured, never handed out

    async def find() -> object:
        found = key_of(deps, request)
        return None if found is None else deps.prepared.find(found, deps.memory, now=deps.now())

    async def compose() -> object:
        return compose_line(journal.last)

    async def sign() -> object:
        return await sign_token(deps, recorded, key=prepared.key, header=prepared.service.header)

    async def sign_bare() -> object:
        return prepared.key.sign(bytes(700))

    async def decide() -> object:
        return await prepare_token(deps, request, parse_scopes(split_scopes(request.scopes)))

    yield await measure(
        "a whole token request, without the journal", lambda: endpoint(dict(scope), _receive, _discard)
    )
    yield await measure("  read the request", read)
    yield await measure("  find what was decided for the same request", find)
    yield await measure("  make the token", sign)
    yield await measure("    of it the ES256 signature", sign_bare)
    yield await measure("  encode, index and hash the event (the journal's)", compose)
    yield await measure("when it is new: authenticate and decide, policy in memory", decide)


async def _measure_journal(deps: Deps) -> AsyncIterator[Figure]:
    """Yield what an event costs this process when many share a commit; Postgres' own work is another process's."""
    event = Event(Kind.SERVICE_STARTED, deps.now(), deps.new_nonce(), Requester(SYSTEM))

    async def record_many() -> None:
        events = (replace(event, nonce=deps.new_nonce()) for _ in range(BATCH))
        await asyncio.gather(*(deps.journal.record(each, revision=None) for each in events))

    await record_many()
    started = time.process_time()
    for _ in range(TIMES):
        await record_many()
    yield Figure(
        f"the journal's share of an event, {BATCH} a commit",
        (time.process_time() - started) / TIMES / BATCH * 1e6,
    )


async def _measure_framework() -> AsyncIterator[Figure]:
    app, scope = empty(), _scope("/", b"")
    yield await measure("an empty FastAPI route", lambda: app(dict(scope), _receive, _discard))


def _scope(path: str, query: bytes) -> dict[str, Any]:
    basic = base64.b64encode(f"admin:{PASSWORD}".encode())
    headers = [
        (b"host", b"127.0.0.1"),
        (b"user-agent", b"docker/28.0.1"),
        (b"authorization", b"Basic " + basic),
        (b"accept-encoding", b"gzip"),
    ]
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query,
        "client": ("127.0.0.1", 40_000),
        "headers": headers,
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _discard(message: object) -> None:
    del message


async def run() -> None:
    """Measure everything and print the table."""
    calm_interpreter()
    print("microseconds", flush=True)
    async with _open() as deps:
        for figures in (_measure_token(deps), _measure_journal(deps), _measure_framework()):
            async for figure in figures:
                print(figure, flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
