"""Scenarios run the command line as it is, which takes no database that could lose a commit: this folder's Postgres has fsync."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc.adapters.embedded.cluster import ClusterRole
from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.postgres.migrate import upgrade


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """Run a durable Postgres 18 whose database `authsvc` is migrated and empty."""
    folder = Path(tempfile.mkdtemp(prefix="authsvc-scenarios-"))
    with EmbeddedServer(folder) as server:
        upgrade(server.cluster.url(ClusterRole.OWNER))
        yield server
    shutil.rmtree(folder, ignore_errors=True)
