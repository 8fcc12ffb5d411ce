"""What the service is compared with: an empty FastAPI route, and the service with a journal that writes nothing.

`python -m bench.apps NAME FD` serves one of them as `authsvc worker` serves the product: the same server, the same settings.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI

from authsvc.adapters.http_server import run_worker
from authsvc.adapters.postgres.custody import Custody
from authsvc.adapters.postgres.database import Database
from authsvc.adapters.postgres.journal import Journal
from authsvc.adapters.postgres.log import Epoch
from authsvc.app import Application
from authsvc.config import Settings, read_settings
from authsvc.core.event import Event
from authsvc.core.recorded import Recorded, Stale
from authsvc.operations.deps import Deps
from authsvc.wiring import calm_interpreter, open_deps


def empty() -> FastAPI:
    """Return an application whose only route does nothing."""
    app = FastAPI()

    @app.get("/")
    async def root() -> dict[str, str]:
        return {}

    return app


class Acknowledging(Journal):
    """Says at once that an event is in the log, and writes nothing: what the service would cost without an audit."""

    def __init__(self, database: Database) -> None:
        super().__init__(
            database.connect, custody=Custody(Epoch(1, "bench")), seal=lambda _: "", observe=lambda *_: None
        )
        self._next = 0

    async def record(self, event: Event, *, revision: int | None) -> Recorded | Stale:
        """Return the next sequence number."""
        del revision
        self._next += 1
        return Recorded(event, 1, self._next)


@asynccontextmanager
async def _open_unaudited(settings: Settings) -> AsyncIterator[Deps]:
    async with open_deps(settings) as deps:
        yield replace(deps, journal=Acknowledging(deps.database))


def unaudited() -> Application:
    """Return the service of this process's environment, on the same database, without an audit."""
    calm_interpreter()
    return Application(read_settings(), _open_unaudited)


if __name__ == "__main__":
    run_worker(f"bench.apps:{sys.argv[1]}", int(sys.argv[2]), tls_cert=None, tls_key=None)
