"""The life of keys: on several nodes with folders of their own, and up to the ends of their certificates."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from authsvc.adapters.keys.folder import KeyFolder
from authsvc.adapters.metrics import exposition
from authsvc.adapters.postgres.services import list_key_records
from authsvc.config import Settings
from authsvc.core.errors import ConflictError
from authsvc.core.records import KeyRecord, KeyState
from authsvc.core.service import Algorithm, HeaderProfile, Service
from authsvc.faces.cli.console import at_console
from authsvc.operations import rotate_keys as rotation
from authsvc.operations.administer_services import create_service
from authsvc.operations.advise import State
from authsvc.operations.bootstrap import FirstStart, bootstrap
from authsvc.operations.deps import Deps
from authsvc.operations.diagnose import diagnose
from authsvc.operations.export_keys import export_bundle, export_jwks, list_keys
from authsvc.operations.keep_keys import activate_held_keys, report_keys
from authsvc.operations.renew_keys import RENEW_BEFORE, observe_keys, renew_keys
from authsvc.operations.rotate_keys import activate_key, rotate_keys
from authsvc.wiring import open_checkup, open_deps
from tests.clock import Clock
from tests.world import ADMIN, ADMIN_PASSWORD, SERVICE

A, B = "a" * 16, "b" * 16
TWO_YEARS = timedelta(days=730)


@asynccontextmanager
async def _opened(settings: Settings, clock: Clock) -> AsyncIterator[Deps]:
    """Open a node without its background rounds, which the tests go themselves."""
    async with open_deps(settings, durable=False, clock=clock) as deps:
        await bootstrap(deps, FirstStart(ADMIN, [SERVICE], ADMIN_PASSWORD))
        yield deps


@pytest.fixture
async def here(settings: Settings, clock: Clock) -> AsyncIterator[Deps]:
    """The node `a`, where keys are rotated."""
    async with _opened(settings, clock) as deps:
        yield deps


@pytest.fixture
async def there(settings: Settings, clock: Clock, here: Deps, tmp_path: Path) -> AsyncIterator[Deps]:
    """The node `b`, with a copy of the folder as it was before."""
    del here
    shutil.copytree(settings.keys_path, tmp_path / "there")
    async with _opened(settings.model_copy(update={"keys_dir": tmp_path / "there"}), clock) as deps:
        yield deps


@pytest.fixture
def aging(settings: Settings, clock: Clock) -> Settings:
    """Settings with keys whose certificates end in 50 days."""
    shutil.rmtree(settings.keys_path)
    made = clock() - TWO_YEARS + timedelta(days=50)
    KeyFolder(settings.keys_path).create_missing(algorithms=set(Algorithm), now=made)
    return settings


@pytest.fixture
async def old(aging: Settings, clock: Clock) -> AsyncIterator[Deps]:
    """A node whose keys have 50 days left."""
    async with _opened(aging, clock) as deps:
        yield deps


async def _round(*nodes: tuple[str, Deps]) -> None:
    """Let each node say what it holds, and then try to activate what is new."""
    for id_, deps in nodes:
        await report_keys(deps, id_=id_, node=f"node-{id_[0]}")
    for _, deps in nodes:
        await activate_held_keys(deps)


async def _records(deps: Deps, stage: KeyState) -> list[KeyRecord]:
    async with deps.database.read() as read:
        return [record for record in await list_key_records(read) if record.stage is stage]


async def _active(deps: Deps) -> str:
    [record] = [r for r in await _records(deps, KeyState.ACTIVE) if r.algorithm is Algorithm.ES256]
    return record.id


async def _missing(deps: Deps, id_: str) -> object:
    [missing] = [key["missing_on"] for key in await list_keys(deps) if key["id"] == id_]
    return missing


async def test_a_key_signs_once_every_live_node_holds_it(
    here: Deps, there: Deps, settings: Settings, tmp_path: Path
) -> None:
    """As long as one folder lacks the key, all nodes sign with the one that all have; the list and the doctor name the node."""
    nodes = (A, here), (B, there)
    await _round(*nodes)
    first = await _active(here)
    made = (await rotate_keys(here, at_console(), Algorithm.ES256, "")).key
    assert made.stage is KeyState.PUBLISHED
    await _round(*nodes)
    assert await _active(there) == first
    assert await _missing(here, made.id) == ["node-b"]
    told = [one.what for one in await diagnose(open_checkup(settings)) if one.about == "signing keys"]
    assert len(told) == 1
    assert "node-b" in told[0]
    shutil.copytree(settings.keys_path, tmp_path / "there", dirs_exist_ok=True)
    await _round(*nodes)
    assert await _active(there) == made.id
    assert await _missing(there, made.id) == []
    for deps in (here, there):
        assert deps.keys.find(made.id, now=deps.now()) is not None


async def test_a_file_that_is_not_right_is_not_held(
    here: Deps, there: Deps, settings: Settings, tmp_path: Path
) -> None:
    """A copy that others may read, or that is half there, keeps the key waiting, says why, and harms no key that signs."""
    first = await _active(here)
    await _round((A, here), (B, there))
    made = (await rotate_keys(here, at_console(), Algorithm.ES256, "")).key
    [source] = settings.keys_path.glob(f"token-*-{made.id[:8]}.key.pem")
    copy = tmp_path / "there" / source.name
    copy.write_bytes(source.read_bytes())
    copy.chmod(0o644)
    for says in ("chmod 600", "cert.pem is missing"):
        with capture_logs() as logs:
            await _round((A, here), (B, there))
        assert [says in log["why"] for log in logs if log["event"] == "keys.not_held"] == [True]
        assert await _missing(here, made.id) == ["node-b"]
        assert await _active(there) == first
        assert there.keys.find(first, now=there.now()) is not None
        copy.chmod(0o600)


@pytest.mark.parametrize("seconds", [-31, 31])
async def test_a_node_that_is_gone_is_not_waited_for(
    here: Deps, there: Deps, superuser_url: str, seconds: int
) -> None:
    """Who has not been seen for 30 s holds nothing up, not even if the database's clock was set back meanwhile."""
    await _round((A, here), (B, there))
    made = (await rotate_keys(here, at_console(), Algorithm.ES256, "")).key
    async with await psycopg.AsyncConnection.connect(superuser_url) as connection:
        await connection.execute(
            "UPDATE nodes SET seen_at = now() + make_interval(secs => %s) WHERE id = %s", [seconds, B]
        )
    await _round((A, here))
    assert await _active(here) == made.id
    await renew_keys(here)
    async with here.database.hot_read() as connection:
        left = await (await connection.execute("SELECT id FROM nodes")).fetchall()
    assert left == [(A,)]


