"""The doctor finds each thing that could stop tokens, says what to do, and changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from authsvc.adapters.kept_checkpoints import Published
from authsvc.adapters.postgres.growth import Extent
from authsvc.config import Settings
from authsvc.core.service import Algorithm, HeaderProfile, Service
from authsvc.operations.advise import State, advise_on_realm, advise_on_services
from authsvc.operations.deps import Deps
from authsvc.operations.diagnose import Checkup, diagnose
from authsvc.operations.keep_custody import look, warn_of_weak_custody
from authsvc.operations.measure_growth import estimate_growth, measure_growth
from authsvc.wiring import open_checkup
from tests.world import World

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NO_FSYNC = "self-test"
"""The tests' server runs without fsync, which the doctor rightly tells."""


async def _bad(checkup: Checkup) -> dict[str, tuple[State, str]]:
    """Return what is not well, by what it is about."""
    found = await diagnose(checkup)
    return {one.about: (one.state, one.what) for one in found if one.state is not State.OK}


async def test_a_sound_service_is_well(settings: Settings, deps: Deps) -> None:
    """Nothing but the tests' own server is complained of, and every part is looked at."""
    await look(deps)
    checkup = open_checkup(settings)
    assert set(await _bad(checkup)) == {NO_FSYNC}
    assert {one.about for one in await diagnose(checkup)} >= {
        "settings", "realm", "TLS certificate", "keys folder", "authority", "signing certificate ES256", "database",
        "clock", "partitions", "high-water mark", "published checkpoints", "log", "disk", "retention", "service registry.test",
    }  # fmt: skip


Spoil = Callable[[Checkup], Checkup]


@pytest.mark.parametrize(
    ("spoil", "about", "state", "says"),
    [
        (lambda c: replace(c, now=lambda: c.now() + timedelta(hours=1)), "clock", State.FAIL, "ahead of"),
        (lambda c: replace(c, now=lambda: c.now() - timedelta(seconds=9)), "clock", State.WARN, "behind"),
        (
            lambda c: replace(c, now=lambda: c.now() + timedelta(days=700)),
            "signing certificate ES256", State.WARN, "keys rotate",
        ),
        (
            lambda c: replace(c, now=lambda: c.now() + timedelta(days=100)),
            "partitions", State.FAIL, "no partition for next month",
        ),
        (lambda c: replace(c, free_disk=lambda: 100), "disk", State.FAIL, "a full disk stops tokens"),
        (lambda c: replace(c, free_disk=lambda: 1 << 29), "disk", State.WARN, "make room"),
        (
            lambda c: replace(c, tls_ends=lambda: c.now() + timedelta(days=5)),
            "TLS certificate", State.FAIL, "renew it",
        ),
        (lambda c: replace(c, realm="http://10.1.2.3/token"), "realm", State.WARN, "inner address"),
    ],
)  # fmt: skip
async def test_what_is_not_well_is_told(
    settings: Settings, deps: Deps, spoil: Spoil, about: str, state: State, says: str
) -> None:
    """Each fault is one line of its own, with what to do."""
    await look(deps)
    bad = await _bad(spoil(open_checkup(settings)))
    assert bad[about][0] is state
    assert says in bad[about][1]


async def test_custody_that_ends_with_the_container_is_told(settings: Settings, deps: Deps) -> None:
    """The start and the doctor say it, in the same line."""
    checkup = open_checkup(settings)
    weak = replace(
        deps.kept, folder=Path("/dev/shm/authsvc-test"), second=Path("/nothing-such/audit.checkpoint")
    )
    with capture_logs() as said:
        await warn_of_weak_custody(deps)
        await warn_of_weak_custody(replace(deps, kept=weak))
    (line,) = [one for one in said if one["event"] == "custody.weak"]
    assert "put AUTHSVC_DATA_DIR on a volume" in line["why"]
    bad = await _bad(replace(checkup, keep=lambda _: weak))
    assert bad["high-water mark"] == (State.WARN, line["why"])


def _later(checkup: Checkup, by: timedelta) -> Checkup:
    return replace(checkup, now=lambda: checkup.now() + by)


async def test_a_key_of_one_s_own_is_told_with_its_service(
    settings: Settings, deps: Deps, world: World
) -> None:
    """It is not renewed by itself: two months ahead the doctor names the command, and the bundle that the registry needs."""
    await world.api("POST", "/services", {"name": "zot.test", "own_key": True}, expect=201)
    await look(deps)
    checkup = open_checkup(settings)
    about = "signing certificate ES256 of zot.test"
    assert about not in await _bad(_later(checkup, timedelta(days=600)))
    state, told = (await _bad(_later(checkup, timedelta(days=680))))[about]
    assert state is State.WARN
    assert "keys rotate --service zot.test" in told
    assert "keys bundle --service zot.test --leaf" in told


async def test_faults_of_the_database_are_told(settings: Settings, deps: Deps, superuser_url: str) -> None:
    """A hold, a lost right and a log that is cut are each found."""
    await look(deps)
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute("INSERT INTO legal_holds (reason) VALUES ('case 4711')")
        superuser.execute("GRANT DELETE ON log TO authsvc_app")
        superuser.execute("ALTER TABLE batches DISABLE TRIGGER ALL")
        superuser.execute("DELETE FROM batches WHERE prev = (SELECT max(prev) FROM batches)")
    bad = await _bad(open_checkup(settings))
    assert bad["retention"] == (State.WARN, "a legal hold stops pruning: case 4711")
    assert bad["self-test"][0] is State.FAIL
    assert "DELETE on log" in bad["self-test"][1]
    assert bad["high-water mark"][0] is State.FAIL


