"""Token protocol A3: attempts that fail, and what is behind the realm failing (items 66 to 68, and 72)."""

from datetime import timedelta

import psycopg
import pytest

from authsvc.operations.throttle import FAILURES, WRONG_PASSWORDS
from tests.clock import Clock
from tests.faces.hashing import counting
from tests.faces.realm import Realm, assert_error, basic, body_of, password_form
from tests.faces.registry import decode_part
from tests.world import SERVICE, World, password_of


@pytest.mark.item(66)
async def test_one_wrong_password_counts_once_however_often_it_is_sent(realm: Realm) -> None:
    """A client tries POST and then GET, and `docker manifest inspect` four times: that locks nobody out."""
    async with counting(realm) as (client, hasher):
        for _ in range(WRONG_PASSWORDS + 5):
            posted = await client.post("/token", data=password_form("alice", "wrong"))
            got = await client.get("/token", params={"service": SERVICE}, headers=basic("alice", "wrong"))
            assert (posted.status_code, got.status_code) == (401, 401)
        assert hasher.asked == 1


@pytest.mark.item(66, 67)
@pytest.mark.parametrize("user", ["alice", "nobody"])
async def test_many_wrong_passwords_are_429_for_a_minute(realm: Realm, user: str) -> None:
    """Guessing is stopped for known and unknown accounts alike, with when to come back; others are not disturbed."""
    async with counting(realm) as (client, hasher):
        for number in range(WRONG_PASSWORDS):
            headers = basic(user, f"wrong {number}")
            assert_error(await client.get("/token", params={"service": SERVICE}, headers=headers), 401)
        throttled = await client.get("/token", params={"service": SERVICE}, headers=basic(user, "another"))
        assert_error(throttled, 429)
        assert 1 <= int(throttled.headers["retry-after"]) <= 60
        assert hasher.asked == WRONG_PASSWORDS
        posted = await client.post("/token", data=password_form(user.upper(), "yet another"))
        assert_error(posted, 429)
        assert body_of(posted)["error"]
        assert_error(await client.get("/token", params={"service": SERVICE}, headers=basic("olga", "x")), 401)
        realm.clock.advance(timedelta(seconds=61))
        assert_error(
            await client.get("/token", params={"service": SERVICE}, headers=basic(user, "late")), 401
        )


@pytest.mark.item(66)
async def test_machine_credentials_are_not_locked_out_with_a_password(realm: Realm) -> None:
    """A guesser of alice's password does not stop her pipelines."""
    personal = await realm.world.add_token("alice", label="x")
    async with counting(realm) as (client, _):
        for number in range(WRONG_PASSWORDS + 1):
            await client.get("/token", params={"service": SERVICE}, headers=basic("alice", f"wrong {number}"))
        response = await client.get("/token", params={"service": SERVICE}, headers=basic("alice", personal))
        assert response.status_code == 200


@pytest.mark.item(67)
async def test_an_address_that_fails_without_end_is_429(realm: Realm) -> None:
    """Refused credentials of any kind are turned away once an address has sent too many, and no longer logged one by one."""
    before = await realm.count_events()
    form = {"grant_type": "refresh_token", "service": SERVICE}
    async with counting(realm) as (client, _):
        for number in range(FAILURES):
            wrong = await client.post("/token", data=form | {"refresh_token": f"x{number}"})
            assert wrong.status_code == 401
        for number in range(3):
            assert_error(await client.post("/token", data=form | {"refresh_token": f"y{number}"}), 429)
    assert await realm.count_events() - before == FAILURES


@pytest.mark.item(68)
async def test_without_its_database_the_realm_answers_503(
    world: World, clock: Clock, superuser_url: str
) -> None:
    """No database, no decision: never 401 or 403, never a smaller token, for whoever asks; afterwards all is well again."""
    await world.add_user("alice")
    await world.add_project("open", visibility="public")
    alice = ("alice", password_of("alice"))
    asked = ("repository:open/app:pull",)
    assert (await world.ask(*asked, by=alice)).status_code == 200
    name = psycopg.conninfo.conninfo_to_dict(superuser_url)["dbname"]
    server = psycopg.conninfo.make_conninfo(superuser_url, dbname="postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        warm = await world.ask(*asked, by=alice)
        wrong = await world.ask(*asked, by=("alice", "wrong"))
        cold = await world.ask(*asked, by=("nobody", "wrong"))
        anonymous = await world.ask(*asked)
        posted = await world.post(
            grant_type="refresh_token", refresh_token="ats_uaaaaaaaaaaaaaaaa_" + "0" * 46
        )
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
    for response in (warm, wrong, cold, anonymous, posted):
        assert_error(response, 503)
        assert int(response.headers["retry-after"]) >= 1
    clock.advance(timedelta(minutes=2))
    again = await world.ask(*asked, by=alice)
    assert decode_part(again.json()["token"].split(".")[1])["sub"] == "alice"


@pytest.mark.item(72, 12)
async def test_an_unknown_account_costs_what_a_known_one_does(realm: Realm) -> None:
    """Same computation, same words, same headers: nobody learns who has an account."""
    async with counting(realm) as (client, hasher):
        known = await client.get("/token", params={"service": SERVICE}, headers=basic("alice", "wrong"))
        assert (hasher.known, hasher.unknown) == (1, 0)
        unknown = await client.get("/token", params={"service": SERVICE}, headers=basic("nobody", "wrong"))
        assert (hasher.known, hasher.unknown) == (1, 1)
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert known.headers == unknown.headers
