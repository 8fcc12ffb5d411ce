"""Waiting for the database with an end: a driver that waits on a frozen socket is abandoned, not waited for."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar

from authsvc.core.errors import UnavailableError

_T = TypeVar("_T")
_GRACE = 0.2

_abandoned: set[asyncio.Task[None]] = set()


async def finish_within(seconds: float, work: Coroutine[None, None, _T]) -> _T:
    """Return what `work` returns; raises UnavailableError when it takes longer than `seconds`.

    The work is then left behind: psycopg answers a cancellation by asking the server, which a frozen one never answers, so the
    caller does not wait for it.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise UnavailableError("the database did not answer in time")
    return task.result()


def _abandon(task: "asyncio.Task[_T]") -> None:
    task.cancel()
    ending = asyncio.ensure_future(_end(task))
    _abandoned.add(ending)
    ending.add_done_callback(_abandoned.discard)


async def _end(task: "asyncio.Task[_T]") -> None:
    """Cancel until it ends: the first asks the driver to cancel the query, each further one ends a wait of the driver's."""
    while not task.done():
        await asyncio.wait({task}, timeout=_GRACE)
        task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        task.result()
