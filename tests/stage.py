"""The web application of one node, for test after test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from authsvc.app import Application
from authsvc.config import Settings
from authsvc.operations.deps import Deps


class Stage:
    """One application that is opened over other deps each time: to build the framework's routes costs more than most tests do."""

    def __init__(self, settings: Settings) -> None:
        self._deps: Deps | None = None
        self._application = Application(settings, self._give_deps)

    @asynccontextmanager
    async def open(self, deps: Deps) -> AsyncIterator[Application]:
        """Enter the application's lifespan over `deps`; once at a time."""
        assert self._deps is None
        self._deps = deps
        api = self._application.api
        try:
            async with api.router.lifespan_context(api):
                yield self._application
        finally:
            self._deps = None

    @asynccontextmanager
    async def _give_deps(self, _: Settings) -> AsyncIterator[Deps]:
        assert self._deps is not None
        yield self._deps
