"""Custody while running: every second the newest checkpoint is kept outside Postgres, and the log held against what was seen."""

import asyncio
from datetime import datetime, timedelta

import structlog

from authsvc.adapters.postgres.audit_log import read_size
from authsvc.adapters.postgres.custody import read_clock
from authsvc.adapters.postgres.deadline import finish_within
from authsvc.operations.deps import Deps
from authsvc.operations.keep_going import keep_going

LOOK_EVERY_SECONDS = 1.0
LOOK_SECONDS = 4.0

_log = structlog.get_logger()


async def warn_of_weak_custody(deps: Deps) -> None:
    """Say at a start, in one line with what to do, when nothing outside the database will tell a later start what was signed."""
    async with deps.database.read() as read:
        size = await read_size(read)
    if weakness := deps.kept.weakness(log_size=size):
        _log.warning("custody.weak", why=weakness)


async def keep_custody(deps: Deps) -> None:
    """Look every second, until cancelled; what fails is logged once, and again after it has been well in between."""
    await keep_going(lambda: look(deps), failed="custody.failed", every=LOOK_EVERY_SECONDS)


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
        if deps.clock_tolerance is not None:
            deps.custody.pause(
                _describe_clocks(deps.now(), await read_clock(connection), deps.clock_tolerance)
            )
        newest = await deps.custody.look(connection)
    return None if newest is None else newest.checkpoint


def _describe_clocks(here: datetime, there: datetime, tolerance: timedelta) -> str | None:
    """Return what is wrong when the two clocks differ by more than is tolerable: one of them would date tokens wrongly."""
    ahead = here - there
    if abs(ahead) <= tolerance:
        return None
    return (
        f"this machine's clock is {abs(ahead.total_seconds()):.0f} s {'ahead of' if ahead > timedelta() else 'behind'}"
        " the database's; no tokens are issued: set whichever is wrong"
    )
