"""One node of several on one Postgres, in a process of its own: `python -m tests.races.node FD`, settings in the environment.

With RACES_BLIND=1 its journal does not compare policy revisions: what the races find then is what that comparison is for.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network

from authsvc.adapters.http_server import run_worker
from authsvc.adapters.postgres.journal import Journal
from authsvc.app import Application
from authsvc.config import Settings, read_settings
from authsvc.core.event import Event
from authsvc.core.recorded import Recorded, Stale
from authsvc.operations.deps import Deps
from authsvc.wiring import open_deps


class BlindJournal(Journal):
    """Appends every event, whatever policy it rests on."""

    def __init__(self, journal: Journal) -> None:
        self._inner = journal

    @property
    def waiting(self) -> int:
        """Return how many events wait for their batch."""
        return self._inner.waiting

    @property
    def trouble(self) -> str | None:
        """Return what stops it."""
        return self._inner.trouble

    async def record(self, event: Event, *, revision: int | None) -> Recorded | Stale:
        """Append without asking which policy is the newest."""
        del revision
        return await self._inner.record(event, revision=None)


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Deps]:
    async with open_deps(settings, durable=False) as deps:
        yield replace(deps, journal=BlindJournal(deps.journal)) if "RACES_BLIND" in os.environ else deps


def create() -> Application:
    """Return the service over this process's settings."""
    return Application(read_settings(), _open)


if __name__ == "__main__":
    run_worker(
        "tests.races.node:create",
        int(sys.argv[1]),
        tls_cert=None,
        tls_key=None,
        trusted=[ip_network("127.0.0.1")],
    )
