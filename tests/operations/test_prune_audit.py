"""Pruning drops whole months that are old enough and proved to be in an archive, and nothing else by any way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from authsvc.config import Settings
from authsvc.core.errors import ConflictError, UnavailableError
from authsvc.core.event import Event, Requester
from authsvc.core.kind import Kind
from authsvc.core.principal import SYSTEM
from authsvc.core.recorded import Recorded
from authsvc.core.tiles import TILE_WIDTH
from authsvc.operations.archive_audit import archive_audit
from authsvc.operations.deps import Deps
from authsvc.operations.keep_custody import look
from authsvc.operations.read_checkpoint import Trust
from authsvc.operations.repair_tiles import find_false_tile, repair_tiles
from authsvc.operations.run_background import fill_tiles
from authsvc.operations.verify_audit import verify_audit
from authsvc.wiring import audit_public_key, open_deps
from tests.adapters.logbook import move_policy
from tests.clock import Clock
from tests.old_log import EDGE, add_old_months, month, prune

Archive = Callable[..., Path]


async def _record(deps: Deps, at: datetime, count: int = 1) -> int:
    """Record events of a moment, and return the last one's place."""
    events = [Event(Kind.SERVICE_STARTED, at, deps.new_nonce(), Requester(SYSTEM)) for _ in range(count)]
    answers = await asyncio.gather(*(deps.journal.record(event, revision=None) for event in events))
    return max(answer.seq for answer in answers if isinstance(answer, Recorded))


@pytest.fixture
def old_months(settings: Settings) -> None:
    """Give the log the partitions that a service of two years would have."""
    add_old_months(settings)


@pytest.fixture
def archive(tmp_path: Path, settings: Settings, superuser_url: str) -> Archive:
    """Archive the log, the whole of it or what happened before a time."""

    def make(until: datetime | None = None) -> Path:
        folder = tmp_path / f"archive{until or ''}"
        archive_audit(superuser_url, folder, Trust(audit_public_key(settings)), until=until)
        return folder

    return make


@pytest.fixture
async def deps(settings: Settings, clock: Clock, old_months: None) -> AsyncIterator[Deps]:
    """A service whose log began long ago, on an empty database."""
    del old_months
    async with open_deps(settings, durable=False, clock=clock) as opened:
        yield opened


@pytest.fixture
async def cut(deps: Deps, clock: Clock) -> int:
    """Fill a log over months, with clocks that differ at a month's edge; return the place where pruning is to cut."""
    second, today = timedelta(seconds=1), clock.time
    clock.time = month(17) + second
    await move_policy(deps.database)
    await _record(deps, month(17) + second, 3)
    await _record(deps, month(16) + second, 2)
    await _record(deps, EDGE - second)
    cut = await _record(deps, EDGE)
    await _record(deps, EDGE - second)  # of the older month, behind the first of the later one
    await _record(deps, EDGE + second, 3)
    await _record(deps, month(11))
    clock.time = today
    await _record(deps, today, TILE_WIDTH)
    return cut


def _seqs(superuser_url: str) -> list[int]:
    with psycopg.connect(superuser_url) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM log ORDER BY seq")]


async def test_old_months_leave_and_nothing_else_does(
    settings: Settings, deps: Deps, cut: int, archive: Archive, superuser_url: str
) -> None:
    """Everything before the cut is gone and everything from it on is there, the edge of the older month included."""
    before = _seqs(superuser_url)
    shown = await prune(deps, settings, archive(), keep=True)
    assert shown is not None
    assert (shown.prunable.first, shown.prunable.end, shown.prunable.until) == (0, cut, EDGE)
    assert _seqs(superuser_url) == before

    await prune(deps, settings, archive())
    after = _seqs(superuser_url)
    assert after == list(range(cut, len(before) + 1))
    with psycopg.connect(superuser_url) as connection:
        row = connection.execute("SELECT kind, entry FROM log WHERE seq = %s", [after[-1]]).fetchone()
        (kept,) = connection.execute("SELECT array_agg(seq) FROM kept_policy").fetchone() or ([],)
        guards = connection.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid IN (SELECT inhrelid FROM pg_inherits"
            " WHERE inhparent = 'log'::regclass) AND tgenabled <> 'A' AND NOT tgisinternal"
        ).fetchone()
    assert (row is not None and row[0], kept, guards) == ("audit.pruned", [0], (0,))
    assert deps.kept.published()[-1].place == (1, after[-1] + 1)
    assert await prune(deps, settings, archive()) is None


async def test_a_pruned_log_starts_and_grows(
    settings: Settings, deps: Deps, cut: int, archive: Archive, superuser_url: str
) -> None:
    """The marks hold, a new node passes its self-test, and the log goes on."""
    del cut
    await look(deps)
    await prune(deps, settings, archive())
    async with open_deps(settings, durable=False) as other:
        await _record(other, other.now())
    assert _seqs(superuser_url)[-1] == await _record(deps, deps.now()) - 1


async def test_a_legal_hold_stops_it(
    settings: Settings, deps: Deps, cut: int, archive: Archive, superuser_url: str
) -> None:
    """While a hold is placed nothing leaves, neither by the command nor by the function."""
    assert settings.owner_database_url is not None
    with psycopg.connect(settings.owner_database_url.get_secret_value()) as owner:
        owner.execute("INSERT INTO legal_holds (reason) VALUES ('case 4711')")
    with pytest.raises(ConflictError, match="legal hold stops pruning: case 4711"):
        await prune(deps, settings, archive())
    with (
        psycopg.connect(settings.owner_database_url.get_secret_value()) as owner,
        pytest.raises(psycopg.errors.RaiseException, match="legal hold"),
    ):
        owner.execute("SELECT prune_log(%s, 0)", [EDGE])
    assert _seqs(superuser_url)[0] < cut


