"""What tests of the log stand on: journals on one database, events with nonces, and the proof of what is in it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from authsvc.adapters.keys.folder import KeyFolder
from authsvc.adapters.postgres.custody import Custody
from authsvc.adapters.postgres.database import Database
from authsvc.adapters.postgres.journal import Journal
from authsvc.adapters.postgres.log import Connection, Seal, open_epoch
from authsvc.adapters.postgres.tables import groups
from authsvc.core.errors import UnavailableError
from authsvc.core.event import Event, Requester, Thing
from authsvc.core.kind import Kind, Outcome
from authsvc.core.principal import ANONYMOUS, SYSTEM
from authsvc.core.recorded import Recorded, Stale
from authsvc.core.verified import Verified
from authsvc.operations.verify_audit import verify_audit
from authsvc.wiring import make_seal, new_id, new_nonce

DEADLINE = 5.0
"""Seconds that a caller waits, as the realm does."""


def through(url: str, folder: Path) -> str:
    """Return `url` with another socket folder."""
    return urlunsplit(urlsplit(url)._replace(query=f"host={quote(str(folder), safe='')}&port=5432"))


@dataclass(slots=True)
class Logbook:
    """One database with its log; every event made here has a nonce of its own."""

    url: str
    superuser_url: str
    custody: Custody
    seal: Seal
    public: bytes
    batches: list[int] = field(default_factory=list)

    def event(self) -> Event:
        """Return a new event."""
        now = datetime.now(UTC)
        return Event(Kind.AUTH_THROTTLED, now, new_nonce(), Requester(ANONYMOUS), Outcome.REFUSED)

    async def connect(self) -> Connection:
        """Connect as the application does."""
        return await psycopg.AsyncConnection.connect(self.url, autocommit=True, connect_timeout=3)

    @asynccontextmanager
    async def journal(
        self, connect: Callable[[], Awaitable[Connection]] | None = None
    ) -> AsyncIterator[Journal]:
        """Run a journal."""
        made = Journal(
            connect or self.connect,
            custody=self.custody,
            seal=self.seal,
            observe=lambda size, _: self.batches.append(size),
        )
        running = asyncio.create_task(made.run())
        try:
            yield made
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.wait({running})

    @asynccontextmanager
    async def database(self, url: str | None = None) -> AsyncIterator[Database]:
        """Open a Database."""
        async with Database(
            url or self.url, custody=self.custody, seal=self.seal, now=lambda: datetime.now(UTC),
            new_nonce=new_nonce,
        ) as database:  # fmt: skip
            yield database

    @contextmanager
    def superuser(self) -> Iterator[psycopg.Connection[Any]]:
        """Connect as whom nothing stops."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            yield connection

    def entries(self) -> dict[int, dict[str, Any]]:
        """Return what is in the log, by sequence number."""
        with self.superuser() as connection:
            rows = connection.execute("SELECT seq, entry FROM log ORDER BY seq").fetchall()
        return {seq: json.loads(entry) for seq, entry in rows}

    def verify(self) -> Verified:
        """Prove the tree, its batches and their signatures."""
        return verify_audit(self.superuser_url, public=self.public)

    def check(self, acknowledged: Mapping[str, int]) -> dict[int, dict[str, Any]]:
        """Assert that nothing acknowledged is lost, nothing is doubled, and the tree verifies; return the entries."""
        entries = self.entries()
        nonces = [entry["nonce"] for entry in entries.values()]
        assert len(nonces) == len(set(nonces))
        assert {nonce: entries[seq]["nonce"] for nonce, seq in acknowledged.items()} == {
            n: n for n in acknowledged
        }
        assert self.verify().size == len(entries)
        return entries


async def open_logbook(url: str, superuser_url: str, keys: Path) -> Logbook:
    """Open the log of a migrated database under the audit key of a folder."""
    loaded = KeyFolder(keys).load()
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with connection:
        epoch = await open_epoch(connection, public=loaded.audit.public_bytes, name="test")
    return Logbook(url, superuser_url, Custody(epoch), make_seal(loaded), loaded.audit.public_bytes)


async def record(journal: Journal, event: Event, *, revision: int | None = None) -> Recorded | Stale | None:
    """Record as a caller with a deadline does; None when there was no answer, or the log cannot be written."""
    try:
        async with asyncio.timeout(DEADLINE):
            return await journal.record(event, revision=revision)
    except (UnavailableError, TimeoutError):
        return None


async def move_policy(database: Database) -> str:
    """Change policy once, with the least there is: a group; return its id."""
    id_ = new_id()
    async with database.change(Requester(SYSTEM)) as change:
        row = {"id": id_, "name": id_, "version": 1, "created_at": change.time}
        state = {"id": id_, "name": id_}
        await change.write(
            groups.insert().values(row), Kind.GROUP_CREATED, state=dict(state), things=[Thing("group", id_)]
        )
    return id_
