"""The database: its connections, and the two kinds of transaction that operations own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Executable
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as EngineTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from authsvc.adapters.postgres.constraints import describe_violation
from authsvc.adapters.postgres.custody import Custody
from authsvc.adapters.postgres.log import (
    POLICY_LOCK,
    Batch,
    Connection,
    Seal,
    append_batch,
    compose_batch,
    compose_line,
    confirm_committed,
    is_committed,
    keep_warnings,
    lock_log,
)
from authsvc.core.canonical import Json
from authsvc.core.decide import RULE_VERSION
from authsvc.core.errors import ConflictError, Fault, InvalidInputError, UnavailableError
from authsvc.core.event import Event, Requester, Thing, policy_event
from authsvc.core.kind import Kind

CONNECT_SECONDS = 3
POOL_SECONDS = 3.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Read:
    """A transaction that reads; functions that only read take it."""

    connection: AsyncConnection

    async def rows(self, statement: Executable) -> list[Any]:
        """Return all rows of a statement, which bounds their number itself."""
        return list((await self.connection.execute(statement)).all())

    async def row(self, statement: Executable) -> Any:
        """Return the first row, or None."""
        return (await self.connection.execute(statement)).first()

    async def driver(self) -> Connection:
        """Return the psycopg connection of this transaction, for the hand-written statements."""
        raw = await self.connection.get_raw_connection()
        driver: Connection = raw.driver_connection  # type: ignore[assignment]  # psycopg's own, by the engine's dialect
        return driver


@dataclass(frozen=True, slots=True)
class Change(Read):
    """A transaction that changes policy, under the policy lock, so that what it reads is the newest.

    INVARIANT: `write` is the only way to change anything, and takes the event of the change: no write without an event. Built by
    `Database.change` only, which appends the events in the same transaction (a test looks for other places).
    """

    by: Requester
    time: datetime
    new_nonce: Callable[[], str]
    events: list[Event] = field(default_factory=list)

    async def write(
        self,
        statement: Executable,
        kind: Kind,
        *,
        state: dict[str, Json],
        things: Sequence[Thing] = (),
        then: Sequence[Executable] = (),
    ) -> CursorResult[Any]:
        """Execute the statements of one change and note its event: the complete new state, and what caches must drop.

        Raises ConflictError when a constraint of the database refuses it.
        """
        event = policy_event(
            kind,
            time=self.time,
            nonce=self.new_nonce(),
            by=self.by,
            state=state,
            things=things,
            rule=RULE_VERSION,
        )
        self.events.append(event)
        try:
            result = await self.connection.execute(statement)
            for further in then:
                await self.connection.execute(further)
        except IntegrityError as error:
            raise ConflictError(describe_violation(error)) from error
        return result


@dataclass(frozen=True, slots=True)
class Report(Read):
    """A transaction that logs what others say happened, while policy stands still; `append` returns the first sequence number."""

    append: Callable[[Sequence[Event]], Awaitable[int]]


class Database:
    """Connections to one primary: a pool for the hot path's reads, an engine for administration, and the journal's own."""

    def __init__(
        self,
        url: str,
        *,
        custody: Custody,
        seal: Seal,
        now: Callable[[], datetime],
        new_nonce: Callable[[], str],
        pool_size: int = 6,
    ) -> None:
        self._url = url
        self._custody = custody
        self._seal = seal
        self._now = now
        self._new_nonce = new_nonce
        self._reads: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=pool_size,
            timeout=POOL_SECONDS,
            open=False,
            kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS, "application_name": "authsvc"},
        )
        self._engine: AsyncEngine = create_async_engine(
            url.replace("postgresql://", "postgresql+psycopg://", 1),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_SECONDS,
            pool_pre_ping=True,
            hide_parameters=True,  # an error that nobody foresaw is logged with its cause, and parameters are digests and hashes
            connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "authsvc-admin"},
        )

    async def __aenter__(self) -> Self:
        await self._reads.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reads.close(timeout=1)
        await self._engine.dispose()

    async def connect(self) -> Connection:
        """Open a connection outside the pools, for the journal."""
        return await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name="authsvc-journal"
        )

    @asynccontextmanager
    async def hot_read(self) -> AsyncIterator[Connection]:
        """Lend a connection for single statements; raises UnavailableError when the database cannot be reached."""
        try:
            async with self._reads.connection() as connection:
                yield connection
        except (psycopg.Error, PoolTimeout, OSError) as error:
            raise UnavailableError("the database cannot be reached") from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Read]:
        """Open a read-only transaction that sees one snapshot."""
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        async with _translated(), self._engine.execution_options(**options).begin() as connection:
            await connection.exec_driver_sql("SELECT set_config('statement_timeout', '5000', true)")
            yield Read(connection)

    @asynccontextmanager
    async def change(self, by: Requester) -> AsyncIterator[Change]:
        """Open a transaction that changes policy; at its end its events are appended to the log, and all is committed together.

        Raises UnavailableError when the commit is not known to have happened: nothing is then told to have changed.
        """
        batch: Batch | None = None
        try:
            async with _translated(), self._engine.connect() as connection:
                # A process that is frozen with the policy's lock loses it before those that wait for it give up.
                await connection.exec_driver_sql(
                    "SELECT set_config('lock_timeout', '2000', true), set_config('statement_timeout', '5000', true),"
                    " set_config('idle_in_transaction_session_timeout', '1500', true)"
                )
                await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({POLICY_LOCK})")
                change = Change(connection, by, self._now(), self._new_nonce)
                yield change
                if change.events:
                    driver = await change.driver()
                    batch = await self._append(driver, change.events)
                    await _commit(connection, driver)
                    self._custody.saw(batch.after.size, batch.root)
        except UnavailableError:
            if batch is None or not await self._was_committed(batch):
                raise

    @asynccontextmanager
    async def report(self) -> AsyncIterator[Report]:
        """Open a transaction that appends events of no policy with what is written beside them, all or nothing.

        Policy changes wait for it, and it for them: authority that it reads is the newest. It always commits something: what it
        found written may not be on the standby yet. Raises UnavailableError when the commit is not known to have happened.
        """
        async with _translated(), self._engine.connect() as connection:
            await connection.exec_driver_sql(
                "SELECT set_config('lock_timeout', '2000', true), set_config('statement_timeout', '5000', true),"
                " set_config('idle_in_transaction_session_timeout', '5000', true)"
            )
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({POLICY_LOCK})")
            driver, batches = await Read(connection).driver(), []

            async def append(events: Sequence[Event]) -> int:
                batches.append(await self._append(driver, events))
                return batches[-1].prev

            yield Report(connection, append)
            await confirm_committed(driver)
            await _commit(connection, driver)
            for batch in batches:
                self._custody.saw(batch.after.size, batch.root)

    async def _append(self, driver: Connection, events: Sequence[Event]) -> Batch:
        try:
            lines = [compose_line(event) for event in events]
        except ValueError as error:
            raise InvalidInputError(Fault("", "is more than an event of the log can hold")) from error
        await lock_log(driver)
        head = await self._custody.read_head(driver)
        batch = compose_batch(head, lines, epoch=self._custody.epoch, seal=self._seal)
        await append_batch(driver, batch, self._custody.epoch)
        return batch

    async def _was_committed(self, batch: Batch) -> bool:
        """Look a change up whose commit was not answered; under the log's lock it is over, one way or the other.

        What is found is confirmed by a commit of our own: the standby may not have it yet.
        """
        connection = await _reached(self.connect())
        warnings: list[str] = []
        connection.add_notice_handler(keep_warnings(warnings))
        try:
            async with connection.transaction():
                await lock_log(connection)
                found = await is_committed(connection, batch)
                if found:
                    await confirm_committed(connection)
            if connection.closed or warnings:
                raise UnavailableError("the change may or may not have been made: read it again")
        except psycopg.Error as error:
            raise UnavailableError("the change may or may not have been made: read it again") from error
        else:
            return found
        finally:
            await connection.close()


async def _commit(connection: AsyncConnection, driver: Connection) -> None:
    """Commit; raises UnavailableError when the commit comes back with a warning: its wait for the standby was cancelled."""
    warnings: list[str] = []
    keep = keep_warnings(warnings)
    driver.add_notice_handler(keep)
    try:
        await connection.commit()
    finally:
        driver.remove_notice_handler(keep)
    if warnings:
        raise UnavailableError("the change was written, and is not known to be durable")


async def _reached(connecting: Awaitable[Connection]) -> Connection:
    try:
        return await connecting
    except (psycopg.Error, OSError) as error:
        raise UnavailableError("the change may or may not have been made: read it again") from error


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Make what the driver and the engine raise an error of core."""
    try:
        yield
    except (DBAPIError, EngineTimeoutError, psycopg.Error, OSError) as error:
        _log.error("database.failed", error=type(error).__name__, state=_state(error))
        raise UnavailableError("the database cannot be reached or refused a statement") from error


def _state(error: Exception) -> str | None:
    """Return the SQLSTATE of an error, which is safe to log; its text may hold values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


@asynccontextmanager
async def connect_alone(url: str) -> AsyncIterator[Connection]:
    """Lend a connection of its own, for a command that works as another role; raises UnavailableError for what fails on it."""
    async with (
        _translated(),
        await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=CONNECT_SECONDS
        ) as connection,
    ):
        yield connection
