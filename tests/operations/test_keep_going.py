"""Custody and keys are kept whatever a round meets: an error that nobody thought of is told once, and the next round comes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import psycopg
import pytest
from structlog.testing import capture_logs

from authsvc.operations.deps import Deps
from authsvc.operations.keep_custody import keep_custody, look
from authsvc.operations.keep_going import keep_going
from authsvc.operations.keep_keys import keep_keys
from tests.clock import Clock
from tests.world import World


def failing(clock: Clock, times: int) -> Callable[[], datetime]:
    """Return a clock that raises what nobody expects so many times."""
    left = iter(range(times))

    def now() -> datetime:
        for _ in left:
            raise ZeroDivisionError("what was being worked on, and a secret")
        return clock()

    return now


@asynccontextmanager
async def running(work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run it beside the test."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_custody_goes_on(deps: Deps, clock: Clock, world: World) -> None:
    """The mark is raised after rounds that failed as nobody foresaw; the kind of error is told, its words are not."""
    await look(deps)
    before = deps.kept.mark_file.read_text()
    await world.add_user("alice")
    with capture_logs() as logs:
        async with running(keep_custody(replace(deps, now=failing(clock, 2)))) as task, asyncio.timeout(30):
            while deps.kept.published()[-1:] == [] or deps.kept.mark_file.read_text() == before:
                assert not task.done()
                await asyncio.sleep(0.05)
    assert [line for line in logs if line["event"] == "custody.failed"] == [
        {"event": "custody.failed", "log_level": "error", "why": "ZeroDivisionError"}
    ]


async def test_keys_are_told_of_again(deps: Deps, clock: Clock, superuser_url: str) -> None:
    """A node whose round failed writes down its keys in the next."""
    with capture_logs() as logs, psycopg.connect(superuser_url, autocommit=True) as superuser:
        work = keep_keys(replace(deps, now=failing(clock, 1)), id_="a" * 16, node="here")
        async with running(work) as task, asyncio.timeout(30):
            while superuser.execute("SELECT FROM nodes WHERE id = %s", ["a" * 16]).fetchone() is None:
                assert not task.done()
                await asyncio.sleep(0.05)
    assert [line["why"] for line in logs if line["event"] == "keys.failed"] == ["ZeroDivisionError"]


@pytest.mark.parametrize(
    "error", [RuntimeError, MemoryError, psycopg.InternalError, ValueError, TimeoutError]
)
async def test_what_fails_is_told_once_until_it_is_well(error: type[Exception]) -> None:
    """Rounds go on whatever they raise; the same trouble is one line, and another one after a round that was well."""
    rounds = iter([True, True, False, True, False])
    over = asyncio.Event()

    async def go_round() -> None:
        fails = next(rounds, None)
        if fails is None:
            over.set()
        if fails:
            raise error

    with capture_logs() as logs:
        async with running(keep_going(go_round, failed="work.failed", every=0)), asyncio.timeout(10):
            await over.wait()
    assert [line["event"] for line in logs] == ["work.failed"] * 2
