"""Custody: a database that lacks what was signed gets nothing signed onto it, and there is one honest way out."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from authsvc.adapters.postgres.custody import LogLostError
from authsvc.config import Settings
from authsvc.core.errors import ConflictError, StartupError, UnavailableError
from authsvc.core.event import Event, Requester
from authsvc.core.kind import Kind
from authsvc.core.note import Checkpoint
from authsvc.core.principal import SYSTEM
from authsvc.core.recorded import Recorded
from authsvc.operations.deps import Deps
from authsvc.operations.keep_custody import look
from authsvc.operations.recover_audit import recover_audit
from authsvc.operations.verify_audit import verify_audit
from authsvc.wiring import audit_public_key, load_keys, make_seal, open_deps, open_recovery


async def _record(deps: Deps, count: int = 1) -> list[Recorded]:
    recorded = []
    for _ in range(count):
        event = Event(Kind.SERVICE_STARTED, deps.now(), deps.new_nonce(), Requester(SYSTEM))
        answer = await deps.journal.record(event, revision=None)
        assert isinstance(answer, Recorded)
        recorded.append(answer)
    return recorded


_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'log'::regclass"


@contextmanager
def _unguarded(superuser_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Open the log to a superuser who has taken its guards off, and put them on again."""
    with psycopg.connect(superuser_url) as connection:
        tables = [*(name for (name,) in connection.execute(_PARTITIONS)), "log", "batches", "epochs"]
        for table in tables:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
        yield connection
        for table in tables:
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL".encode())
            for guard in ("append_only", "no_truncate"):
                connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}".encode())


def _cut(superuser_url: str, size: int) -> None:
    """Leave what a backup of that moment holds."""
    with _unguarded(superuser_url) as connection:
        connection.execute("DELETE FROM log WHERE seq >= %s", [size])
        connection.execute("DELETE FROM batches WHERE prev >= %s", [size])


def _size(superuser_url: str) -> int:
    with psycopg.connect(superuser_url) as connection:
        row = connection.execute("SELECT max(size) FROM batches").fetchone()
    assert row is not None
    return int(row[0])


def _put(deps: Deps, note: str | None) -> None:
    """Leave this as what is known outside the database: a mark in both its places, and no history."""
    assert deps.kept.second is not None
    for path in (deps.kept.mark_file, deps.kept.second, *deps.kept.history.iterdir()):
        path.unlink(missing_ok=True)
    if note is not None:
        deps.kept.mark_file.write_text(note, encoding="utf-8")
        deps.kept.second.write_text(note, encoding="utf-8")


async def _reopened(settings: Settings) -> str:
    async with open_deps(settings, durable=False) as deps:
        return (await _record(deps))[0].jti


async def test_a_log_that_is_all_there_starts(settings: Settings, deps: Deps) -> None:
    """What was committed after the last mark, as before a crash, stops no start."""
    await look(deps)
    await _record(deps, 3)
    assert (await _reopened(settings)).startswith("1.")


async def test_a_restored_backup_is_refused_at_start(
    settings: Settings, deps: Deps, superuser_url: str
) -> None:
    """A database that ends before the mark gets no service, and the message says what to do."""
    size = _size(superuser_url)
    await _record(deps, 5)
    await look(deps)
    _cut(superuser_url, size)
    with pytest.raises(StartupError, match=r"lacks the log as it was signed.*audit recover"):
        await _reopened(settings)


async def test_an_empty_database_is_refused_at_start(
    settings: Settings, deps: Deps, superuser_url: str
) -> None:
    """A database with no log at all is no new beginning where a mark says that there was one."""
    await look(deps)
    with _unguarded(superuser_url) as connection:
        connection.execute("TRUNCATE log, batches")
    with pytest.raises(StartupError, match="lacks the log as it was signed"):
        await _reopened(settings)