async def test_the_newest_of_several_signs(here: Deps, clock: Clock) -> None:
    """Of keys that were made one after another the newest signs, and is not taken back by the older ones."""
    await _round((A, here))
    made = []
    for _ in range(3):
        clock.advance(timedelta(seconds=1))
        made.append((await rotate_keys(here, at_console(), Algorithm.ES256, "")).key.id)
    await _round((A, here))
    await _round((A, here))
    assert await _active(here) == made[-1]
    assert {record.id for record in await _records(here, KeyState.RETIRED)} == set(made[:2])


async def test_what_the_operator_took_back_stays_back(here: Deps) -> None:
    """A predecessor that is activated again is not replaced by the key that has already signed."""
    first = await _active(here)
    made = (await rotate_keys(here, at_console(), Algorithm.ES256, "")).key
    await _round((A, here))
    assert await _active(here) == made.id
    await activate_key(here, at_console(), first)
    await _round((A, here))
    assert await _active(here) == first


async def test_a_key_is_not_activated_by_hand_while_a_node_lacks_it(
    here: Deps, there: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator is told which node to copy the folder to, and nothing changes."""
    monkeypatch.setattr(rotation, "PATIENCE", 1)
    await _round((A, here), (B, there))
    first = await _active(here)
    made = (await rotate_keys(here, at_console(), Algorithm.ES256, "")).key
    with pytest.raises(ConflictError, match="node-b"):
        await activate_key(here, at_console(), made.id)
    assert await _active(here) == first


async def test_a_shared_key_is_renewed_once(old: Deps, aging: Settings, clock: Clock) -> None:
    """Before its certificate ends, and by one of the nodes that try; the new one is backdated, and lasts beyond all tokens."""
    await _round((A, old))
    first = await _active(old)
    async with _opened(aging, clock) as other:
        await asyncio.gather(*(renew_keys(deps) for deps in (old, other, old)))
    await renew_keys(old)
    [new] = [record for record in await _records(old, KeyState.PUBLISHED) if record.is_new]
    await _round((A, old))
    assert await _active(old) == new.id != first
    key = old.keys.find(new.id, now=clock())
    assert key is not None
    assert key.certificate.not_valid_before_utc <= clock() - timedelta(hours=1)
    assert old.keys.ends_at(key) > clock() + RENEW_BEFORE
    await renew_keys(old)
    assert not [record for record in await _records(old, KeyState.PUBLISHED) if record.is_new]


async def test_a_predecessor_that_ends_stops_no_export(old: Deps, clock: Clock) -> None:
    """Once the certificate of the key that was renewed has ended, registries are given its successor alone."""
    await renew_keys(old)
    await _round((A, old))
    assert len((await export_jwks(old, SERVICE))["keys"]) == 2
    clock.advance(timedelta(days=51))
    assert [key["kid"] for key in (await export_jwks(old, SERVICE))["keys"]] == [await _active(old)]
    assert await export_bundle(old, SERVICE)


async def test_keys_with_time_left_are_not_renewed(here: Deps) -> None:
    """Nothing is made before it is due."""
    files = set(here.keys.keys.token_keys)
    await renew_keys(here)
    assert await _records(here, KeyState.PUBLISHED) == []
    assert set(here.keys.keys.token_keys) == files


def _metrics(name: str) -> Iterator[str]:
    return (line for line in exposition().decode().splitlines() if line.startswith(name))


async def test_a_read_only_folder_says_what_to_do(
    old: Deps, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing fails and nothing changes; the log says what to do, and the metrics that a key is due and when it ends."""
    first = await _active(old)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.link", refuse)
    with capture_logs() as logs:
        await renew_keys(old)
    [told] = [log for log in logs if log["event"] == "keys.not_renewed"]
    assert "keys rotate" in told["do"]
    await observe_keys(old)
    assert list(_metrics("authsvc_signing_keys_due")) == ["authsvc_signing_keys_due 1.0"]
    end = (clock() + timedelta(days=50)).timestamp()
    [line] = _metrics('authsvc_certificate_end_time_seconds{algorithm="ES256",service=""}')
    assert float(line.split()[-1]) == end
    assert await _active(old) == first
    monkeypatch.undo()
    await renew_keys(old)
    await observe_keys(old)
    assert list(_metrics("authsvc_signing_keys_due")) == ["authsvc_signing_keys_due 0.0"]


async def test_registries_that_know_keys_by_name_get_theirs_in_time(old: Deps, aging: Settings) -> None:
    """A renewed key is published beside the old, and signs only when the operator says so; the doctor says how."""
    service = Service("old.test", "authsvc", Algorithm.RS256, HeaderProfile.THUMBPRINT_KID)
    await create_service(old, at_console(), service)
    await renew_keys(old)
    await _round((A, old))
    [new] = [record for record in await _records(old, KeyState.PUBLISHED) if record.is_new]
    assert new.algorithm is Algorithm.RS256
    told = [one for one in await diagnose(open_checkup(aging)) if one.about == "signing keys"]
    assert [one.state for one in told] == [State.WARN]
    assert f"keys activate {new.id}" in told[0].what
    await activate_key(old, at_console(), new.id)
    assert new.id in {record.id for record in await _records(old, KeyState.ACTIVE)}


async def test_a_key_of_ones_own_is_left_to_the_operator(old: Deps, aging: Settings, clock: Clock) -> None:
    """A registry that holds one key would refuse the next, so it is shown when it ends, and not renewed."""
    made = clock() - TWO_YEARS + timedelta(days=50)
    KeyFolder(aging.keys_path).create_token_key(Algorithm.ES256, service="zot.test", now=made)
    async with _opened(aging, clock) as deps:
        await create_service(deps, at_console(), Service("zot.test", "authsvc", own_key=True))
        await renew_keys(deps)
        assert {record.label for record in await _records(deps, KeyState.PUBLISHED)} == {""}
        await observe_keys(deps)
    [line] = _metrics('authsvc_certificate_end_time_seconds{algorithm="ES256",service="zot.test"}')
    assert float(line.split()[-1]) == (clock() + timedelta(days=50)).timestamp()


async def test_a_key_is_not_renewed_for_nothing(settings: Settings, clock: Clock) -> None:
    """Where the authority ends, a new key would end with it, so that none is made again and again."""
    shutil.rmtree(settings.keys_path)
    folder = KeyFolder(settings.keys_path)
    folder.create_missing(algorithms={Algorithm.ES256}, now=clock() - timedelta(days=20 * 365))
    folder.create_token_key(Algorithm.ES256, service=None, now=clock())
    async with _opened(settings, clock) as deps:
        [active] = await _records(deps, KeyState.ACTIVE)
        assert active.not_after - clock() < RENEW_BEFORE
        await renew_keys(deps)
        assert await _records(deps, KeyState.PUBLISHED) == []
