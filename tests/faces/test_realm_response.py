"""Token protocol A5: the fields of a success response."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.faces.realm import ALICE, Realm, body_of, new_name
from tests.world import SERVICE

PASSWORD = {"grant_type": "password", "username": "alice", "password": ALICE[1], "service": SERVICE}
PUSH = "repository:acme/app:pull,push"


def issued_at(body: dict[str, str]) -> datetime:
    """Return `issued_at` as Go reads it: RFC 3339, with the offset in the text."""
    text = body["issued_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    return datetime.fromisoformat(text)


@pytest.mark.item(76)
async def test_the_token_has_both_names(realm: Realm) -> None:
    """`token` and `access_token` are there and the same, for GET, POST, a refresh and anonymous."""
    refreshed = await realm.refresh(await realm.identity_token())
    for response in (
        await realm.ask(PUSH, by=ALICE),
        await realm.client.post("/token", data=PASSWORD),
        refreshed,
        await realm.ask(),
    ):
        body = body_of(response)
        assert body["token"] == body["access_token"]
        await realm.claims(response)


@pytest.mark.item(77, 78, 114)
@pytest.mark.parametrize("ttl", [60, 61, 300, 7200])
async def test_expires_in_is_what_is_left_in_whole_seconds(realm: Realm, ttl: int) -> None:
    """It is an integer, at least 60, and `exp` less the time of the answer, whatever life a service gives its tokens."""
    service = await realm.add_service(new_name("ttl.test:"), token_ttl_seconds=ttl)
    for by in (ALICE, None):
        response = await realm.world.ask(PUSH, by=by, service=service)
        body = body_of(response)
        assert type(body["expires_in"]) is int
        assert body["expires_in"] == ttl
        exp = (await realm.claims(response, service))["exp"]
        assert body["expires_in"] == exp - int(realm.clock().timestamp())


@pytest.mark.item(77, 78, 80)
@pytest.mark.parametrize("ttl", [60, 62, 300])
async def test_a_shared_token_is_told_with_its_true_rest(realm: Realm, ttl: int) -> None:
    """An anonymous token that is given again within seconds has less to live, is told so, and never has less than 60."""
    service = await realm.add_service(new_name("shared.test:"), token_ttl_seconds=ttl)
    for _ in range(6):
        response = await realm.world.ask("repository:open/app:pull", service=service)
        body, now = body_of(response), realm.clock()
        exp = (await realm.claims(response, service))["exp"]
        assert body["expires_in"] == exp - int(now.timestamp()) >= 60
        assert issued_at(body) == now
        realm.clock.advance(timedelta(seconds=1))


@pytest.mark.item(77, 78)
async def test_expires_in_is_true_between_seconds(realm: Realm) -> None:
    """With a clock between two seconds it is still the difference of what client and registry read."""
    realm.clock.advance(timedelta(milliseconds=900))
    response = await realm.ask(PUSH, by=ALICE)
    body = body_of(response)
    exp = (await realm.claims(response))["exp"]
    assert body["expires_in"] == exp - issued_at(body).timestamp()
    assert 0 <= (realm.clock() - issued_at(body)).total_seconds() < 1
    realm.clock.advance(timedelta(milliseconds=100))


@pytest.mark.item(78, 114)
async def test_a_token_ends_with_what_it_rests_on(realm: Realm) -> None:
    """A binding that lapses soon cuts the token's life, and never below 60 seconds."""
    for lasts, expected in ((120, 120), (10, 60)):
        user = new_name("guest")
        await realm.world.add_user(user)
        ends = (realm.clock() + timedelta(seconds=lasts)).astimezone(UTC).isoformat()
        await realm.world.bind("reader", "user", user, "acme", expires_at=ends)
        response = await realm.world.ask_as(user, "repository:acme/app:pull")
        assert body_of(response)["expires_in"] == expected
        assert (await realm.claims(response))["exp"] - int(realm.clock().timestamp()) == expected


@pytest.mark.item(79, 80)
async def test_issued_at_is_now_in_utc_with_its_offset(realm: Realm) -> None:
    """It is RFC 3339, and the time of the answer: not backdated as `nbf` is, and not an earlier request's."""
    for by in (ALICE, None):
        for _ in range(2):
            response = await realm.ask("repository:open/app:pull", by=by)
            moment = issued_at(body_of(response))
            assert moment == realm.clock()
            assert moment.utcoffset() == timedelta(0)
            assert (await realm.claims(response))["nbf"] < moment.timestamp()
            realm.clock.advance(timedelta(seconds=3))


@pytest.mark.item(81)
@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (PUSH, PUSH),
        ("repository:acme/app:push,pull,delete repository:beta/app:pull", f"{PUSH} repository:beta/app:pull"),
        ("repository:nowhere/app:pull", ""),
        ("", ""),
    ],
)
async def test_post_says_what_was_granted_in_one_string(realm: Realm, asked: str, granted: str) -> None:
    """`scope` is a string of scopes joined by spaces, empty for none; never null, never a list."""
    response = await realm.client.post("/token", data=PASSWORD | {"scope": asked})
    assert body_of(response)["scope"] == granted


@pytest.mark.item(82, 83)
async def test_a_refresh_token_is_there_only_when_asked_for_and_never_replaced(realm: Realm) -> None:
    """It is a string when a password login asks, absent otherwise, and a refresh never brings another."""
    asking = body_of(await realm.client.post("/token", data=PASSWORD | {"access_type": "offline"}))
    assert isinstance(asking["refresh_token"], str)
    silent = body_of(await realm.client.post("/token", data=PASSWORD))
    assert "refresh_token" not in silent
    assert "refresh_token" not in body_of(await realm.ask(offline_token="true"))
    token = asking["refresh_token"]
    for response in (
        await realm.refresh(token, access_type="offline"),
        await realm.ask(by=("", token), offline_token="true"),
        await realm.client.post(
            "/token", data=PASSWORD | {"username": "", "password": token, "access_type": "offline"}
        ),
    ):
        assert response.status_code == 200
        assert body_of(response).get("refresh_token", token) == token


@pytest.mark.item(84, 85)
async def test_nothing_but_known_members_of_known_types(realm: Realm) -> None:
    """Every member is one that clients know, with the type that their decoders want; POST says it is a bearer token."""
    types = {"token": str, "access_token": str, "expires_in": int, "issued_at": str}
    got = body_of(await realm.ask(PUSH, by=ALICE, offline_token="true"))
    assert {name: type(value) for name, value in got.items()} == types | {"refresh_token": str}
    posted = body_of(await realm.client.post("/token", data=PASSWORD))
    assert {name: type(value) for name, value in posted.items()} == types | {"token_type": str, "scope": str}
    assert posted["token_type"] == "Bearer"
