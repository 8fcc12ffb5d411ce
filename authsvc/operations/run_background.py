"""What a worker does beside requests: start and stop in the log, custody, keys, what was throttled, last uses, cleaning."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from authsvc.adapters.postgres.credentials import delete_credential, list_dead_credentials
from authsvc.adapters.postgres.last_uses import forget_last_uses
from authsvc.adapters.postgres.nodes import forget_node
from authsvc.adapters.postgres.reported import KEPT, forget_ids
from authsvc.adapters.postgres.selftest import ensure_partitions
from authsvc.adapters.postgres.tiles import add_full_tiles
from authsvc.core.canonical import Json
from authsvc.core.errors import AuthsvcError
from authsvc.core.event import Event, Requester
from authsvc.core.kind import Kind, Outcome
from authsvc.core.note import NoteError
from authsvc.core.principal import ANONYMOUS, SYSTEM
from authsvc.operations.deps import Deps
from authsvc.operations.keep_custody import keep_custody, look
from authsvc.operations.keep_keys import keep_keys, report_keys
from authsvc.operations.measure_growth import measure_growth
from authsvc.operations.reconcile import reconcile

FLUSH_SECONDS = 60
WRITE_SECONDS = 5
"""Between two writings of what was used."""
PARTITIONS_EVERY = 60 * 12
"""Flushes between two looks at the partitions: twice a day."""
CLEAN_EVERY = 60 * 24
"""Flushes between two deletions of dead credentials: daily, and with the first, as a service may be restarted every night."""
MAX_CLEANED = 100
"""Credentials deleted in one change, which holds the policy lock."""
MAX_FLUSHED = 200
FILL_SECONDS = 2
MAX_TILES = 16
"""Tiles stored at a time, 256 entries each: some milliseconds of one connection and of the event loop."""
MAX_FORGOTTEN = 10_000
"""Ids of reports deleted in one statement."""

Work = Callable[[Deps], Awaitable[object]]

_log = structlog.get_logger()


@asynccontextmanager
async def run_background(deps: Deps, *, node: str, version: str) -> AsyncIterator[None]:
    """Log the start, run the rounds, and log the stop; a stop that cannot be logged is not waited for."""
    about: dict[str, Json] = {"node": node, "version": version}
    by = Requester(SYSTEM)
    await deps.journal.record(
        Event(Kind.SERVICE_STARTED, deps.now(), deps.new_nonce(), by, body=about), revision=None
    )
    id_ = deps.new_id()
    await report_keys(deps, id_=id_, node=node)
    rounds = {
        asyncio.create_task(_go_rounds(deps)),
        asyncio.create_task(_repeat(deps, _write_last_uses, every=WRITE_SECONDS)),
        asyncio.create_task(_repeat(deps, fill_tiles, every=FILL_SECONDS)),
        asyncio.create_task(keep_custody(deps)),
        asyncio.create_task(keep_keys(deps, id_=id_, node=node)),
    }
    try:
        yield
    finally:
        for each in rounds:
            each.cancel()
        await asyncio.wait(rounds)
        stopped = Event(Kind.SERVICE_STOPPED, deps.now(), deps.new_nonce(), by, body=about)
        with suppress(AuthsvcError, NoteError, OSError):  # a TimeoutError among the last
            async with asyncio.timeout(2):
                await deps.last_uses.write(deps.database)
                await flush_throttled(deps, rest=True)
                await deps.journal.record(stopped, revision=None)
                await look(deps)
                async with deps.database.hot_read() as connection:
                    await forget_node(connection, id_)


async def flush_throttled(deps: Deps, *, rest: bool = False) -> None:
    """Tell the log, in one event each, how many requests of an address were turned away before they were evaluated.

    With `rest`, all that there are, those of many addresses in one. What the log does not take is told the next time.
    """
    waiting = deps.throttle.take_turned_away(MAX_FLUSHED, rest=rest)
    try:
        while waiting:
            what, address, count = waiting[0]
            body: dict[str, Json] = {"what": what, "count": count}
            by = Requester(ANONYMOUS, address=address or None)
            event = Event(Kind.AUTH_THROTTLED, deps.now(), deps.new_nonce(), by, Outcome.REFUSED, body)
            await deps.journal.record(event, revision=None)
            del waiting[0]
    finally:
        for left in waiting:
            deps.throttle.turn_away(*left)


async def delete_dead_credentials(deps: Deps) -> None:
    """Delete what has expired or was ended by a change of password, a few at a time, each with its event."""
    more = True
    while more:
        async with deps.database.change(Requester(SYSTEM)) as change:
            dead = await list_dead_credentials(change, limit=MAX_CLEANED)
            for record in dead:
                await delete_credential(change, record)
        more = len(dead) == MAX_CLEANED


async def fill_tiles(deps: Deps) -> None:
    """Store every tile that the log has filled, so that a proof hashes few entries; tokens do not wait for it."""
    more = True
    while more:
        async with deps.database.hot_read() as connection:
            more = await add_full_tiles(connection, most=MAX_TILES)


async def forget_reported(deps: Deps) -> None:
    """Forget the ids of reports that no registry sends again any more; the events stay."""
    forgotten = MAX_FORGOTTEN
    while forgotten == MAX_FORGOTTEN:
        async with deps.database.hot_read() as connection:
            forgotten = await forget_ids(connection, before=deps.now() - KEPT, limit=MAX_FORGOTTEN)


async def _write_last_uses(deps: Deps) -> None:
    await deps.last_uses.write(deps.database)


async def _make_partitions(deps: Deps) -> None:
    async with deps.database.hot_read() as connection:
        await ensure_partitions(connection)


async def _forget_last_uses(deps: Deps) -> None:
    async with deps.database.hot_read() as connection:
        await forget_last_uses(connection)


async def _repeat(deps: Deps, work: Work, *, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        await _attempt(deps, work)


async def _go_rounds(deps: Deps) -> None:
    for count in itertools.count(1):
        await asyncio.sleep(FLUSH_SECONDS)
        await go_round(deps, count)


async def go_round(deps: Deps, count: int) -> None:
    """Do what is due in the round of this number."""
    due: list[Work] = [flush_throttled, reconcile, measure_growth]
    if count % PARTITIONS_EVERY == 0:
        due.append(_make_partitions)
    if count % CLEAN_EVERY == 1:
        due += [delete_dead_credentials, _forget_last_uses, forget_reported]
    for work in due:
        await _attempt(deps, work)


async def _attempt(deps: Deps, work: Work) -> None:
    """Do some work; what fails is told to the program's log.

    INVARIANT: whatever it meets stops neither the next attempt nor other work: a row that cannot be read must not end the making
    of partitions, and the log with it months later.
    """
    try:
        await work(deps)
    except Exception as error:  # noqa: BLE001 - see the invariant
        _log.error("background.failed", work=work.__name__, error=type(error).__name__)
