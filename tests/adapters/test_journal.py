"""The journal under attack: everything acknowledged is in the log once, and whatever is not is never acknowledged."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import psycopg
import pytest

from authsvc.adapters.embedded.cluster import Cluster, ClusterRole
from authsvc.adapters.embedded.leftovers import server_processes
from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.postgres.journal import MAX_BATCH, MAX_QUEUE, Journal
from authsvc.adapters.postgres.log import LOG_LOCK
from authsvc.adapters.postgres.migrate import upgrade
from authsvc.config import Settings
from authsvc.core.errors import UnavailableError
from authsvc.core.recorded import Recorded, Stale
from tests.adapters.cutting_proxy import Cut, CuttingProxy
from tests.adapters.logbook import Logbook, move_policy, open_logbook, record, through
from tests.memory_folder import memory_folder

FULL = os.environ.get("CAMPAIGN") == "full"
CUTS = 10_000 if FULL else 300
TERMINATIONS = 1_000 if FULL else 60


_SWALLOW = (
    "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    " CREATE TRIGGER swallow BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION swallow()"
)


@pytest.fixture
async def logbook(settings: Settings, superuser_url: str) -> Logbook:
    """Open this test's own log."""
    assert settings.database_url is not None
    return await open_logbook(settings.database_url.get_secret_value(), superuser_url, settings.keys_path)


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    """Run a server that these tests may freeze and misconfigure."""
    with memory_folder("own") as folder, EmbeddedServer(folder, fast_unsafe=True) as server:
        upgrade(server.cluster.url(ClusterRole.OWNER))
        yield server


@pytest.fixture
async def own_logbook(own_server: EmbeddedServer, key_template: Path) -> Logbook:
    """Open the log of that server."""
    cluster = own_server.cluster
    return await open_logbook(
        cluster.url(ClusterRole.APP), cluster.url(ClusterRole.SUPERUSER, "authsvc"), key_template
    )


@pytest.fixture
async def journal(logbook: Logbook) -> AsyncIterator[Journal]:
    """Run a journal on it."""
    async with logbook.journal() as made:
        yield made


async def _load(
    journal: Journal, logbook: Logbook, acknowledged: dict[str, int], done: asyncio.Event
) -> None:
    """Record one event after another, and note what was acknowledged."""
    while not done.is_set():
        event = logbook.event()
        answer = await record(journal, event)
        if isinstance(answer, Recorded):
            assert answer.event is event
            acknowledged[event.nonce] = answer.seq


async def test_what_arrives_together_is_one_batch(journal: Journal, logbook: Logbook) -> None:
    """Events that wait together are committed together, 256 at most, in the order in which they came."""
    first = asyncio.create_task(journal.record(logbook.event(), revision=None))
    await asyncio.sleep(0)
    answers = await asyncio.gather(
        *(journal.record(logbook.event(), revision=None) for _ in range(2 * MAX_BATCH))
    )
    await first
    seqs = [answer.seq for answer in answers if isinstance(answer, Recorded)]
    assert seqs == sorted(seqs)
    assert len(seqs) == 2 * MAX_BATCH
    assert max(logbook.batches) == MAX_BATCH
    assert len(logbook.batches) <= 4
    logbook.check({a.event.nonce: a.seq for a in answers if isinstance(a, Recorded)})


async def test_old_policy_is_stale(journal: Journal, logbook: Logbook) -> None:
    """An event that rests on older policy than the log's is not appended; on the same or no policy it is."""
    async with logbook.database() as database:
        old = logbook.event()
        fine = await journal.record(logbook.event(), revision=-1)
        assert isinstance(fine, Recorded)
        await move_policy(database)
        revision = fine.seq + 1
        assert await journal.record(old, revision=-1) == Stale(revision)
        assert isinstance(await journal.record(logbook.event(), revision=revision), Recorded)
        assert isinstance(await journal.record(logbook.event(), revision=None), Recorded)
        assert await journal.record(old, revision=revision - 1) == Stale(revision)
    assert old.nonce not in {entry["nonce"] for entry in logbook.check({}).values()}


