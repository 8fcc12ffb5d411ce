"""What tests stand on: one Postgres a session, a database a test, a fixed clock, and the whole application over it."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

_METRICS = tempfile.TemporaryDirectory(prefix="authsvc-test-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _METRICS.name  # read when prometheus_client is first imported

import httpx  # noqa: E402 - after the variable above
import psycopg  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck  # noqa: E402
from hypothesis import settings as hypothesis_settings  # noqa: E402

from authsvc.adapters.embedded.cluster import ClusterRole  # noqa: E402
from authsvc.adapters.embedded.server import EmbeddedServer  # noqa: E402
from authsvc.adapters.keys.folder import KeyFolder  # noqa: E402
from authsvc.adapters.postgres.migrate import upgrade  # noqa: E402
from authsvc.app import Application  # noqa: E402
from authsvc.config import Settings, read_settings  # noqa: E402
from authsvc.core.service import Algorithm  # noqa: E402
from authsvc.operations.bootstrap import FirstStart, bootstrap  # noqa: E402
from authsvc.operations.deps import Deps  # noqa: E402
from authsvc.wiring import configure_logs, open_deps  # noqa: E402
from tests.clock import Clock  # noqa: E402
from tests.memory_folder import memory_folder  # noqa: E402
from tests.stage import Stage  # noqa: E402
from tests.world import ADMIN, ADMIN_PASSWORD, SERVICE, World  # noqa: E402

hypothesis_settings.register_profile(
    "authsvc",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis_settings.load_profile("authsvc")
PROXIES = "10.9.0.0/16"

configure_logs()  # as every entry point does: without it, tracebacks show local variables


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """Run a Postgres 18 whose database `authsvc` is migrated and empty: the template of every test's own."""
    with memory_folder("test") as folder, EmbeddedServer(folder, fast_unsafe=True) as server:
        upgrade(server.cluster.url(ClusterRole.OWNER))
        yield server


@pytest.fixture(scope="session")
def key_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a key folder once, as `serve` does; tests copy it. Reading an RSA key costs 0.1 s of computing."""
    folder = tmp_path_factory.mktemp("keys")
    KeyFolder(folder).create_missing(algorithms={Algorithm.ES256}, now=datetime.now(UTC))
    return folder


@pytest.fixture
def database(postgres: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """Clone the template into a database of this test's own, and name it."""
    name = f"t{abs(hash(request.node.nodeid)):x}"
    superuser = postgres.cluster.url(ClusterRole.SUPERUSER, "postgres")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE authsvc STRATEGY file_copy OWNER authsvc_owner".encode()
        )
    yield name
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def settings(postgres: EmbeddedServer, database: str, key_template: Path, tmp_path: Path) -> Settings:
    """Settings of a service on this test's database, with keys of its own."""
    keys = tmp_path / "keys"
    shutil.copytree(key_template, keys)
    return read_settings(
        {
            "AUTHSVC_DATABASE_URL": postgres.cluster.url(ClusterRole.APP, database),
            "AUTHSVC_OWNER_DATABASE_URL": postgres.cluster.url(ClusterRole.OWNER, database),
            "AUTHSVC_DATA_DIR": str(tmp_path / "data"),
            "AUTHSVC_KEYS_DIR": str(keys),
            "AUTHSVC_PUBLIC_URL": "https://auth.test",
            "AUTHSVC_SERVICES": SERVICE,
            "AUTHSVC_TRUSTED_PROXIES": PROXIES,
        }
    )


@pytest.fixture
def superuser_url(postgres: EmbeddedServer, database: str) -> str:
    """Name this test's database as the server's superuser, for looking and for tampering."""
    return postgres.cluster.url(ClusterRole.SUPERUSER, database)


@pytest.fixture
def clock() -> Clock:
    """Stand still until told otherwise, at the moment the test began, as the log has partitions for about now."""
    return Clock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
async def deps(settings: Settings, clock: Clock) -> AsyncIterator[Deps]:
    """Everything that operations work with, on a bootstrapped database."""
    async with open_deps(settings, durable=False, clock=clock) as opened:
        await bootstrap(opened, FirstStart(ADMIN, [SERVICE], ADMIN_PASSWORD))
        yield opened


@pytest.fixture(scope="session")
def stage() -> Stage:
    """The node that `application` opens over each test's own `deps`."""
    return Stage(read_settings({"AUTHSVC_TRUSTED_PROXIES": PROXIES}))


@pytest.fixture
async def application(stage: Stage, deps: Deps) -> AsyncIterator[Application]:
    """The whole web application over `deps`, its lifespan entered."""
    async with stage.open(deps) as opened:
        yield opened


@pytest.fixture
async def client(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client from 192.0.2.7 that signs in as nobody."""
    transport = httpx.ASGITransport(application, client=("192.0.2.7", 40000), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as made:
        yield made


@pytest.fixture
async def world(client: httpx.AsyncClient, deps: Deps) -> World:
    """Builds users, projects, robots and bindings through the admin API."""
    return World(client, deps)
