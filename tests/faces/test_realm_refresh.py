"""Token protocol A6: refresh tokens, which docker calls identity tokens."""

import asyncio
import re
from datetime import timedelta

import psycopg
import pytest

from authsvc.operations import create_refresh_token
from tests.faces.realm import ALICE, Realm, assert_error, basic, body_of, new_name
from tests.faces.registry import decode_part
from tests.world import SERVICE, World, access_of, claims_of, password_of

PULL = "repository:acme/app:pull"


async def login(world: World, user: str, password: str | None = None) -> str:
    """Return the refresh token of `docker login`."""
    by = (user, password or password_of(user))
    token: str = (await world.ask(by=by, offline_token="true", client_id="docker")).json()["refresh_token"]
    return token


@pytest.mark.item(86)
async def test_refresh_tokens_need_no_encoding_and_tell_nothing(realm: Realm) -> None:
    """Letters, digits and `_` only, as Jib posts them raw; long, no JWT, none like another."""
    tokens = [await realm.identity_token() for _ in range(5)]
    assert all(re.fullmatch("[A-Za-z0-9._~-]{40,255}", token) for token in tokens)
    assert len({token[22:] for token in tokens}) == len(tokens)
    assert not any("alice" in token for token in tokens)
    raw = f"service={SERVICE}&scope={PULL}&client_id=jib.da03&grant_type=refresh_token&refresh_token={tokens[0]}"
    assert (await realm.claims(await realm.post(raw)))["sub"] == "alice"


@pytest.mark.item(87, 83)
async def test_a_refresh_token_is_used_again_and_at_once(realm: Realm) -> None:
    """One token serves every pull, in parallel too; no use of it ends it or brings another."""
    token = await realm.identity_token()
    for _ in range(2):
        uses = (realm.refresh(token, scope=PULL, access_type="offline") for _ in range(12))
        responses = await asyncio.gather(*uses)
        for response in responses:
            assert await realm.access(response) == [("repository", "acme/app", ["pull"])]
            assert "refresh_token" not in body_of(response)
    other = await realm.identity_token()
    assert other != token
    assert (await realm.refresh(token)).status_code == 200


@pytest.mark.item(88, 51)
async def test_a_refresh_token_is_one_subject_s_and_no_scope_s(realm: Realm) -> None:
    """It is its owner whatever name stands beside it, and gets whatever its owner may, asked anew each time."""
    token = await realm.identity_token()
    for scope in (PULL, "repository:acme/app:pull,push", "repository:beta/app:pull", ""):
        claims = await realm.claims(await realm.refresh(token, scope=scope, username="olga"))
        assert (claims["sub"], claims["aud"]) == ("alice", SERVICE)
        assert [entry["name"] for entry in claims["access"]] == ([scope.split(":")[1]] if scope else [])
    assert_error(await realm.get(headers=basic("olga", token)), 401)
    assert (await realm.claims(await realm.get(headers=basic("alice", token))))["sub"] == "alice"


@pytest.mark.item(89)
async def test_a_refresh_token_outlives_access_tokens_and_says_what_to_do_when_it_ends(world: World) -> None:
    """It does not expire by itself; revoked, it is 401 in words that tell the user to log in again."""
    await world.add_user("alice")
    token = await login(world, "alice")
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert (await world.post(None, **form)).status_code == 200
    sessions = (await world.api("GET", "/users/alice/sessions", expect=200))["items"]
    await world.api("DELETE", f"/users/alice/sessions/{sessions[0]['id']}", expect=204)
    refused = await world.post(None, **form)
    assert "log in again" in assert_error(refused, 401)["message"]


@pytest.mark.item(89)
async def test_a_refresh_token_is_still_good_after_weeks(realm: Realm) -> None:
    """Time alone does not end it."""
    token = await realm.identity_token()
    realm.clock.advance(timedelta(days=20))
    try:
        response = await realm.refresh(token)
        sub = decode_part(response.json()["token"].split(".")[1])["sub"]
    finally:
        realm.clock.advance(timedelta(days=-20))
    assert sub == "alice"


@pytest.mark.item(90, 49)
async def test_what_docker_stored_works_by_post_and_by_basic(realm: Realm) -> None:
    """Docker knows POST only, containerd goes on to GET: both get the same from the same token."""
    token = await realm.identity_token()
    posted = await realm.refresh(token, scope=PULL)
    got = await realm.get(f"service={SERVICE}&scope={PULL}", basic("", token))
    for response in (posted, got):
        assert await realm.access(response) == [("repository", "acme/app", ["pull"])]


@pytest.mark.item(91)
async def test_refresh_tokens_are_a_service_s_switch(realm: Realm) -> None:
    """Switched off, none is given any more; switched on again, it is; anonymous never gets one."""
    service = await realm.add_service(new_name("switch.test:"))
    for given in (True, False, True):
        await realm.world.api("PATCH", f"/services/{service}", {"refresh_tokens": given}, expect=200)
        asked = await realm.world.ask(by=ALICE, service=service, offline_token="true")
        assert ("refresh_token" in body_of(asked)) is given
    nobody = await realm.world.ask(service=service, offline_token="true")
    assert "refresh_token" not in body_of(nobody)