async def test_stale_and_fresh_share_a_batch(journal: Journal, logbook: Logbook) -> None:
    """In one batch each event is judged for itself."""
    async with logbook.database() as database:
        await move_policy(database)
        answers = await asyncio.gather(
            *(journal.record(logbook.event(), revision=revision) for revision in (-1, 0, None, -1, 0))
        )
    assert [type(answer) for answer in answers] == [Stale, Recorded, Recorded, Stale, Recorded]
    logbook.check({a.event.nonce: a.seq for a in answers if isinstance(a, Recorded)})


async def test_full_queue_refuses_at_once(logbook: Logbook) -> None:
    """Beyond the queue's length an event is refused without waiting, and the ones before it are recorded later."""
    async with logbook.journal() as journal:
        held = [asyncio.create_task(journal.record(logbook.event(), revision=None)) for _ in range(MAX_QUEUE)]
        while journal.waiting < MAX_QUEUE:
            turn = asyncio.create_task(journal.record(logbook.event(), revision=None))
            await asyncio.sleep(0)
            if turn.done():
                break
            held.append(turn)
        full = [asyncio.create_task(journal.record(logbook.event(), revision=None)) for _ in range(MAX_QUEUE)]
        answers = await asyncio.gather(*held, *full, return_exceptions=True)
    assert any(isinstance(answer, UnavailableError) and "full" in str(answer) for answer in answers)
    logbook.check({a.event.nonce: a.seq for a in answers if isinstance(a, Recorded)})


async def test_cancelled_waiters_disturb_nobody(journal: Journal, logbook: Logbook) -> None:
    """Callers that go away leave no hole, and the answers of the others are theirs."""
    random = Random(7)
    tasks = [asyncio.create_task(journal.record(logbook.event(), revision=None)) for _ in range(600)]
    for task in random.sample(tasks, 300):
        await asyncio.sleep(0)
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    recorded = [answer for answer in answers if isinstance(answer, Recorded)]
    assert len(recorded) >= 300
    logbook.check({a.event.nonce: a.seq for a in recorded})


async def test_two_journals_share_one_log(journal: Journal, logbook: Logbook) -> None:
    """Two writers and changes of policy between them make one gapless order, in which nothing stale is recorded."""
    acknowledged: dict[str, int] = {}
    stale = 0

    async def write(mine: Journal, database_revision: list[int]) -> None:
        nonlocal stale
        for _ in range(100):
            event, revision = logbook.event(), database_revision[0]
            answer = await mine.record(event, revision=revision)
            if isinstance(answer, Stale):
                stale += 1
                database_revision[0] = answer.revision
            else:
                acknowledged[event.nonce] = answer.seq
                rests_on[answer.seq] = revision

    rests_on: dict[int, int] = {}
    async with logbook.journal() as other, logbook.database() as database:

        async def change() -> None:
            for _ in range(15):
                await move_policy(database)
                await asyncio.sleep(0.01)

        await asyncio.gather(*(write(j, [-1]) for j in (journal, other) for _ in range(3)), change())
    entries = logbook.check(acknowledged)
    newest = -1
    for seq, entry in entries.items():
        assert rests_on.get(seq, newest) == newest
        newest = seq if entry["kind"].startswith("policy.") else newest
    assert stale


async def test_writers_that_meet_leave_no_errors(
    journal: Journal, logbook: Logbook, postgres: EmbeddedServer
) -> None:
    """That somebody else's batch came first is no error of the database's, whose log several busy writers would fill."""
    said = postgres.cluster.log_file.stat().st_size
    async with logbook.journal() as other:
        answers = [
            await one.record(logbook.event(), revision=None) for _ in range(10) for one in (journal, other)
        ]
    assert all(isinstance(answer, Recorded) for answer in answers)
    assert b"batches_pkey" not in postgres.cluster.log_file.read_bytes()[said:]


async def test_one_writer_is_fast_again(journal: Journal, logbook: Logbook) -> None:
    """After another writer's batch the journal finds the newest head, and goes on from it."""
    async with logbook.journal() as other:
        for mine in (journal, journal, other, journal, other, other, journal, journal, journal):
            assert isinstance(await mine.record(logbook.event(), revision=None), Recorded)
    assert logbook.verify().size == 9