async def test_a_log_cut_under_a_running_service_stops_it(
    deps: Deps, superuser_url: str, client: httpx.AsyncClient
) -> None:
    """Journal, changes and readiness refuse for good once the log is shorter than what this process signed."""
    size = _size(superuser_url)
    await _record(deps, 5)
    assert (await client.get("/readyz")).status_code == 200
    _cut(superuser_url, size)
    with pytest.raises(LogLostError, match="were signed"):
        await look(deps)
    with pytest.raises(UnavailableError):
        await _record(deps)
    with pytest.raises(UnavailableError):
        async with deps.database.change(Requester(SYSTEM)) as change:
            change.events.append(Event(Kind.SERVICE_STARTED, deps.now(), deps.new_nonce(), Requester(SYSTEM)))
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.headers["retry-after"]) == (503, "30")
    assert "audit recover" in ready.json()["why"]
    token = await client.get("/token", params={"service": "registry.test"})
    assert (token.status_code, _size(superuser_url)) == (503, size)


async def test_a_change_finds_the_cut_itself(deps: Deps, superuser_url: str) -> None:
    """A change needs nobody to look first: it reads the head under the lock, and what was seen is not there."""
    size = _size(superuser_url)
    await _record(deps, 2)
    _cut(superuser_url, size)
    with pytest.raises(LogLostError):
        async with deps.database.change(Requester(SYSTEM)) as change:
            change.events.append(Event(Kind.SERVICE_STARTED, deps.now(), deps.new_nonce(), Requester(SYSTEM)))
    assert deps.custody.fault is not None


async def test_a_fork_is_refused(settings: Settings, deps: Deps, superuser_url: str) -> None:
    """A log that has the marked size, and beyond, but is another one, is refused while running and at start."""
    size = _size(superuser_url)
    await _record(deps, 3)
    await look(deps)
    _cut(superuser_url, size)
    mark = deps.kept.marks()[0]
    _put(deps, None)
    async with open_deps(settings, durable=False) as other:
        await _record(other, 6)
    _put(deps, mark.note)
    with pytest.raises(LogLostError, match="another than the one"):
        await look(deps)
    with pytest.raises(StartupError, match="lacks the log"):
        await _reopened(settings)


async def test_decisions_on_lost_policy_are_refused(deps: Deps) -> None:
    """A decision that rests on policy which the log does not hold is of a history that was lost."""
    event = Event(Kind.SERVICE_STARTED, deps.now(), deps.new_nonce(), Requester(SYSTEM))
    with pytest.raises(UnavailableError):
        await deps.journal.record(event, revision=10**9)
    assert deps.custody.fault is not None


async def test_recovery_opens_an_epoch_that_says_what_is_lost(
    settings: Settings, deps: Deps, superuser_url: str
) -> None:
    """After recovering, tokens have ids of a new epoch, the log is proved again, and the loss is in it for ever."""
    size = _size(superuser_url)
    await _record(deps, 7)
    await look(deps)
    mark = deps.kept.marks()[0]
    _cut(superuser_url, size)
    recovery = open_recovery(settings)

    shown = await recover_audit(recovery, [], keep=False)
    assert (shown.epoch, shown.lost_from, shown.lost_until) == (2, size, size + 7)
    assert _size(superuser_url) == size
    with pytest.raises(StartupError):
        await _reopened(settings)

    assert await recover_audit(recovery, [], keep=True) == shown
    jti = await _reopened(settings)
    assert jti.startswith(f"2.{size + 1}.")
    with psycopg.connect(superuser_url) as connection:
        row = connection.execute("SELECT kind, entry FROM log WHERE seq = %s", [size]).fetchone()
    assert row is not None
    entry = json.loads(row[1])
    assert (row[0], entry["checkpoint"]) == ("audit.recovered", mark.note)
    assert (entry["epoch"], entry["lost_from"], entry["lost_until"]) == (2, size, size + 7)
    proved = verify_audit(superuser_url, public=audit_public_key(settings))
    assert proved.size == size + 2

    with pytest.raises(ConflictError, match="nothing is lost"):
        await recover_audit(recovery, [], keep=True)


