"""Credentials that can no longer be used go away, in the log as in the tables."""

from datetime import timedelta

import psycopg
import pytest

from authsvc.core.replay import Policy
from authsvc.operations import run_background
from authsvc.operations.run_background import delete_dead_credentials
from tests.clock import Clock
from tests.world import World, password_of


def _stored(superuser_url: str) -> set[str]:
    with psycopg.connect(superuser_url) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM credentials")}


async def _replayed(world: World) -> set[str]:
    policy = Policy()
    policy.fold(await world.events())
    return set(policy.credentials)


async def test_dead_credentials_are_deleted_and_live_ones_stay(
    world: World, clock: Clock, superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has expired, with the logins made with it, and logins of an old password are deleted, each with its event."""
    monkeypatch.setattr(run_background, "MAX_CLEANED", 2)
    await world.add_user("alice")
    await world.add_project("acme")
    soon = (clock() + timedelta(hours=1)).isoformat()
    dead = [await world.add_token("alice", expires_at=soon) for _ in range(3)]
    dead.append(await world.add_robot("acme", "ci", expires_at=soon))
    by_token = await world.ask(by=("alice", dead[0]), offline_token="true")
    by_password = await world.ask_as("alice", offline_token="true")
    dead += [by_token.json()["refresh_token"], by_password.json()["refresh_token"]]
    live = [await world.add_token("alice"), await world.add_robot("acme", "other")]
    await delete_dead_credentials(world.deps)
    assert _stored(superuser_url) == {text[5:21] for text in dead + live}
    await world.api("PUT", "/users/alice/password", {"password": password_of("alice")}, expect=204)
    live.append((await world.ask_as("alice", offline_token="true")).json()["refresh_token"])
    clock.advance(timedelta(hours=1))
    await delete_dead_credentials(world.deps)
    assert _stored(superuser_url) == {text[5:21] for text in live} == await _replayed(world)
    revoked = [
        entry["state"]["id"] for _, entry in await world.events() if entry["kind"] == "credential.revoked"
    ]
    assert sorted(revoked) == sorted(text[5:21] for text in dead)


async def test_a_deleted_service_takes_its_refresh_tokens_along(world: World, superuser_url: str) -> None:
    """They go from the tables and from what the log alone rebuilds; other services' and other credentials stay."""
    await world.add_user("alice")
    await world.api("POST", "/services", {"name": "other.test"}, expect=201)
    kept = [await world.add_token("alice")]
    by = ("alice", password_of("alice"))
    kept.append((await world.ask(by=by, offline_token="true")).json()["refresh_token"])
    await world.ask(by=by, service="other.test", offline_token="true")
    assert len(_stored(superuser_url)) == 3
    await world.api("DELETE", "/services/other.test", expect=204)
    assert _stored(superuser_url) == {text[5:21] for text in kept} == await _replayed(world)