@pytest.mark.parametrize(
    ("break_it", "mend_it"),
    [
        (
            _SWALLOW.format("log"),
            "DROP TRIGGER swallow ON log",
        ),
        (
            _SWALLOW.format("batches"),
            "DROP TRIGGER swallow ON batches",
        ),
        ("REVOKE INSERT ON log FROM authsvc_app", "GRANT INSERT ON log TO authsvc_app"),
        ("ALTER TABLE log RENAME TO hidden", "ALTER TABLE hidden RENAME TO log"),
    ],
)
async def test_sabotage_while_running_fails_closed(
    journal: Journal, logbook: Logbook, break_it: str, mend_it: str
) -> None:
    """What a superuser breaks makes the journal refuse, never acknowledge; it goes on when that is mended."""
    assert isinstance(await record(journal, logbook.event()), Recorded)
    with logbook.superuser() as superuser:
        superuser.execute(break_it.encode())
        refused = [logbook.event() for _ in range(3)]
        assert [await record(journal, event) for event in refused] == [None] * 3
        superuser.execute(mend_it.encode())
    assert isinstance(await record(journal, logbook.event()), Recorded)
    nonces = {entry["nonce"] for entry in logbook.check({}).values()}
    assert not nonces & {event.nonce for event in refused}


async def test_lazy_commits_fail_closed(journal: Journal, logbook: Logbook, database: str) -> None:
    """A role that was switched to asynchronous commits gets nothing recorded on its next connection."""
    assert isinstance(await record(journal, logbook.event()), Recorded)
    with logbook.superuser() as superuser:
        superuser.execute(
            f"ALTER ROLE authsvc_app IN DATABASE {database} SET synchronous_commit = off".encode()
        )
        _terminate(superuser)
        await asyncio.sleep(0.1)
        assert [await record(journal, logbook.event()) for _ in range(2)] == [None] * 2
        superuser.execute(f"ALTER ROLE authsvc_app IN DATABASE {database} RESET synchronous_commit".encode())
        _terminate(superuser)
    await _until_recorded(journal, logbook)
    logbook.check({})


async def test_an_error_that_nobody_foresaw_does_not_end_the_journal(logbook: Logbook) -> None:
    """A fault of any kind refuses its batch and no more."""
    faults = [RuntimeError("a fault")]
    sealing = logbook.seal

    def seal(checkpoint: object) -> str:
        if faults:
            raise faults.pop()
        return sealing(checkpoint)  # type: ignore[arg-type]  # a Checkpoint

    logbook.seal = seal
    async with logbook.journal() as journal:
        with pytest.raises(UnavailableError):
            await journal.record(logbook.event(), revision=None)
        assert isinstance(await journal.record(logbook.event(), revision=None), Recorded)


async def test_stopping_answers_everybody(logbook: Logbook) -> None:
    """Whoever waits when the journal stops is told that the event is not known to be recorded."""
    with logbook.superuser() as superuser:
        superuser.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
        async with logbook.journal() as journal:
            tasks = [asyncio.create_task(journal.record(logbook.event(), revision=None)) for _ in range(400)]
            await asyncio.sleep(0.2)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, UnavailableError) for answer in answers)


def _terminate(superuser: psycopg.Connection[tuple[object, ...]]) -> None:
    superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = 'authsvc_app'"
    )


async def _until_recorded(journal: Journal, logbook: Logbook, seconds: float = 30) -> Recorded:
    async with asyncio.timeout(seconds):
        while True:
            answer = await record(journal, logbook.event())
            if isinstance(answer, Recorded):
                return answer
            await asyncio.sleep(0.05)


