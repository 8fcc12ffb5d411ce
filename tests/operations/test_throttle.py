"""Limits on attempts: counted once, counted together by all workers, and told to the log even when it was away."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authsvc.adapters.shared_memory import create_shared, open_shared
from authsvc.core.errors import ThrottledError, UnavailableError
from authsvc.operations import throttle
from authsvc.operations.deps import Deps
from authsvc.operations.run_background import flush_throttled
from authsvc.operations.tally import SLOT_BYTES, Tally
from authsvc.operations.throttle import ATTEMPTS_FILE, THROTTLE_BYTES, WRONG_PASSWORDS, Throttle
from tests.world import World

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WINDOW = timedelta(minutes=1)
ROOT = Path(__file__).parents[2]

_Step = tuple[int, str, int]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abcdef"), st.integers(1, 5)), max_size=60))
def test_a_tally_counts_as_a_table_would(steps: list[_Step]) -> None:
    """Whatever is counted when, each key has its count until a minute after its first, and nobody else's."""
    tally = Tally(memoryview(bytearray(64 * SLOT_BYTES)), key=b"k", window=WINDOW)
    model: dict[str, tuple[datetime, int]] = {}
    now = NOW
    for seconds, key, weight in steps:
        now += timedelta(seconds=seconds)
        tally.add((key, "x"), now, weight)
        since, count = model.get(key, (now, 0))
        model[key] = (since, count + weight) if now - since < WINDOW else (now, weight)
        for other in "abcdefg":
            since, count = model.get(other, (now, 0))
            assert tally.look((other, "x"), now)[0] == (count if now - since < WINDOW else 0)


@given(
    st.lists(st.text(max_size=3), min_size=1, max_size=3),
    st.lists(st.text(max_size=3), min_size=1, max_size=3),
)
def test_keys_that_differ_are_counted_apart(one: list[str], other: list[str]) -> None:
    """Keys are told apart however their parts are cut, empty ones and odd characters included."""
    tally = Tally(memoryview(bytearray(1024 * SLOT_BYTES)), key=b"k", window=WINDOW)
    tally.add(tuple(one), NOW)
    assert (tally.look(tuple(other), NOW)[0] == 1) is (one == other)


def test_a_full_tally_gives_up_the_oldest() -> None:
    """With more keys than fit, the newest are counted still."""
    tally = Tally(memoryview(bytearray(8 * SLOT_BYTES)), key=b"k", window=WINDOW)
    for number in range(20):
        tally.add((str(number),), NOW + timedelta(seconds=number))
    last = NOW + timedelta(seconds=20)
    assert [number for number in range(20) if tally.look((str(number),), last)[0]] == list(range(12, 20))


def try_passwords(worker: Throttle, count: int, *, first: int = 0) -> int:
    """Try different wrong passwords and return how many were evaluated."""
    for number in range(count):
        try:
            worker.check_passwords(("alice", "192.0.2.7"), NOW)
        except ThrottledError:
            return number
        worker.passwords.count(("alice", "192.0.2.7"), NOW, fingerprint=str(first + number).encode())
    return count


def test_workers_count_together(tmp_path: Path) -> None:
    """Over all workers that share the memory, twenty wrong passwords are evaluated, and the same one counts once."""
    path = tmp_path / ATTEMPTS_FILE
    create_shared(path, THROTTLE_BYTES)
    workers = [Throttle(open_shared(path, THROTTLE_BYTES), b"common") for _ in range(3)]
    assert [try_passwords(worker, 7) for worker in workers] == [7, 7, 7]
    assert [try_passwords(worker, 7, first=100 * number) for number, worker in enumerate(workers, 1)] == [
        7,
        6,
        0,
    ]
    alone = Throttle()
    assert try_passwords(alone, 50) == WRONG_PASSWORDS


def test_another_process_counts_in_the_same_memory(tmp_path: Path) -> None:
    """What one process counts the other sees; a new file leaves those of the old one alone, and is private."""
    path = tmp_path / ATTEMPTS_FILE
    create_shared(path, THROTTLE_BYTES)
    mine = Throttle(open_shared(path, THROTTLE_BYTES), b"common")
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from tests.operations.test_throttle import THROTTLE_BYTES, Throttle, open_shared, try_passwords;"
        "try_passwords(Throttle(open_shared(Path(sys.argv[1]), THROTTLE_BYTES), b'common'), 15)"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(ROOT)], check=True, cwd=ROOT)
    assert try_passwords(mine, 50, first=100) == WRONG_PASSWORDS - 15
    create_shared(path, THROTTLE_BYTES)
    assert try_passwords(mine, 1, first=200) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert open_shared(tmp_path / "none", THROTTLE_BYTES) is None
    assert open_shared(path, 8) is None


async def test_a_stranger_locks_nobody_out(world: World) -> None:
    """Any number of wrong passwords from elsewhere leaves the user himself, and his tokens, let in at once."""
    await world.add_user("alice")
    for number in range(WRONG_PASSWORDS):
        attempt = ("alice", "198.51.100.9")
        world.deps.throttle.passwords.count(attempt, world.deps.now(), fingerprint=str(number).encode())
    assert (await world.ask_as("alice")).status_code == 200


async def test_what_was_turned_away_is_told_when_the_log_is_back(
    deps: Deps, superuser_url: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While events cannot be written the numbers wait and grow; afterwards each is told once."""
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        deps.throttle.turn_away("password", address, 5)
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("REVOKE INSERT ON log FROM authsvc_app")
        with pytest.raises(UnavailableError):
            await flush_throttled(deps)
        deps.throttle.turn_away("password", "192.0.2.1")
        connection.execute("GRANT INSERT ON log TO authsvc_app")
    await flush_throttled(deps)
    await flush_throttled(deps)
    told = [(e["address"], e["count"]) for _, e in await world.events(kind="auth.throttled")]
    assert sorted(told) == [("192.0.2.1", 6), ("192.0.2.2", 5), ("192.0.2.3", 5)]


def test_more_addresses_than_are_kept_are_told_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request is forgotten when there are too many addresses: they are counted under none, at a stop as well."""
    monkeypatch.setattr(throttle, "MAX_TURNED_AWAY", 3)
    noted = Throttle()
    for number in range(10):
        noted.turn_away("anonymous", f"192.0.2.{number}")
    taken = noted.take_turned_away(2, rest=True)
    assert sum(count for *_, count in taken) == 10
    assert len(taken) == 3
    assert noted.take_turned_away(5) == []
