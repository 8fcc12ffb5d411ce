"""Workers are renewed under load, as after a new certificate or version, and no request fails."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from authsvc.adapters.embedded.cluster import ClusterRole
from bench.running import PASSWORD, Client, Service, basic

ADMIN = basic("admin", PASSWORD)
PAUSE = 2.0
"""Between two requests on a connection that is kept: it is well within what a worker that ends waits for."""
TOKEN = "/token?service=registry.localhost&scope=repository:acme/app:pull"


@pytest.fixture(params=[1, 2])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Run a service of one worker, or of two."""
    folder = Path(tempfile.mkdtemp(prefix="authsvc-renewal-"))
    made = Service(folder, workers=request.param)
    made.start()
    try:
        yield made
    finally:
        if made.is_alive():
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110 - other processes make it true
            await asyncio.sleep(0.1)


def _nodes(service: Service) -> int:
    """Return how many workers have read their keys and say that they live."""
    with psycopg.connect(service.url(ClusterRole.AUDITOR)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM nodes").fetchone() or (0,)
    return int(count)


async def _ask(service: Service, until: asyncio.Event, statuses: list[int]) -> None:
    """Ask for tokens, each on a connection of its own, as a client that has no kept one does."""
    while not until.is_set():
        client = Client(service.port)
        status, _ = await client.ask("GET", TOKEN, ADMIN)
        client.close()
        statuses.append(status)


async def _ask_now_and_then(service: Service, until: asyncio.Event, statuses: list[int]) -> None:
    """Ask on a kept connection that waits in between, as a script does that changes one thing after another."""
    client = Client(service.port)
    while not until.is_set():
        status, _ = await client.ask("PUT", "/api/v1/groups/web/members/admin", ADMIN)
        statuses.append(status)
        await asyncio.sleep(PAUSE)
    client.close()


@pytest.mark.timeout(180)
async def test_no_request_fails_while_workers_are_renewed(service: Service) -> None:
    """SIGHUP puts new processes in the place of all workers, and every request before, during and after it is answered 200."""
    await service.until_ready()
    old = set(service.worker_pids())
    client = Client(service.port)
    assert (await client.ask("POST", "/api/v1/groups", ADMIN, {"name": "web"}))[0] == 201
    client.close()
    renewed, statuses, changes = asyncio.Event(), list[int](), list[int]()
    async with asyncio.TaskGroup() as asking:
        for _ in range(4):
            asking.create_task(_ask(service, renewed, statuses))
            asking.create_task(_ask_now_and_then(service, renewed, changes))
        await asyncio.sleep(0.5)
        assert service.process is not None
        os.kill(service.process.pid, signal.SIGHUP)
        await _until(lambda: not old & set(service.worker_pids()))
        await asyncio.sleep(0.5)
        renewed.set()
    assert len(service.worker_pids()) == len(old)
    assert set(statuses) == {200}
    assert set(changes) == {204}
    assert len(statuses) > 20


@pytest.mark.timeout(180)
async def test_workers_that_do_not_come_up_replace_none(service: Service) -> None:
    """When a new worker cannot start, the old ones go on."""
    await service.until_ready()
    # One that is still starting would miss its key, too.
    await _until(lambda: _nodes(service) == service.workers)
    old = service.worker_pids()
    secret = service.folder / "data" / "keys" / "hmac.key"
    secret.rename(secret.with_suffix(".away"))
    assert service.process is not None
    os.kill(service.process.pid, signal.SIGHUP)
    await _until(lambda: "workers.not_renewed" in service.output())
    secret.with_suffix(".away").rename(secret)
    assert service.worker_pids() == old
    client = Client(service.port)
    status, _ = await client.ask("GET", TOKEN, ADMIN)
    client.close()
    assert status == 200


@pytest.mark.timeout(180)
async def test_counts_outlive_workers_in_as_few_files(service: Service) -> None:
    """Workers that are killed or renewed take nothing from what was counted, and their successors go on in their files."""
    await service.until_ready()
    folder = service.folder / "data" / "metrics"
    client, issued, shown = Client(service.port), 0, list[float]()

    async def count() -> None:
        nonlocal issued
        for _ in range(5):
            status, _ = await client.ask("GET", TOKEN, ADMIN)
            assert status == 200
            issued += 1
        await asyncio.sleep(1.5)  # counts are written by the second
        client.close()
        shown.append(service.metric('authsvc_token_requests_total{result="issued"}'))

    for _ in range(3):
        await count()
        for pid in service.worker_pids():
            service.kill(pid)
        await asyncio.sleep(2.0)
        await service.until_ready()
    await count()
    old = set(service.worker_pids())
    service.renew()
    await _until(lambda: not old & set(service.worker_pids()))
    await count()
    assert shown == sorted(shown)
    assert shown[-1] == issued
    owners = {path.stem.rpartition("_")[2] for path in folder.glob("*.db")}
    assert len(owners) <= service.workers + 1