async def test_terminated_sessions_lose_and_double_nothing(logbook: Logbook) -> None:
    """Sessions that are ended at random moments leave every acknowledged event in the log, once."""
    random, acknowledged, done = Random(11), dict[str, int](), asyncio.Event()
    async with logbook.journal() as one, logbook.journal() as two:
        loads = [
            asyncio.create_task(_load(j, logbook, acknowledged, done)) for j in (one, two) for _ in range(8)
        ]
        with logbook.superuser() as superuser:
            for _ in range(TERMINATIONS):
                await asyncio.sleep(random.random() * 0.06)
                _terminate(superuser)
        done.set()
        await asyncio.gather(*loads)
        await _until_recorded(one, logbook)
    assert len(acknowledged) > TERMINATIONS
    logbook.check(acknowledged)


async def test_a_held_lock_refuses_and_recovers(journal: Journal, logbook: Logbook) -> None:
    """While another session keeps the log's lock, callers are refused; afterwards they are not."""
    assert isinstance(await record(journal, logbook.event()), Recorded)
    with logbook.superuser() as superuser:
        superuser.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
        refused = [logbook.event() for _ in range(5)]
        assert await asyncio.gather(*(record(journal, event) for event in refused)) == [None] * 5
    await _until_recorded(journal, logbook)
    nonces = {entry["nonce"] for entry in logbook.check({}).values()}
    assert not nonces & {event.nonce for event in refused}


def _waiting_for_standby(superuser: psycopg.Connection[tuple[object, ...]]) -> list[int]:
    found = superuser.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'").fetchall()
    return [int(str(pid)) for (pid,) in found]