async def test_an_archive_that_does_not_prove_it_stops_it(
    settings: Settings, deps: Deps, cut: int, archive: Archive, tmp_path: Path, superuser_url: str
) -> None:
    """A missing, short, damaged or foreign archive is found before anything is logged or dropped."""
    size = len(_seqs(superuser_url))
    with pytest.raises(ConflictError, match="does not prove the log"):
        await prune(deps, settings, tmp_path / "nowhere")
    with pytest.raises(ConflictError, match="the archive ends at"):
        await prune(deps, settings, archive(EDGE - timedelta(days=20)))
    folder = archive()
    bundle = folder / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"service.started", b"service.stopped", 1))
    with pytest.raises(ConflictError, match="does not prove the log"):
        await prune(deps, settings, folder)
    assert len(_seqs(superuser_url)) == size


async def test_the_function_believes_nobody(
    settings: Settings, deps: Deps, cut: int, archive: Archive, superuser_url: str
) -> None:
    """Called by hand it refuses without the event, for a younger month, below the floor, and for the service's role."""
    assert settings.owner_database_url is not None
    assert settings.database_url is not None
    del archive
    claims = [
        ({"first": 0, "end": cut, "retention_days": 183}, EDGE, "184 days"),
        ({"first": 0, "end": cut - 1, "retention_days": 400}, EDGE, "no event says"),
        ({"first": 1, "end": cut, "retention_days": 400}, EDGE, "no event says"),
        ({"end": cut}, EDGE, "no event says"),
        ({"first": 0, "end": cut, "retention_days": 400}, EDGE, "not those that the event says"),
    ]
    await fill_tiles(deps)
    calls = [(await _claim(deps, body), until, says) for body, until, says in claims]
    with psycopg.connect(superuser_url) as connection:
        row = connection.execute("SELECT min(seq) FROM log WHERE time >= %s", [month(4)]).fetchone()
    assert row is not None
    young = await _claim(deps, {"first": 0, "end": row[0], "retention_days": 184})
    calls += [
        (young, month(4), "184 days"),
        (0, EDGE, "no event says"),
        (10**6, EDGE, "no event says"),
    ]
    for event, until, says in calls:
        with (
            psycopg.connect(settings.owner_database_url.get_secret_value()) as owner,
            pytest.raises(psycopg.errors.RaiseException, match=says),
        ):
            owner.execute("SELECT prune_log(%s, %s)", [until, event])
    with (
        psycopg.connect(settings.database_url.get_secret_value()) as application,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        application.execute("SELECT prune_log(%s, %s)", [EDGE, calls[0][0]])
    assert _seqs(superuser_url)[0] == 0


async def _claim(deps: Deps, body: dict[str, int]) -> int:
    event = Event(Kind.AUDIT_PRUNED, deps.now(), deps.new_nonce(), Requester(SYSTEM), body=body)
    answer = await deps.journal.record(event, revision=None)
    assert isinstance(answer, Recorded)
    return answer.seq


async def test_an_attempt_is_taken_up_again(
    settings: Settings, deps: Deps, cut: int, archive: Archive, superuser_url: str
) -> None:
    """While the log is being read nothing leaves it; the next attempt drops what the first one's event says, with no second."""
    with psycopg.connect(superuser_url) as reader:
        reader.execute("SELECT count(*) FROM log")
        with pytest.raises(UnavailableError, match="being read"):
            await prune(deps, settings, archive())
    size = len(_seqs(superuser_url))
    assert verify_audit(superuser_url, public=audit_public_key(settings)).size == size
    await prune(deps, settings, archive())
    assert _seqs(superuser_url) == list(range(cut, size))


async def test_tiles_of_pruned_entries_are_repaired_from_the_archive(
    settings: Settings, deps: Deps, cut: int, archive: Archive, superuser_url: str
) -> None:
    """A false tile over pruned entries is found by the signed tree alone, and made again of an archive that proves it."""
    del cut
    short, whole = archive(EDGE - timedelta(days=20)), archive()
    await prune(deps, settings, whole)
    assert settings.owner_database_url is not None
    owner_url, trust = settings.owner_database_url.get_secret_value, Trust(audit_public_key(settings))
    assert find_false_tile(superuser_url, trust) is None
    with psycopg.connect(superuser_url) as connection:
        connection.execute("ALTER TABLE tiles DISABLE TRIGGER append_only")
        connection.execute("UPDATE tiles SET hashes = set_byte(hashes, 40, 255 - get_byte(hashes, 40))")
        connection.execute("ALTER TABLE tiles ENABLE ALWAYS TRIGGER append_only")
    false = find_false_tile(superuser_url, trust)
    assert false is not None
    assert false.seq == 0
    for given in (None, short):
        with pytest.raises(ConflictError, match="were pruned: give --archive"):
            await repair_tiles(false, owner_url=owner_url, archive=given, trust=trust)
    assert find_false_tile(superuser_url, trust) is not None
    await repair_tiles(false, owner_url=owner_url, archive=whole, trust=trust)
    assert find_false_tile(superuser_url, trust) is None


async def test_a_pruned_log_is_proved(
    settings: Settings, deps: Deps, cut: int, archive: Archive, superuser_url: str
) -> None:
    """Verification accepts what an event says was pruned."""
    del cut
    await prune(deps, settings, archive())
    assert verify_audit(superuser_url, public=audit_public_key(settings)).size == _seqs(superuser_url)[-1] + 1