async def test_a_node_of_the_old_epoch_signs_nothing_more(
    settings: Settings, deps: Deps, superuser_url: str
) -> None:
    """A node that slept through loss and recovery, and lacks nothing itself, does not go on under the old name."""
    size = _size(superuser_url)
    async with open_deps(settings, durable=False) as other:
        await _record(other, 4)
        await look(other)
    _cut(superuser_url, size)
    await recover_audit(open_recovery(settings), [], keep=True)
    with pytest.raises(UnavailableError):
        await _record(deps)
    assert "epoch 2 of the log has begun" in (deps.custody.fault or "")
    assert _size(superuser_url) == size + 1


async def test_what_was_written_off_stops_no_start_and_more_does(
    settings: Settings, deps: Deps, superuser_url: str
) -> None:
    """A replica's own mark within the declared loss is good; one beyond it shows that more was lost than was declared."""
    size = _size(superuser_url)
    await _record(deps, 2)
    await look(deps)
    within = deps.kept.marks()[0]
    await _record(deps, 2)
    await look(deps)
    beyond = deps.kept.marks()[0]
    _cut(superuser_url, size)
    _put(deps, within.note)
    await recover_audit(open_recovery(settings), [], keep=True)

    _put(deps, within.note)
    assert (await _reopened(settings)).startswith("2.")
    _put(deps, beyond.note)
    with pytest.raises(StartupError, match="lacks the log"):
        await _reopened(settings)
    again = await recover_audit(open_recovery(settings), [], keep=True)
    assert (again.epoch, again.lost_until) == (3, size + 4)
    assert (await _reopened(settings)).startswith("3.")


async def test_a_loss_says_no_less_than_was_lost(settings: Settings, deps: Deps, superuser_url: str) -> None:
    """A checkpoint of an earlier epoch that turns up late writes off all from where the next one began, however the log grew."""
    size = _size(superuser_url)
    notes = []
    for count in (1, 1, 2):
        await _record(deps, count)
        await look(deps)
        notes.append(deps.kept.marks()[0].note)
    _cut(superuser_url, size)
    _put(deps, notes[0])
    await recover_audit(open_recovery(settings), [], keep=True)
    async with open_deps(settings, durable=False) as anew:
        await _record(anew, 5)
        await look(anew)
    loss = await recover_audit(open_recovery(settings), [notes[2]], keep=True)
    assert (loss.lost_from, loss.lost_until) == (size, size + 4)
    verify_audit(superuser_url, public=audit_public_key(settings), known_notes=tuple(notes))


async def test_checkpoints_of_two_logs_lose_nothing(settings: Settings, deps: Deps) -> None:
    """A checkpoint of another log, though the same audit key signed it, writes off nothing of this one."""
    await look(deps)
    seal = make_seal(load_keys(settings, create=False)[1])
    other = seal(Checkpoint(origin="other/audit/1", size=1, root=b"r" * 32))
    with pytest.raises(ConflictError, match="another log"):
        await recover_audit(open_recovery(settings), [other], keep=True)


async def test_a_checkpoint_kept_elsewhere_is_enough(
    settings: Settings, deps: Deps, superuser_url: str
) -> None:
    """Where this machine's marks are lost too, a copy that was kept elsewhere tells what is lost."""
    size = _size(superuser_url)
    await _record(deps, 3)
    await look(deps)
    copy = deps.kept.marks()[0]
    _cut(superuser_url, size)
    _put(deps, None)
    with pytest.raises(ConflictError, match="no checkpoint is known"):
        await recover_audit(open_recovery(settings), [], keep=True)
    loss = await recover_audit(open_recovery(settings), [copy.note], keep=True)
    assert (loss.lost_from, loss.lost_until) == (size, size + 3)


async def test_an_empty_database_is_recovered(settings: Settings, deps: Deps, superuser_url: str) -> None:
    """When all is lost, the new log begins with the epoch after the lost one, under the same name."""
    await look(deps)
    mark = deps.kept.marks()[0]
    with _unguarded(superuser_url) as connection:
        connection.execute("TRUNCATE log, batches, epochs")
    loss = await recover_audit(open_recovery(settings), [], keep=True)
    assert (loss.epoch, loss.lost_from, loss.lost_until) == (2, 0, mark.checkpoint.size)
    jti = await _reopened(settings)
    assert jti.startswith("2.1.")
