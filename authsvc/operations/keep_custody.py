"""Custody while running: every second the newest checkpoint is kept outside Postgres, and the log held against what was seen."""

import asyncio

import structlog

from authsvc.adapters.postgres.deadline import finish_within
from authsvc.core.errors import AuthsvcError
from authsvc.core.note import NoteError
from authsvc.operations.deps import Deps

LOOK_EVERY_SECONDS = 1.0
LOOK_SECONDS = 4.0

_log = structlog.get_logger()


async def keep_custody(deps: Deps) -> None:
    """Look every second, until cancelled; what fails is logged once, and again after it has been well in between."""
    said = ""
    while True:
        try:
            await look(deps)
            said = ""
        except (AuthsvcError, NoteError, OSError) as error:
            why = f"{type(error).__name__}: {error}"
            if why != said:
                _log.error("custody.failed", why=why)
            said = why
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def look(deps: Deps, *, publish: bool = False) -> None:
    """Hold the log against what this process has seen of it, and keep its newest checkpoint outside; `publish` at once.

    Raises LogLostError, which `/readyz` repeats; UnavailableError when the database does not answer; OSError and NoteError for
    the files. Tokens do not wait for the files: the log itself goes on.
    """
    newest = await finish_within(LOOK_SECONDS, _look(deps))
    if newest is not None:
        mark = deps.kept.read(newest)
        await asyncio.to_thread(deps.kept.keep, mark, now=deps.now(), publish=publish)


async def _look(deps: Deps) -> str | None:
    async with deps.database.hot_read() as connection:
        newest = await deps.custody.look(connection)
    return None if newest is None else newest.checkpoint