@pytest.mark.item(92)
async def test_a_disabled_user_s_refresh_token_is_dead_at_once(world: World) -> None:
    """Disabling is effective with the next use; enabling again does not need a new login."""
    await world.add_user("alice")
    token = await login(world, "alice")
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert (await world.post(None, **form)).status_code == 200
    await world.api("PATCH", "/users/alice", {"disabled": True}, expect=200)
    assert_error(await world.post(None, **form), 401)
    assert_error(await world.ask(by=("", token)), 401)


@pytest.mark.item(92)
async def test_a_changed_password_ends_the_logins_made_with_the_old_one(world: World) -> None:
    """The old refresh token is refused, and one from a login with the new password is not."""
    await world.add_user("alice")
    token = await login(world, "alice")
    assert (await world.post(grant_type="refresh_token", refresh_token=token)).status_code == 200
    await world.api("PUT", "/users/alice/password", {"password": "another-password"}, expect=204)
    assert_error(await world.post(grant_type="refresh_token", refresh_token=token), 401)
    renewed = await login(world, "alice", "another-password")
    assert (await world.post(grant_type="refresh_token", refresh_token=renewed)).status_code == 200


@pytest.mark.item(91)
async def test_a_deleted_service_s_logins_do_not_return_with_its_name(world: World) -> None:
    """A refresh token dies with its service, and serves no other one that is later called the same."""
    await world.add_user("alice")
    service = {"name": "other.test"}
    await world.api("POST", "/services", service, expect=201)
    by = ("alice", password_of("alice"))
    token = (await world.ask(by=by, service="other.test", offline_token="true")).json()["refresh_token"]
    form = {"service": "other.test", "grant_type": "refresh_token", "refresh_token": token}
    assert (await world.post(None, **form)).status_code == 200
    await world.api("DELETE", "/services/other.test", expect=204)
    await world.api("POST", "/services", service, expect=201)
    assert_error(await world.post(None, **form), 401)
    assert (await world.api("GET", "/users/alice/sessions", expect=200))["items"] == []


@pytest.mark.item(91)
async def test_a_principal_s_refresh_tokens_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound a login gets its access token and no refresh token; revoking one, or a new password, makes room."""
    monkeypatch.setattr(create_refresh_token, "MAX_LIVE", 2)
    await world.add_user("alice")
    await world.add_user("bob")

    async def is_given(user: str, password: str) -> bool:
        answer = await world.ask(by=(user, password), offline_token="true")
        assert answer.status_code == 200
        return "refresh_token" in answer.json()

    old, new = password_of("alice"), "another-password"
    assert [await is_given("alice", old) for _ in range(3)] == [True, True, False]
    assert await is_given("bob", password_of("bob"))
    sessions = (await world.api("GET", "/users/alice/sessions", expect=200))["items"]
    await world.api("DELETE", f"/users/alice/sessions/{sessions[0]['id']}", expect=204)
    assert [await is_given("alice", old) for _ in range(2)] == [True, False]
    await world.api("PUT", "/users/alice/password", {"password": new}, expect=204)
    assert [await is_given("alice", new) for _ in range(3)] == [True, True, False]


@pytest.mark.item(92)
async def test_access_is_decided_at_every_refresh(world: World) -> None:
    """A group that is left takes its rights from the next token, a new binding gives its own to the next."""
    await world.add_user("alice")
    await world.add_project("acme")
    await world.api("POST", "/groups", {"name": "team"}, expect=201)
    await world.bind("developer", "group", "team", "acme")
    form = {"grant_type": "refresh_token", "refresh_token": await login(world, "alice"), "scope": PULL}
    assert access_of(await world.post(None, **form)) == {}
    await world.api("PUT", "/groups/team/members/alice", expect=204)
    assert access_of(await world.post(None, **form)) == {"acme/app": ["pull"]}
    await world.api("DELETE", "/groups/team/members/alice", expect=204)
    assert access_of(await world.post(None, **form)) == {}


@pytest.mark.item(93)
async def test_no_secret_is_stored_as_it_is(world: World, superuser_url: str) -> None:
    """Nothing that a login shows or sends can be read in any table of the database."""
    await world.add_user("alice")
    await world.add_project("acme")
    answer = (await world.ask(by=("alice", password_of("alice")), offline_token="true")).json()
    assert claims_of(answer["token"])["sub"] == "alice"
    secrets = [
        password_of("alice"),
        answer["refresh_token"].rpartition("_")[2],
        answer["token"].rpartition(".")[2],
        (await world.add_token("alice", label="x")).rpartition("_")[2],
        (await world.add_robot("acme", "ci")).rpartition("_")[2],
    ]
    tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    with psycopg.connect(superuser_url) as connection:
        names = [row[0] for row in connection.execute(tables)]
        assert "credentials" in names
        for name in names:
            with connection.cursor().copy(f'COPY "{name}" TO STDOUT'.encode()) as copy:
                content = b"".join(bytes(part) for part in copy)
            # A bytea is written in hex, so both forms are looked for.
            for secret in secrets:
                assert secret.encode() not in content, name
                assert secret.encode().hex().encode() not in content, name
