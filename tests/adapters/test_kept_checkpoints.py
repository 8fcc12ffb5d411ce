"""Checkpoints outside Postgres: the mark is raised and never lowered, and the history is bounded and never wrong."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from authsvc.adapters.kept_checkpoints import KeptCheckpoints
from authsvc.adapters.keys.audit_key import AuditKey, verify
from authsvc.adapters.mounts import file_system_of
from authsvc.core.errors import StartupError
from authsvc.core.mark import Mark, name_origin
from authsvc.core.note import Checkpoint, VerifierKey, sign_note

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = AuditKey(Ed25519PrivateKey.generate())

MakeMark = Callable[..., Mark]


def mark(size: int, *, epoch: int = 1, key: AuditKey = KEY) -> Mark:
    """Return the signed mark of a log of this size."""
    checkpoint = Checkpoint(name_origin("log", epoch), size, size.to_bytes(32, "big"))
    note = sign_note(
        checkpoint.to_text(), key=VerifierKey(checkpoint.origin, key.public_bytes), sign=key.sign
    )
    return Mark.read(note, public=key.public_bytes, verify=verify)


@pytest.fixture
def kept(tmp_path: Path) -> KeptCheckpoints:
    """Keep checkpoints in a new folder, and a second mark elsewhere."""
    (tmp_path / "keys").mkdir()
    return KeptCheckpoints(
        tmp_path / "audit",
        tmp_path / "keys" / "audit.checkpoint",
        lambda note: Mark.read(note, public=KEY.public_bytes, verify=verify),
    )


def test_nothing_is_kept_at_first(kept: KeptCheckpoints) -> None:
    """A new service has no mark, and that is no fault."""
    assert (kept.marks(), kept.published()) == ([], [])


def test_the_mark_is_never_lowered(kept: KeptCheckpoints) -> None:
    """A writer that is behind leaves the further mark alone; a later epoch is further, however small it is."""
    for one in (mark(10), mark(30), mark(20)):
        kept.keep(one, now=NOW)
    assert [found.place for found in kept.marks()] == [(1, 30)] * 2
    kept.keep(mark(5, epoch=2), now=NOW)
    kept.keep(mark(99), now=NOW)
    assert [found.place for found in kept.marks()] == [(2, 5)] * 2


def test_either_place_is_enough(kept: KeptCheckpoints) -> None:
    """When one of the two folders is lost, the other still has the mark."""
    kept.keep(mark(10), now=NOW)
    kept.mark_file.unlink()
    assert [found.place for found in kept.marks()] == [(1, 10)]


def test_a_mark_of_somebody_else_s_stops_a_start(kept: KeptCheckpoints) -> None:
    """What the audit key has not signed is neither believed nor passed over."""
    kept.keep(mark(10), now=NOW)
    for forged in (
        mark(5, key=AuditKey(Ed25519PrivateKey.generate())).note,
        "",
        "\xff",
        kept.marks()[0].note[:-9],
    ):
        kept.mark_file.write_text(forged, encoding="latin-1" if forged == "\xff" else "utf-8")
        with pytest.raises(StartupError, match="is no checkpoint of this audit key"):
            kept.marks()


def test_a_read_only_key_folder_is_left_alone(kept: KeptCheckpoints) -> None:
    """KEYS_DIR may be a read-only mount: then the mark is in DATA_DIR alone."""
    read_only = replace(kept, second=Path("/sys/audit.checkpoint"))  # where root cannot write either
    read_only.keep(mark(10), now=NOW)
    assert [found.place for found in read_only.marks()] == [(1, 10)]


def test_publication_is_every_ten_seconds_or_a_heartbeat(kept: KeptCheckpoints) -> None:
    """A growing log is published every 10 s, and one that stands still every 60 s, however often it is looked at."""
    for second in range(61):
        kept.keep(mark(1 + min(second, 20)), now=NOW + timedelta(seconds=second))
    assert [(one.time - NOW).seconds for one in kept.published()] == [0, 10, 20]
    for second in range(61, 200):
        kept.keep(mark(21), now=NOW + timedelta(seconds=second))
    assert [(one.time - NOW).seconds for one in kept.published()] == [0, 10, 20, 80, 140]


def test_a_clock_that_was_put_back_delays_nothing(kept: KeptCheckpoints) -> None:
    """An hour back is published at once and then at the usual pace, and what is named for the future stays."""
    kept.keep(mark(1), now=NOW + timedelta(hours=1))
    for second in range(25):
        kept.keep(mark(2 + second), now=NOW + timedelta(seconds=second))
    assert len(kept.published()) == 4


def test_the_history_is_thinned_and_bounded(kept: KeptCheckpoints) -> None:
    """All of the last hour stays, then one an hour for a month, then one a day; each still reads as it was published."""
    at, size = NOW, 0
    for step in [timedelta(hours=6)] * 160 + [timedelta(minutes=5)] * 48:
        at, size = at + step, size + 1
        kept.keep(mark(size), now=at)
    ages = [at - one.time for one in kept.published()]
    assert sum(age <= timedelta(hours=1) for age in ages) == 13
    assert sum(timedelta(hours=1) < age <= timedelta(hours=4) for age in ages) == 3
    days = [one.time.date() for one in kept.published() if at - one.time > timedelta(days=32)]
    assert len(days) == len(set(days)) >= 7
    assert [kept.read_published(one).place for one in kept.published()] == [
        one.place for one in kept.published()
    ]
    assert {path.name for path in kept.history.iterdir() if path.name.startswith(".")} == {".checkpoint.lock"}


def test_a_mark_that_dies_with_its_container_is_told(kept: KeptCheckpoints, tmp_path: Path) -> None:
    """Nothing is said while a folder stays; with KEYS_DIR read-only and DATA_DIR in memory, or empty under a log, what to do."""
    locked = replace(kept, second=tmp_path / "away" / "audit.checkpoint")
    in_memory = replace(locked, folder=Path("/dev/shm/authsvc-test/audit"))
    assert replace(in_memory, second=kept.second).weakness(log_size=9) is None
    assert replace(in_memory, second=None).weakness(log_size=9) is None
    told = str(in_memory.weakness(log_size=0))
    assert "tmpfs" in told
    assert "put AUTHSVC_DATA_DIR on a volume" in told
    assert "has none, though the log has 9 entries" in str(
        replace(locked, folder=Path("/proc/nothing")).weakness(log_size=9)
    )
    assert replace(locked, folder=Path("/proc/nothing")).weakness(log_size=0) is None


def test_a_path_s_file_system_is_that_of_the_mount_above_it() -> None:
    """The nearest mount counts, whether the path is there yet or not."""
    assert file_system_of(Path("/proc/self")) == "proc"
    assert file_system_of(Path("/dev/shm/nothing/such")) == "tmpfs"
    assert file_system_of(Path("/nothing-such")) == file_system_of(Path("/"))
