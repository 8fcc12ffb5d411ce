"""Bad days: each fails closed, is named on `/readyz`, and is over when what was broken is mended, without a restart."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import httpx
import psycopg
import pytest

from authsvc.adapters.postgres.log import LOG_LOCK
from authsvc.operations.deps import Deps
from authsvc.operations.keep_custody import look
from tests.clock import Clock
from tests.world import SERVICE


@dataclass(frozen=True)
class BadDay:
    """What a superuser does to the database, how it is undone, and what `/readyz` calls it."""

    breaks: str
    mends: str
    named: str
    reconnects: bool = False
    """It is seen by new sessions only, so the old ones are ended."""


_TRIGGER = (
    "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$;"
    "CREATE TRIGGER spoil BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION spoil();"
    "ALTER TABLE {} ENABLE ALWAYS TRIGGER spoil"
)
_ROLE = "ALTER ROLE authsvc_app IN DATABASE {{database}} {}"
BAD_DAYS = {
    "disk full": BadDay(
        _TRIGGER.format("RAISE EXCEPTION USING ERRCODE = 'disk_full';", "log", "log"),
        "DROP FUNCTION spoil CASCADE",
        "disk is full",
    ),
    "read-only database": BadDay(
        _ROLE.format("SET default_transaction_read_only = on"),
        _ROLE.format("RESET default_transaction_read_only"),
        "read-only",
        reconnects=True,
    ),
    "trigger that swallows events": BadDay(
        _TRIGGER.format("RETURN NULL;", "log", "log"), "DROP FUNCTION spoil CASCADE", "swallows rows"
    ),
    "trigger that swallows batches": BadDay(
        _TRIGGER.format("RETURN NULL;", "batches", "batches"), "DROP FUNCTION spoil CASCADE", "swallows rows"
    ),
    "synchronous_commit off": BadDay(
        _ROLE.format("SET synchronous_commit = off"),
        _ROLE.format("RESET synchronous_commit"),
        "synchronous_commit is off",
        reconnects=True,
    ),
    "triggers switched off": BadDay(
        _ROLE.format("SET session_replication_role = replica"),
        _ROLE.format("RESET session_replication_role"),
        "session_replication_role",
        reconnects=True,
    ),
    "right taken away": BadDay(
        "REVOKE INSERT ON batches FROM authsvc_app", "GRANT INSERT ON batches TO authsvc_app", "lost a right"
    ),
}


_numbers = count()


async def _token(client: httpx.AsyncClient) -> httpx.Response:
    """Ask for a token as nobody did before: anonymous requests that are the same share one token and its event."""
    query = {"service": SERVICE, "scope": f"repository:library/app-{next(_numbers)}:pull"}
    return await client.get("/token", params=query)


async def _is_healthy(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while {(await _token(client)).status_code, (await client.get("/readyz")).status_code} != {200}:  # noqa: ASYNC110 - the database mends
            await asyncio.sleep(0.1)


async def _is_named(client: httpx.AsyncClient, named: str) -> None:
    answers = await asyncio.gather(*(_token(client) for _ in range(3)))
    assert [(a.status_code, "token" in a.json(), "retry-after" in a.headers) for a in answers] == [
        (503, False, True)
    ] * 3
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert named in ready.json()["why"]


@contextmanager
def _superuser(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def _end_sessions(superuser: psycopg.Connection[tuple[object, ...]]) -> None:
    superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = 'authsvc_app'"
    )


@pytest.mark.parametrize("day", BAD_DAYS)
async def test_it_fails_closed_and_is_named(
    client: httpx.AsyncClient, superuser_url: str, database: str, day: str
) -> None:
    """No token is given, `/readyz` says why, nothing is in the log that was not answered, and mending it is enough."""
    bad = BAD_DAYS[day]
    await _is_healthy(client)
    with _superuser(superuser_url) as superuser:
        before = superuser.execute("SELECT count(*) FROM log").fetchone()
        superuser.execute(bad.breaks.replace("{database}", database).encode())
        if bad.reconnects:
            _end_sessions(superuser)
            await asyncio.sleep(0.2)
            await _token(client)  # notices that its session has ended
        await _is_named(client, bad.named)
        assert superuser.execute("SELECT count(*) FROM log").fetchone() == before
        superuser.execute(bad.mends.replace("{database}", database).encode())
        if bad.reconnects:
            _end_sessions(superuser)
    await _is_healthy(client)


async def test_a_lock_held_for_ten_seconds(client: httpx.AsyncClient, superuser_url: str) -> None:
    """While somebody sits on the log's lock, callers are refused within their deadline; then all is well."""
    await _is_healthy(client)
    with _superuser(superuser_url) as superuser:
        superuser.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
        for _ in range(2):
            await _is_named(client, "lock on the log")
    await _is_healthy(client)


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)], ids=["ahead of", "behind"])
async def test_a_clock_that_is_an_hour_wrong(
    client: httpx.AsyncClient, deps: Deps, clock: Clock, by: timedelta
) -> None:
    """A node whose clock is not the database's dates no token, says so, and goes on once it is set."""
    object.__setattr__(deps, "clock_tolerance", timedelta(seconds=60))
    await _is_healthy(client)
    clock.advance(by)
    await look(deps)
    await _is_named(client, "the database's; no tokens are issued")
    clock.advance(-by)
    await look(deps)
    await _is_healthy(client)
