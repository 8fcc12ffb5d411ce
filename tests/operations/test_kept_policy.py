"""Decisions after a pruned part are made again by the policy that stayed of it, which the log itself proves to be whole."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from authsvc.adapters.postgres.log import compose_line
from authsvc.config import Settings
from authsvc.core.canonical import Json
from authsvc.core.event import Event, Requester
from authsvc.core.kept_policy import Kept
from authsvc.core.kind import Kind
from authsvc.core.principal import SYSTEM
from authsvc.core.recorded import Recorded
from authsvc.core.verified import TamperedError, Verified
from authsvc.operations.archive_audit import archive_audit
from authsvc.operations.deps import Deps
from authsvc.operations.verify_audit import verify_database
from authsvc.wiring import open_deps
from bench.generate_log import Shape
from tests.clock import Clock
from tests.generated import Generated, fill
from tests.old_log import EDGE, add_old_months, prune

SHAPE = Shape(900, principals=12, projects=4, batch=16, policy_every=40)


@pytest.fixture
async def log(settings: Settings) -> Generated:
    """Fill a log whose first half may be pruned."""
    add_old_months(settings)
    return await fill(settings, SHAPE, start=EDGE - timedelta(days=14))


@pytest.fixture
async def deps(settings: Settings, clock: Clock, log: Generated) -> AsyncIterator[Deps]:
    """The service over it."""
    del log
    async with open_deps(settings, durable=False, clock=clock) as opened:
        yield opened


@pytest.fixture
def whole(log: Generated, deps: Deps, superuser_url: str, tmp_path: Path) -> Path:
    """An archive of all of it."""
    del deps
    archive_audit(superuser_url, tmp_path / "archive", log.trust)
    return tmp_path / "archive"


def _decided(superuser_url: str) -> int:
    with psycopg.connect(superuser_url) as connection:
        row = connection.execute("SELECT count(*) FROM log WHERE kind = 'token.issued'").fetchone()
    assert row is not None
    return int(row[0])


async def test_decisions_after_the_cut_are_made_again(
    settings: Settings, deps: Deps, log: Generated, whole: Path, superuser_url: str
) -> None:
    """Before and after pruning every decision that the log has is made again, those that rest on pruned policy too."""
    assert verify_database(superuser_url, log.trust).decisions == _decided(superuser_url)
    pruned = await prune(deps, settings, whole)
    assert pruned is not None
    found = verify_database(superuser_url, log.trust)
    assert 100 < found.decisions == _decided(superuser_url) < SHAPE.events - 100
    assert (found.not_replayed, found.bridged) == (None, pruned.prunable.end)
    assert pruned.kept.entries > 20


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM kept_policy WHERE seq = (SELECT max(seq) FROM kept_policy)",
        "DELETE FROM kept_policy WHERE seq = (SELECT min(seq) FROM kept_policy WHERE seq > 30)",
        "UPDATE kept_policy SET entry = set_byte(entry, 9, 255 - get_byte(entry, 9)) WHERE seq = 0",
        "UPDATE kept_policy SET seq = seq + 1 WHERE seq = (SELECT max(seq) FROM kept_policy)",
        "INSERT INTO kept_policy SELECT (SELECT max(seq) + 1 FROM kept_policy), entry FROM kept_policy LIMIT 1",
    ],
)
async def test_what_stayed_must_be_what_the_log_says(
    settings: Settings, deps: Deps, log: Generated, whole: Path, superuser_url: str, change: str
) -> None:
    """An entry of pruned policy that is left out, changed, moved or added is tampering: a revocation could be missing."""
    await prune(deps, settings, whole)
    with psycopg.connect(superuser_url) as connection:
        connection.execute("ALTER TABLE kept_policy DISABLE TRIGGER append_only")
        assert connection.execute(change.encode()).rowcount
    with pytest.raises(TamperedError, match="policy that stayed") as told:
        verify_database(superuser_url, log.trust)
    assert told.value.seq == 0
    assert verify_database(superuser_url, log.trust, replay=False).decisions == 0


async def _claim(deps: Deps, body: dict[str, Json]) -> int:
    event = Event(Kind.AUDIT_PRUNED, deps.now(), deps.new_nonce(), Requester(SYSTEM), body=body)
    answer = await deps.journal.record(event, revision=None)
    assert isinstance(answer, Recorded)
    return answer.seq


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"first": 0, "end": 300}, "does not say which policy stayed"),
        ({"first": 5, "end": 300}, "does not begin with the first entry"),
    ],
)
async def test_without_proof_nothing_is_decided_by_what_stayed(
    deps: Deps, log: Generated, superuser_url: str, body: dict[str, Json], says: str
) -> None:
    """Where the event does not say what stayed, the log is proved, no decision is made again, and that is told."""
    await _claim(deps, body)
    found: Verified = verify_database(superuser_url, log.trust)
    assert found.decisions == 0
    assert found.not_replayed is not None
    assert says in found.not_replayed


async def test_an_event_that_is_not_in_the_tree_prunes_nothing(
    settings: Settings, deps: Deps, log: Generated, whole: Path, superuser_url: str
) -> None:
    """A row that a thief of the application's role inserts is not taken for the event: pruning logs its own."""
    del log
    shown = await prune(deps, settings, whole, keep=True)
    assert shown is not None
    event = Event(
        Kind.AUDIT_PRUNED, deps.now(), deps.new_nonce(), Requester(SYSTEM),
        body={
            "first": 0, "end": shown.prunable.end, "retention_days": 400, "until": EDGE.isoformat(),
            "kept": shown.kept.describe(),
        },
    )  # fmt: skip
    line = compose_line(event)
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url.get_secret_value()) as thief:
        for seq, entry in ((10**6, line.entry), (SHAPE.events - 1, line.entry), (10**6 + 1, b"no JSON")):
            thief.execute(
                "INSERT INTO log (seq, time, kind, outcome, actor, projects, repositories, actions, entry)"
                " VALUES (%s, now(), 'audit.pruned', 'done', '', '{}', '{}', '{}', %s)",
                [seq, entry],
            )
    await prune(deps, settings, whole)
    with psycopg.connect(superuser_url) as connection:
        rows = connection.execute("SELECT seq FROM log WHERE kind = 'audit.pruned' ORDER BY seq").fetchall()
    assert rows == [(SHAPE.events - 1,), (SHAPE.events,), (10**6,), (10**6 + 1,)]


def test_what_is_kept_is_counted_and_in_order() -> None:
    """The hash is over numbers and entries: neither can be moved to the other."""
    one = Kept.of([(1, b"a"), (2, b"b")])
    assert one.entries == 2
    assert (
        len({one.sha256, Kept.of([(1, b"b"), (2, b"a")]).sha256, Kept.of([(1, b"a"), (3, b"b")]).sha256}) == 3
    )
    assert Kept.read(one.describe()) == one
