"""Scenarios run the command line as it is, which takes no database that could lose a commit: this folder's Postgres has fsync."""

from collections.abc import Iterator

import pytest

from authsvc.adapters.embedded.cluster import ClusterRole
from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.postgres.migrate import upgrade
from tests.memory_folder import memory_folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """Run a durable Postgres 18 whose database `authsvc` is migrated and empty."""
    with memory_folder("scenarios") as folder, EmbeddedServer(folder) as server:
        upgrade(server.cluster.url(ClusterRole.OWNER))
        yield server