async def _miss_a_standby(logbook: Logbook, superuser: psycopg.Connection[tuple[object, ...]]) -> None:
    """Configure a standby that never comes, and return once commits wait for it."""
    superuser.execute("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
    superuser.execute("SELECT pg_reload_conf()")
    async with await logbook.connect() as probe:
        waited = False
        while not waited:
            written = asyncio.create_task(probe.execute("SELECT pg_logical_emit_message(true, 'test', '')"))
            while not written.done():
                await asyncio.sleep(0.01)
                for pid in _waiting_for_standby(superuser):
                    superuser.execute("SELECT pg_cancel_backend(%s)", [pid])
                    waited = True
            await written


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_cancelled_wait_for_the_standby_is_no_commit(own_logbook: Logbook, function: str) -> None:
    """What is written here but not on the standby is not recorded, however often its wait is ended, until the standby has it."""
    async with own_logbook.journal() as journal:
        await _until_recorded(journal, own_logbook)
        with own_logbook.superuser() as superuser:
            await _miss_a_standby(own_logbook, superuser)
            event = own_logbook.event()
            waiting = asyncio.create_task(journal.record(event, revision=None))
            ended = 0
            for _ in range(40):
                await asyncio.sleep(0.05)
                for pid in _waiting_for_standby(superuser):
                    superuser.execute(f"SELECT {function}(%s)".encode(), [pid])
                    ended += 1
            assert ended > 2
            assert event.nonce in {entry["nonce"] for entry in own_logbook.entries().values()}
            assert not waiting.done()
            superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
            superuser.execute("SELECT pg_reload_conf()")
        answer = await asyncio.wait_for(waiting, 20)
    assert isinstance(answer, Recorded)
    own_logbook.check({event.nonce: answer.seq})


async def test_a_change_whose_wait_was_cancelled_is_not_done(own_logbook: Logbook) -> None:
    """A change of policy that the standby has not is not reported as made."""
    async with own_logbook.database() as database:
        await move_policy(database)
        with own_logbook.superuser() as superuser:
            await _miss_a_standby(own_logbook, superuser)
            changing = asyncio.create_task(move_policy(database))
            while not changing.done():
                await asyncio.sleep(0.02)
                for pid in _waiting_for_standby(superuser):
                    superuser.execute("SELECT pg_cancel_backend(%s)", [pid])
            superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
            superuser.execute("SELECT pg_reload_conf()")
        with pytest.raises(UnavailableError):
            await changing
        await move_policy(database)
    own_logbook.check({})


def _signal_server(cluster: Cluster, number: signal.Signals) -> None:
    for pid in server_processes(cluster):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def test_a_frozen_server_keeps_nobody_waiting(own_server: EmbeddedServer, own_logbook: Logbook) -> None:
    """While every process of the server is stopped, nobody is acknowledged or waits beyond the deadline; then all goes on."""
    acknowledged: dict[str, int] = {}
    done = asyncio.Event()
    async with own_logbook.journal() as journal:
        await _until_recorded(journal, own_logbook)
        loads = [asyncio.create_task(_load(journal, own_logbook, acknowledged, done)) for _ in range(20)]
        await asyncio.sleep(0.3)
        _signal_server(own_server.cluster, signal.SIGSTOP)
        try:
            await asyncio.sleep(0.1)
            before = len(acknowledged)
            await asyncio.sleep(6)
            assert len(acknowledged) == before
        finally:
            _signal_server(own_server.cluster, signal.SIGCONT)
        await _until_recorded(journal, own_logbook)
        await asyncio.sleep(0.3)
        done.set()
        await asyncio.gather(*loads)
        assert len(acknowledged) > before
    own_logbook.check(acknowledged)


@pytest.mark.timeout(7200 if FULL else 180)
@pytest.mark.parametrize("elsewhere", [None, 0.02], ids=["anywhere", "at_commits"])
async def test_cut_connections_lose_and_double_nothing(
    logbook: Logbook, postgres: EmbeddedServer, elsewhere: float | None
) -> None:
    """Connections cut before, in and after the server's reply leave every acknowledged event in the log, once.

    Cut at any message, only one in six meets a commit: so as many are cut at commits alone, nearly.
    """
    folder = Path(tempfile.mkdtemp(prefix="cut-"))
    proxy = CuttingProxy(postgres.cluster.socket_folder(), Random(13), chance=0.3, elsewhere=elsewhere)
    acknowledged, done = dict[str, int](), asyncio.Event()

    async def connect() -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(
            through(logbook.url, folder), autocommit=True, connect_timeout=3
        )

    async with proxy.listening(folder), logbook.journal(connect) as one, logbook.journal(connect) as two:
        loads = [
            asyncio.create_task(_load(j, logbook, acknowledged, done)) for j in (one, two) for _ in range(6)
        ]
        while (proxy.total if elsewhere is None else proxy.commits) < CUTS:  # noqa: ASYNC110 - the proxy counts, and knows no test
            await asyncio.sleep(0.05)
        done.set()
        proxy.chance = 0
        await asyncio.gather(*loads)
    shutil.rmtree(folder)
    entries = logbook.check(acknowledged)
    cuts = f"{proxy.commits} cuts after a commit was sent, {proxy.total} in all"
    print(f"\n{cuts}, {len(acknowledged)} acknowledged, {len(entries)} entries")  # noqa: T201 - the figures
    assert all(proxy.cuts[cut] for cut in Cut)
    assert len(acknowledged) > CUTS / 10


@pytest.mark.timeout(7200 if FULL else 180)
async def test_cut_connections_make_a_change_whole_or_not_at_all(
    logbook: Logbook, postgres: EmbeddedServer
) -> None:
    """A change of policy that was reported as made is there; every change is there with its event, or neither is."""
    folder = Path(tempfile.mkdtemp(prefix="cut-"))
    proxy = CuttingProxy(postgres.cluster.socket_folder(), Random(17), chance=0.1)
    made: set[str] = set()
    async with proxy.listening(folder), logbook.database(through(logbook.url, folder)) as database:

        async def change() -> None:
            while proxy.total < CUTS / 3:
                with suppress(UnavailableError):
                    made.add(await move_policy(database))

        await asyncio.gather(*(change() for _ in range(3)))
        proxy.chance = 0
    shutil.rmtree(folder)
    events = [entry["state"]["id"] for entry in logbook.check({}).values()]
    with logbook.superuser() as superuser:
        rows = {id_ for (id_,) in superuser.execute("SELECT id FROM groups").fetchall()}
    print(f"\n{proxy.total} cuts, {len(made)} changes reported, {len(rows)} made")  # noqa: T201 - the figures
    assert len(events) == len(set(events))
    assert set(events) == rows
    assert made <= rows
    assert len(made) > CUTS / 30
