"""Choosing passwords over the API, and signing in with what was chosen."""

import unicodedata

import psycopg
import pytest
from passlib.hash import argon2

from authsvc.core.errors import InvalidInputError, NotFoundError
from authsvc.faces.cli.console import at_console
from authsvc.operations.administer_users import reset_password
from tests.world import ADMIN_PASSWORD, API, World, password_of


async def sign_in(world: World, name: str, password: str) -> int:
    """Return the status of a token request with a password."""
    return (await world.post(grant_type="password", username=name, password=password)).status_code


@pytest.mark.parametrize(
    "password", ["p" * 7, "password", "Password1", "alice123", "wonderland", "docker123", "registry.test"]
)
async def test_a_password_that_is_tried_first_is_refused_everywhere(world: World, password: str) -> None:
    """Creating a user, setting a password and resetting one on the console refuse it, pointing at it and not repeating it."""
    new = {"name": "alice", "email": "wonderland@example.com", "password": password}
    refused = await world.api("POST", "/users", new, expect=422)
    assert [error["pointer"] for error in refused["errors"]] == ["/password"]
    assert password not in refused["errors"][0]["detail"]
    await world.api("POST", "/users", new | {"password": password_of("alice")}, expect=201)
    await world.api("PUT", "/users/alice/password", {"password": password}, expect=422)
    with pytest.raises(InvalidInputError):
        await reset_password(world.deps, at_console(), "alice", password)
    assert await sign_in(world, "alice", password_of("alice")) == 200
    assert await sign_in(world, "alice", password) == 401


async def test_a_long_password_of_any_script_counts_whole(world: World) -> None:
    """Every character of a long one counts, and so does its case; equivalent spellings of a letter are one."""
    await world.add_user("alice")
    password = "Žluťoučký kůň 秘密 🐇\0" * 30
    await world.api("PUT", "/users/alice/password", {"password": password}, expect=204)
    assert await sign_in(world, "alice", password) == 200
    assert await sign_in(world, "alice", unicodedata.normalize("NFD", password)) == 200
    for wrong in (password[:-1], password + "x", password.swapcase(), password[:72], password[1:]):
        assert await sign_in(world, "alice", wrong) == 401


async def test_a_password_beyond_all_bounds_is_wrong_and_no_more(world: World) -> None:
    """What could never have been set is refused as any wrong password, also where its normal form grows."""
    await world.add_user("alice")
    for wrong in ("\U0001d160" * 1000, "x" * 5000, "秘" * 1024):
        assert await sign_in(world, "alice", wrong) == 401


async def test_ones_own_password_is_changed_with_the_old_one_only(world: World) -> None:
    """The old password signs the request; a token of one's own, limited or not, does not do."""
    await world.add_user("alice")
    token = await world.add_token("alice")
    new = {"password": "another-password"}
    for by, status in ((token, 403), ("wrong-password", 401), (password_of("alice"), 204)):
        answer = await world.client.put(f"{API}/users/alice/password", json=new, auth=("alice", by))
        assert answer.status_code == status
    assert await sign_in(world, "alice", "another-password") == 200


async def test_a_hash_that_costs_too_little_is_made_anew_at_the_next_login(
    world: World, superuser_url: str
) -> None:
    """The stored hash gets today's parameters, once, while the password and what was obtained with it stay."""
    await world.add_user("alice")
    refresh = (await world.ask_as("alice", offline_token="true")).json()["refresh_token"]
    cheap = argon2.using(type="ID", rounds=1, memory_cost=64, parallelism=1).hash(password_of("alice"))
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("UPDATE users SET password_hash = %s WHERE name = 'alice'", [cheap])

        def stored() -> str:
            row = connection.execute("SELECT password_hash FROM users WHERE name = 'alice'").fetchone()
            return "" if row is None else str(row[0])

        # Anything that changes alice makes her forgotten, as a restart does.
        await world.api("PATCH", "/users/alice", {"display_name": "A"}, expect=200)
        world.deps.right_passwords._until.clear()
        assert await sign_in(world, "alice", "wrong-password") == 401
        assert stored() == cheap
        assert await sign_in(world, "alice", password_of("alice")) == 200
        renewed = stored()
        assert "$argon2id$v=19$m=19456,t=2,p=1$" in renewed
        assert await sign_in(world, "alice", password_of("alice")) == 200
        assert stored() == renewed
    answer = await world.post(grant_type="refresh_token", refresh_token=refresh)
    assert answer.status_code == 200


async def test_the_console_resets_nobody_s_password(world: World) -> None:
    """A name that does not exist is told before anything is hashed."""
    with pytest.raises(NotFoundError):
        await reset_password(world.deps, at_console(), "nobody", ADMIN_PASSWORD)