async def test_what_no_report_can_have_left_is_told(
    settings: Settings, deps: Deps, superuser_url: str
) -> None:
    """A cursor or a row beyond the log's end, and a registry that was heard in the future, are found; what is possible is not."""
    await look(deps)
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        row = superuser.execute("SELECT max(size) FROM batches").fetchone()
        assert row is not None
        superuser.execute("UPDATE cursors SET seq = %s", [row[0] - 1])
        superuser.execute("INSERT INTO registries SELECT name, now() FROM services")
        assert set(await _bad(open_checkup(settings))) == {NO_FSYNC}
        superuser.execute("UPDATE cursors SET seq = seq + 1")
        superuser.execute("UPDATE registries SET heard_at = now() + interval '1 hour'")
        superuser.execute(
            "INSERT INTO log SELECT seq + 1, time, kind, outcome, actor, projects, repositories, actions, address, entry"
            " FROM log ORDER BY seq DESC LIMIT 1"
        )
    bad = await _bad(open_checkup(settings))
    assert bad["reconciliation"][0] is State.FAIL
    assert f"ends before {row[0]}" in bad["reconciliation"][1]
    assert bad["rows of the log"] == (
        State.FAIL, f"row {row[0]} lies beyond the log's end: somebody else wrote it; run 'authsvc audit verify'",
    )  # fmt: skip
    assert bad["registry registry.test"][0] is State.FAIL
    assert "which is to come" in bad["registry registry.test"][1]


async def test_no_database_and_no_keys_are_told(settings: Settings) -> None:
    """What cannot be reached is a line, and the rest is looked at all the same."""
    gone = settings.model_copy(update={"keys_dir": settings.data_dir / "nowhere"})
    assert (await _bad(open_checkup(gone)))["keys folder"][0] is State.FAIL
    url = SecretStr("postgresql://nobody@127.0.0.1:1/nothing")
    bad = await _bad(open_checkup(settings.model_copy(update={"database_url": url})))
    assert set(bad) == {"database"}


@pytest.mark.parametrize(
    ("realm", "state"),
    [
        ("https://auth.example.com/token", State.OK),
        ("http://auth.example.com/token", State.WARN),
        ("https://192.168.1.1/token", State.WARN),
        ("http://localhost:5001/token", State.WARN),
        ("http://[::1]:5001/token", State.WARN),
        ("https://auth.example.com/token?x=1", State.FAIL),
    ],
)
def test_advice_on_the_realm(realm: str, state: State) -> None:
    """Realms that clients refuse or mangle are warned of (token-protocol 15, 16)."""
    assert [one.state for one in advise_on_realm(realm)] == [state]


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        (Service("a", "i"), "ES256, x5c"),
        (Service("a", "i", Algorithm.EDDSA, HeaderProfile.LIBTRUST_KID), "knows no Ed25519"),
        (Service("a", "i", own_key=True, backdate_seconds=0), "no leeway"),
        (Service("a", "i", name_prefix="r/", isolated=True), "refresh token"),
        (Service("a", "i", name_prefix="r"), "ends with '/'"),
    ],
)
def test_advice_on_services(profile: Service, says: str) -> None:
    """A profile that its registry would choke on is told."""
    (found,) = advise_on_services([profile])
    assert says in found.what


def _extent(size: int) -> Extent:
    return Extent(size * 1000, 0, size, NOW - timedelta(days=10), NOW)


def test_growth_is_measured_over_a_day() -> None:
    """A log that took 1000 entries in the last day, of 1000 bytes each, fills 10 MB in ten days."""
    published = [
        Published(NOW - timedelta(hours=hours), (1, size), "")
        for hours, size in ((72, 10), (24, 4000), (1, 4990))
    ]
    growth = estimate_growth(_extent(5000), published, free=10_000_000, retention_days=400, now=NOW)
    assert (growth.bytes, growth.bytes_per_day) == (5_000_000, 1_000_000)
    assert (growth.days_until_full, growth.days_until_prunable) == (10, 390)


def test_growth_that_is_not_known_is_none() -> None:
    """Minutes say nothing of a day, an empty log and a foreign disk say nothing at all, and none of it divides by zero."""
    young = [Published(NOW - timedelta(minutes=5), (1, 10), "")]
    growth = estimate_growth(_extent(20), young, free=10, retention_days=400, now=NOW)
    assert (growth.bytes_per_day, growth.days_until_full) == (None, None)
    empty = Extent(0, 0, 0, None, None)
    old = [Published(NOW - timedelta(days=1), (1, 0), "")]
    growth = estimate_growth(empty, old, free=None, retention_days=400, now=NOW)
    assert (growth.bytes_per_day, growth.days_until_full, growth.days_until_prunable) == (0, None, None)


async def test_growth_is_measured_while_running(deps: Deps) -> None:
    """The running service reads the same from its database."""
    await look(deps)
    growth = await measure_growth(deps)
    assert growth.bytes > 0
    assert growth.free is None
    assert growth.days_until_prunable is not None
