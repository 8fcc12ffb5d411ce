"""The key that machine credentials are hashed under: losing it is noticed, and there is a way to go on."""

from pathlib import Path

import psycopg
import pytest

from authsvc.config import Settings
from authsvc.core.errors import StartupError
from authsvc.faces.cli.console import at_console
from authsvc.operations.revoke_credentials import revoke_credentials
from authsvc.wiring import open_deps, owner_url
from tests.clock import Clock
from tests.world import World, password_of


def lose_key(settings: Settings) -> Path:
    """Replace the key as a start does that finds none."""
    path = settings.keys_path / "hmac.key"
    path.write_bytes(b"another key".ljust(32, b"!"))
    return path


async def test_another_key_than_credentials_were_made_with_stops_the_start(
    world: World, settings: Settings, clock: Clock
) -> None:
    """Nothing is opened, the message names the file and the way out, and with the old file everything goes on."""
    await world.add_user("alice")
    token = await world.add_token("alice")
    path = settings.keys_path / "hmac.key"
    kept = path.read_bytes()
    lose_key(settings)
    with pytest.raises(StartupError, match=r"hmac\.key .*restore.*authsvc admin revoke-credentials"):
        async with open_deps(settings, durable=False, clock=clock):
            pytest.fail("it opened")
    path.write_bytes(kept)
    async with open_deps(settings, durable=False, clock=clock):
        pass
    assert (await world.ask(by=("alice", token))).status_code == 200


async def test_without_the_old_key_every_credential_is_revoked_and_new_ones_work(
    world: World, settings: Settings, clock: Clock, superuser_url: str
) -> None:
    """Each goes with its event, passwords stay, and the new key is then the one that a start wants."""
    await world.add_user("alice")
    await world.add_project("acme")
    token, secret = await world.add_token("alice"), await world.add_robot("acme", "ci")
    session = (await world.ask(by=("alice", token), offline_token="true")).json()["refresh_token"]
    lose_key(settings)
    async with open_deps(settings, durable=False, clock=clock, any_hmac_key=True) as deps:
        owner = settings.owner_database_url
        assert owner is not None
        with pytest.raises(StartupError, match="AUTHSVC_OWNER_DATABASE_URL"):
            await revoke_credentials(
                deps,
                at_console().by,
                lambda: owner_url(settings.model_copy(update={"owner_database_url": None})),
            )
        assert await revoke_credentials(deps, at_console().by, owner.get_secret_value) == 3
        assert await revoke_credentials(deps, at_console().by, owner.get_secret_value) == 0
    async with open_deps(settings, durable=False, clock=clock):
        pass
    revoked = [entry["state"]["id"] for _, entry in await world.events(kind="credential.revoked")]
    assert set(revoked) == {text[5:21] for text in (token, secret, session)}
    for by, text in (("alice", token), ("acme+ci", secret)):
        assert (await world.ask(by=(by, text))).status_code == 401
    assert (await world.ask(by=("alice", password_of("alice")))).status_code == 200
    with psycopg.connect(superuser_url) as connection:
        assert connection.execute("SELECT count(*) FROM credentials").fetchone() == (0,)


async def test_the_fingerprint_says_nothing_about_the_key(
    world: World, settings: Settings, superuser_url: str
) -> None:
    """What is stored is neither the key nor a digest of a credential."""
    with psycopg.connect(superuser_url) as connection:
        rows = connection.execute("SELECT fingerprint FROM hmac_key").fetchall()
    assert rows == [(world.deps.digest.fingerprint,)]
    assert rows[0][0] != (settings.keys_path / "hmac.key").read_bytes()
    assert rows[0][0] != world.deps.digest.digest("", purpose="credential")
