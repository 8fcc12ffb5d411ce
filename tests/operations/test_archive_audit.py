import stat
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psycopg
import pytest

from authsvc.adapters.postgres.log import append_batch, compose_batch, compose_line
from authsvc.config import Settings
from authsvc.core.errors import ConflictError
from authsvc.core.event import Event, Requester
from authsvc.core.kind import Kind
from authsvc.core.principal import SYSTEM
from authsvc.core.tiles import decode_bundle, encode_bundle, tiles_at
from authsvc.core.verified import Known, TamperedError
from authsvc.operations.archive_audit import archive_audit
from authsvc.operations.read_checkpoint import Trust
from authsvc.operations.verify_archive import verify_archive
from authsvc.wiring import load_keys, make_seal
from tests.generated import SMALL, Generated, fill, generate

DAMAGES = 60


@pytest.fixture
async def log(settings: Settings) -> Generated:
    """Fill this test's log."""
    return await fill(settings)


def files(folder: Path) -> dict[str, bytes]:
    """Every file of an archive."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def grow(settings: Settings, log: Generated, events: int) -> None:
    """Append events to the log, as one batch."""
    assert settings.database_url is not None
    _, keys = load_keys(settings, create=False)
    now = datetime.now(UTC)
    lines = [
        compose_line(Event(Kind.SERVICE_STARTED, now, f"more{number}", Requester(SYSTEM)))
        for number in range(events)
    ]
    batch = compose_batch(log.batches[-1].after, lines, epoch=log.epoch, seal=make_seal(keys))
    log.batches.append(batch)
    async with await psycopg.AsyncConnection.connect(settings.database_url.get_secret_value()) as connection:
        await append_batch(connection, batch, log.epoch)


async def test_an_archive_proves_the_log_without_the_database(
    log: Generated, superuser_url: str, tmp_path: Path
) -> None:
    """An archive verifies from its files alone, holds every known checkpoint, and is for its owner's eyes only."""
    folder = tmp_path / "archive"
    proved = archive_audit(superuser_url, folder, log.trust)
    known = [Known(1, batch.after.size, batch.root) for batch in log.batches]
    again = verify_archive(folder, log.trust, known=known)
    assert again.end == proved.end == SMALL.events
    assert again.checkpoint.root == log.batches[-1].root
    assert again.verified.decisions > 400
    assert len(again.verified.agreed) == len(log.batches)
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


async def test_an_archive_is_brought_up_to_date(
    settings: Settings, log: Generated, superuser_url: str, tmp_path: Path
) -> None:
    """Archiving again changes nothing; a log that has grown is archived as if it were for the first time."""
    folder, whole = tmp_path / "archive", tmp_path / "whole"
    archive_audit(superuser_url, folder, log.trust)
    first = files(folder)
    archive_audit(superuser_url, folder, log.trust)
    assert files(folder) == first
    for events in (1, 200, 300):
        await grow(settings, log, events)
        archive_audit(superuser_url, folder, log.trust)
    archive_audit(superuser_url, whole, log.trust)
    assert files(folder) == files(whole)


async def test_an_archive_ends_after_a_month(log: Generated, superuser_url: str, tmp_path: Path) -> None:
    """With a bound, everything from before it is in the archive, up to the end of a batch; with none so old, nothing is made."""
    half = log.batches[20].lines[3].index.time
    proved = archive_audit(superuser_url, tmp_path / "half", log.trust, until=half)
    assert proved.end == log.batches[20].after.size
    with pytest.raises(ConflictError):
        archive_audit(superuser_url, tmp_path / "none", log.trust, until=datetime(2020, 1, 1, tzinfo=UTC))


async def test_a_damaged_file_is_found(log: Generated, superuser_url: str, tmp_path: Path) -> None:
    """A byte changed, cut off or added in any file but the manifest, or the file removed, is a TamperedError and nothing else."""
    folder, pick = tmp_path / "archive", Random(4)
    archive_audit(superuser_url, folder, log.trust)
    names = sorted(set(files(folder)) - {"manifest.json"})
    for _ in range(DAMAGES):
        path = folder / pick.choice(names)
        whole = path.read_bytes()
        at = pick.randrange(len(whole))
        flipped = bytes([whole[at] ^ 1 << pick.randrange(8)])
        damaged = pick.choice(
            (whole[:at] + flipped + whole[at + 1 :], whole[:at], whole[:at] + b"\0" + whole[at:], None)
        )
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        with pytest.raises(TamperedError):
            verify_archive(folder, log.trust)
        path.write_bytes(whole)
    verify_archive(folder, log.trust)


async def test_the_first_of_two_faults_is_told(log: Generated, superuser_url: str, tmp_path: Path) -> None:
    """Of an entry that is another one and a later one that is none, in one file, the first is named."""
    folder = tmp_path / "archive"
    archive_audit(superuser_url, folder, log.trust)
    place = next(tiles_at(len(log.log_rows()), level=0))
    path = folder / place.bundle_path
    entries = list(decode_bundle(path.read_bytes(), place.width))
    entries[3], entries[7] = entries[4], b"no entry"
    path.write_bytes(encode_bundle(entries))
    with pytest.raises(TamperedError) as told:
        verify_archive(folder, log.trust)
    assert told.value.seq == 3


async def test_a_bad_log_does_not_take_a_good_archive_s_place(
    settings: Settings, log: Generated, superuser_url: str, tmp_path: Path
) -> None:
    """When the log that an archive is to follow was changed, the archive stays what it was."""
    folder = tmp_path / "archive"
    archive_audit(superuser_url, folder, log.trust)
    before = verify_archive(folder, log.trust)
    await grow(settings, log, 5)
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        tables = connection.execute("SELECT DISTINCT tableoid::regclass::text FROM log").fetchall()
        for (table,) in tables:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
        last = log.batches[-1].after.size - 1
        connection.execute("UPDATE log SET entry = entry || ' ' WHERE seq = %s", [last])
    with pytest.raises(TamperedError):
        archive_audit(superuser_url, folder, log.trust)
    assert verify_archive(folder, log.trust).checkpoint == before.checkpoint


async def test_another_s_folder_is_left_alone(log: Generated, superuser_url: str, tmp_path: Path) -> None:
    """A folder that holds something else, or an archive that another key has signed, is not written to."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/love.txt").write_text("…")
    with pytest.raises(ConflictError):
        archive_audit(superuser_url, tmp_path / "letters", log.trust)
    archive_audit(superuser_url, tmp_path / "archive", log.trust)
    stranger = Trust(bytes(32))
    with pytest.raises(TamperedError):
        archive_audit(superuser_url, tmp_path / "archive", stranger)
    with pytest.raises(TamperedError):
        verify_archive(tmp_path / "archive", stranger)


def test_generated_logs_are_the_same_for_a_seed(key_template: Path) -> None:
    """The generator's entries depend on its seed and start alone."""
    one, other = generate(key_template), generate(key_template)
    assert [row.seq for row in one.log_rows()] == [row.seq for row in other.log_rows()]
    assert one.batches[3].lines[2].event.nonce == other.batches[3].lines[2].event.nonce
    assert one.verify(one.batch_rows(), one.log_rows()).decisions > 400
