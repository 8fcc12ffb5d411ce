"""Searching the log, against a search that reads every entry."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.adapters.postgres.audit_log import LogEntry, list_events
from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.errors import UnavailableError
from authsvc.core.event import Event, IndexRow, Requester, index_entry
from authsvc.core.kind import Kind, Outcome
from authsvc.core.principal import Principal, PrincipalKind
from authsvc.core.reported import Action, Reported
from authsvc.core.search import Filter
from authsvc.operations.deps import Deps

REPOSITORIES = ("acme/app", "acme/team/app", "beta/app", "gamma/app", "library")
ACTORS = ("alice", "acme+ci", "")
KINDS = (Kind.TOKEN_ISSUED, Kind.TOKEN_REFUSED, Kind.AUTH_THROTTLED)
ADDRESSES = ("192.0.2.1", "2001:db8::1", None)
MANY = 120


def event(deps: Deps, n: int) -> Event:
    """Return the n-th event, about none to all five repositories."""
    asked = [REPOSITORIES[(n + i * (1 + n % 3)) % 5] for i in range(n % 6)]
    grants: list[Json] = [
        {
            "type": "repository",
            "name": name,
            "granted": {"pull": None} if n % 2 else {"pull": None, "push": None},
        }
        for name in dict.fromkeys(asked)
    ]
    time, nonce = deps.now() + timedelta(seconds=n * 37 % MANY), deps.new_nonce()
    by = Requester(Principal(PrincipalKind.USER, "", ACTORS[n % 5 % 3]), address=ADDRESSES[n % 4 % 3])
    if asked and n % 4 == 1:
        action = Action.PULL if n % 8 == 1 else Action.MOUNT
        reported = Reported(str(n), action, asked[0], source=asked[-1], actor=ACTORS[n % 3])
        return Event(action.kind, time, nonce, by, body={"service": "", "reported": reported.entry()})
    return Event(KINDS[n % 7 % 3], time, nonce, by, list(Outcome)[n % 4], {"grants": grants})


async def fill(deps: Deps) -> list[LogEntry]:
    """Write the events, and return the whole log, oldest first."""
    await asyncio.gather(*(deps.journal.record(event(deps, n), revision=None) for n in range(MANY)))
    return await search(deps, Filter(), None, 10_000, newest_first=False)


async def search(
    deps: Deps, wanted: Filter, after: int | None, limit: int, *, newest_first: bool
) -> list[LogEntry]:
    """Return one page."""
    async with deps.database.read() as read:
        return await list_events(read, wanted, after=after, limit=limit, newest_first=newest_first)


def matches(wanted: Filter, row: IndexRow, entry: dict[str, Json]) -> bool:
    """Say what the search should, by looking at each member."""
    reported = entry.get("reported")
    return all(
        (
            wanted.actor in (None, row.actor, reported["actor"] if isinstance(reported, dict) else None),
            wanted.kind in (None, row.kind)
            or (str(wanted.kind).endswith("*") and row.kind.startswith(str(wanted.kind)[:-1])),
            wanted.project is None or wanted.project in row.projects,
            wanted.repository is None or wanted.repository in row.repositories,
            wanted.action is None or wanted.action in row.actions,
            wanted.outcome in (None, row.outcome),
            wanted.address in (None, row.address),
            wanted.since is None or row.time >= wanted.since,
            wanted.until is None or row.time < wanted.until,
        )
    )


async def test_the_search_finds_what_reading_everything_finds(deps: Deps) -> None:
    """Whatever is combined, in both orders and over all pages: exactly the matching events, each once, in order."""
    everything = await fill(deps)
    decoded = [(row, canonical.decode(row.entry)) for row in everything]
    indexed = [(row, index_entry(entry), entry) for row, entry in decoded]
    start = deps.now()
    times = st.none() | st.integers(0, MANY).map(lambda seconds: start + timedelta(seconds=seconds))
    filters = st.builds(
        Filter,
        actor=st.none() | st.sampled_from(["alice", "acme+ci", "nobody"]),
        kind=st.none() | st.sampled_from([*KINDS, Kind.REGISTRY_PULL, "token.*", "registry.*"]),
        project=st.none() | st.sampled_from(["acme", "beta", "library", "none"]),
        repository=st.none() | st.sampled_from([*REPOSITORIES, "none/such"]),
        action=st.none() | st.sampled_from(["pull", "push"]),
        outcome=st.none() | st.sampled_from(list(Outcome)),
        address=st.none() | st.sampled_from(["192.0.2.1", "2001:db8::1", "192.0.2.9"]),
        since=times,
        until=times,
    )
    asked: list[tuple[Filter, int, bool]] = []

    @settings(max_examples=150)
    @given(filters, st.integers(1, 40), st.booleans())
    def collect(wanted: Filter, limit: int, newest_first: bool) -> None:
        asked.append((wanted, limit, newest_first))

    collect()
    for wanted, limit, newest_first in asked:
        expected = [row for row, index, entry in indexed if matches(wanted, index, entry)]
        found: list[LogEntry] = []
        while page := await search(
            deps, wanted, found[-1].seq if found else None, limit, newest_first=newest_first
        ):
            found += page
            assert len(page) <= limit
        assert found == (expected[::-1] if newest_first else expected), wanted


async def test_a_search_that_takes_too_long_says_what_to_do(deps: Deps, superuser_url: str) -> None:
    """A search that the database gives up is answered with how to narrow it."""
    async with deps.database.read() as read:
        await read.connection.exec_driver_sql("SELECT set_config('statement_timeout', '300', true)")
        with psycopg.connect(superuser_url) as other:
            other.execute("LOCK TABLE batches IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(UnavailableError, match="narrow it by actor"):
                await list_events(read, Filter(), after=None, limit=1, newest_first=True)
