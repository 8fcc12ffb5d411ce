"""What the tests of the token endpoint share: a town a file, and a real server on a real socket."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest
import uvicorn
from uvicorn.server import ServerState

from authsvc.adapters.embedded.cluster import ClusterRole
from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.http_server import BoundedProtocol, Peers
from authsvc.config import Settings, read_settings
from authsvc.operations.bootstrap import FirstStart, bootstrap
from authsvc.wiring import open_deps
from tests.clock import Clock
from tests.faces.realm import Realm, settle
from tests.faces.wire import Wire
from tests.stage import Stage
from tests.world import ADMIN, ADMIN_PASSWORD, SERVICE, World

MOST_CONNECTIONS = 32
"""Of one address to the real server."""


@pytest.fixture(scope="module")
def town_database(postgres: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """Clone the template into a database of this file's own, and name it."""
    name = f"town{abs(hash(request.node.nodeid)):x}"
    superuser = postgres.cluster.url(ClusterRole.SUPERUSER, "postgres")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE authsvc STRATEGY file_copy OWNER authsvc_owner".encode()
        )
    yield name
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def town_settings(
    postgres: EmbeddedServer,
    town_database: str,
    key_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    """Settings of the file's service."""
    folder = tmp_path_factory.mktemp("town")
    shutil.copytree(key_template, folder / "keys")
    return read_settings(
        {
            "AUTHSVC_DATABASE_URL": postgres.cluster.url(ClusterRole.APP, town_database),
            "AUTHSVC_OWNER_DATABASE_URL": postgres.cluster.url(ClusterRole.OWNER, town_database),
            "AUTHSVC_DATA_DIR": str(folder / "data"),
            "AUTHSVC_KEYS_DIR": str(folder / "keys"),
            "AUTHSVC_PUBLIC_URL": "https://auth.test",
            "AUTHSVC_SERVICES": SERVICE,
        }
    )


@pytest.fixture(scope="session")
def town_stage() -> Stage:
    """The application that `town` opens over each file's own service."""
    return Stage(read_settings({}))


@pytest.fixture(scope="module")
async def town(town_settings: Settings, town_stage: Stage) -> AsyncIterator[Realm]:
    """The whole application with a settled world, shared by the tests of one file."""
    clock = Clock(datetime.now(UTC).replace(microsecond=0))
    async with open_deps(town_settings, durable=False, clock=clock) as deps:
        await bootstrap(deps, FirstStart(ADMIN, [SERVICE], ADMIN_PASSWORD))
        async with town_stage.open(deps) as application:
            transport = httpx.ASGITransport(
                application, client=("192.0.2.7", 40000), raise_app_exceptions=False
            )
            async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as client:
                world = World(client, deps)
                await settle(world)
                yield Realm(world, application, clock)


@pytest.fixture
def realm(town: Realm) -> Realm:
    """The file's town, its throttles and shared tokens behind it."""
    town.forget_the_last_test()
    return town


@pytest.fixture
async def real_server(realm: Realm) -> AsyncIterator[Wire]:
    """The town's application behind uvicorn's protocol on a loopback socket, in this event loop."""
    async with _serving(realm, limit_concurrency=None) as wire:
        yield wire


@pytest.fixture
async def full_server(realm: Realm) -> AsyncIterator[Wire]:
    """The same, with more requests than it may have at once."""
    async with _serving(realm, limit_concurrency=0) as wire:
        yield wire


@asynccontextmanager
async def _serving(realm: Realm, *, limit_concurrency: int | None) -> AsyncIterator[Wire]:
    config = uvicorn.Config(
        realm.application,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limit_concurrency,
    )
    config.load()
    state, peers = ServerState(), Peers(most_of_one=MOST_CONNECTIONS)
    server = await asyncio.get_running_loop().create_server(
        lambda: BoundedProtocol(config=config, server_state=state, app_state={}, peers=peers), "127.0.0.1", 0
    )
    yield Wire(server.sockets[0].getsockname()[1])
    server.close()
    for connection in list(state.connections):
        connection.shutdown()
    await server.wait_closed()
    if state.tasks:
        await asyncio.wait(state.tasks)
