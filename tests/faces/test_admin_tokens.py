"""Personal access tokens and refresh tokens: how long they live, what narrows them, and how they end."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from authsvc.core.credential import MAX_LIFE
from authsvc.operations import create_refresh_token
from tests.clock import Clock
from tests.world import ADMIN, API, World, access_of, claims_of, password_of

PULL = "repository:acme/app:pull"


@pytest.fixture
async def acme(world: World) -> World:
    """A project, and alice who develops in it."""
    await world.add_project("acme")
    await world.add_user("alice")
    await world.bind("developer", "user", "alice", "acme")
    return world


async def make(world: World, expect: int, **fields: Any) -> dict[str, Any]:
    """Create a token as alice and return the answer."""
    by = ("alice", password_of("alice"))
    made: dict[str, Any] = await world.api("POST", "/users/alice/tokens", fields, expect=expect, by=by)
    return made


async def test_a_token_ends_after_a_year_at_most(acme: World, clock: Clock) -> None:
    """Without an end, or with one beyond, it lives 366 days and says so; with one before, until then; a past one is refused."""
    made = await make(acme, 201)
    assert datetime.fromisoformat(made["expires_at"]) == clock() + MAX_LIFE
    for end in (timedelta(seconds=1), MAX_LIFE, MAX_LIFE + timedelta(seconds=1), timedelta(days=36_500)):
        made = await make(acme, 201, expires_at=(clock() + end).isoformat())
        assert datetime.fromisoformat(made["expires_at"]) == clock() + min(end, MAX_LIFE)
    for end in (timedelta(0), -timedelta(days=1)):
        answer = await make(acme, 422, expires_at=(clock() + end).isoformat())
        assert [error["pointer"] for error in answer["errors"]] == ["/expires_at"]
    made = await make(acme, 201, expires_at=(clock() + timedelta(days=30)).isoformat())
    by = ("alice", made["token"])
    assert access_of(await acme.ask(PULL, by=by)) == {"acme/app": ["pull"]}
    clock.advance(timedelta(days=30, seconds=-90))
    claims = claims_of((await acme.ask(PULL, by=by)).json()["token"])
    assert claims["exp"] == int((clock() + timedelta(seconds=90)).timestamp())
    clock.advance(timedelta(seconds=90))
    assert (await acme.ask(PULL, by=by)).status_code == 401


async def test_a_token_without_scopes_does_what_its_owner_can(acme: World, clock: Clock) -> None:
    """Whatever its own end is, it makes users, passwords, tokens, secrets and bindings that last, as the password does."""
    await acme.api("POST", "/projects/acme/robots", {"name": "ci"}, expect=201)
    for name, fields in (("year", {}), ("hour", {"expires_at": (clock() + timedelta(hours=1)).isoformat()})):
        made = await acme.api("POST", f"/users/{ADMIN}/tokens", fields, expect=201)
        requests: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/users", {"name": name, "password": "chosen-by-token"}),
            ("PUT", f"/users/{name}/password", {"password": "chosen-once-more"}),
            ("POST", f"/users/{name}/tokens", {}),
            ("POST", "/groups", {"name": name}),
            ("POST", "/bindings", {"role": "administrator", "subject": {"kind": "group", "name": name}}),
            ("PUT", f"/groups/{name}/members/{name}", {}),
            ("POST", "/roles", {"name": name, "permissions": ["*:*"]}),
            ("POST", "/projects/acme/robots/ci/secrets", {}),
            ("PATCH", "/projects/acme", {"visibility": "public"}),
        ]
        for method, path, body in requests:
            answer = await acme.client.request(
                method,
                API + path,
                json=body or None,
                headers={"authorization": f"Bearer {made['token']}"},
            )
            assert answer.is_success, (name, path, answer.text)


async def test_limits_of_a_token_hold_together(acme: World, clock: Clock) -> None:
    """Scopes, addresses and the end each narrow it, and what its owner loses it loses at once."""
    here = await make(acme, 201, scopes=["repository:acme/**:pull"], cidrs=["192.0.2.0/24"])
    elsewhere = await make(acme, 201, cidrs=["198.51.100.0/24"])
    both = "repository:acme/app:pull,push"
    assert access_of(await acme.ask(both, by=("alice", here["token"]))) == {"acme/app": ["pull"]}
    assert (await acme.ask(both, by=("alice", elsewhere["token"]))).status_code == 401
    listed = await acme.api("GET", "/projects/acme/bindings", expect=200)
    await acme.api("DELETE", f"/projects/acme/bindings/{listed['items'][0]['id']}", expect=204)
    assert access_of(await acme.ask(both, by=("alice", here["token"]))) == {}


async def test_a_refresh_token_ends_after_a_time_at_the_latest(
    acme: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session of a password lives as long as may be, one of a token no longer than the token; both say so."""
    life = timedelta(days=30)  # the log has no months a year ahead
    monkeypatch.setattr(create_refresh_token, "MAX_LIFE", life)
    soon = clock() + timedelta(days=3)
    token = await make(acme, 201, expires_at=soon.isoformat())
    by_password = (await acme.ask_as("alice", offline_token="true")).json()["refresh_token"]
    by_token = (await acme.ask(by=("alice", token["token"]), offline_token="true")).json()["refresh_token"]
    sessions = {s["id"]: s for s in (await acme.api("GET", "/users/alice/sessions", expect=200))["items"]}
    assert datetime.fromisoformat(sessions[by_password[5:21]]["expires_at"]) == clock() + life
    assert datetime.fromisoformat(sessions[by_token[5:21]]["expires_at"]) == soon
    for refresh, end in ((by_token, timedelta(days=3)), (by_password, life - timedelta(days=3))):
        clock.advance(end - timedelta(seconds=1))
        answer = await acme.post(grant_type="refresh_token", refresh_token=refresh)
        assert answer.status_code == 200
        clock.advance(timedelta(seconds=1))
        answer = await acme.post(grant_type="refresh_token", refresh_token=refresh)
        assert answer.status_code == 401


async def test_sessions_are_listed_and_ended_by_their_owner_and_administrators(acme: World) -> None:
    """Each session says where and with what it was made; another user sees and ends none of them."""
    await acme.add_user("bob")
    refreshes = []
    for client in ("docker", "podman", "oras"):
        answer = await acme.ask_as("alice", offline_token="true", client_id=client)
        refreshes.append(answer.json()["refresh_token"])
    alice, bob = ("alice", password_of("alice")), ("bob", password_of("bob"))
    paths = [f"/users/alice/sessions/{refresh[5:21]}" for refresh in refreshes]
    listed = await acme.api("GET", "/users/alice/sessions", expect=200, by=alice)
    assert {item["client"] for item in listed["items"]} == {"docker", "podman", "oras"}
    assert {item["service"] for item in listed["items"]} == {"registry.test"}
    for method, path in (("GET", "/users/alice/sessions"), ("GET", paths[0]), ("DELETE", paths[0])):
        await acme.api(method, path, expect=403, by=bob)
    await acme.api("GET", paths[0].replace("alice", "bob"), expect=404, by=bob)
    await acme.api("DELETE", paths[0], expect=204, by=alice)
    await acme.api("DELETE", paths[1], expect=204)
    for refresh, status in zip(refreshes, (401, 401, 200), strict=True):
        answer = await acme.post(grant_type="refresh_token", refresh_token=refresh)
        assert answer.status_code == status


async def test_what_was_made_with_a_credential_ends_with_it(acme: World) -> None:
    """Revoking a token or a robot's secret ends the sessions made with it at once, and no others."""
    token, other = await make(acme, 201), await make(acme, 201)
    secret = await acme.add_robot("acme", "ci")
    made = {}
    for by, text in (("alice", token["token"]), ("alice", other["token"]), ("acme+ci", secret)):
        answer = await acme.ask(by=(by, text), offline_token="true")
        made[text] = answer.json()["refresh_token"]
    await acme.api("DELETE", f"/users/alice/tokens/{token['id']}", expect=204)
    await acme.api("DELETE", f"/projects/acme/robots/ci/secrets/{secret[5:21]}", expect=204)
    for text, status in ((token["token"], 401), (other["token"], 200), (secret, 401)):
        answer = await acme.post(grant_type="refresh_token", refresh_token=made[text])
        assert answer.status_code == status


async def test_a_disabled_user_s_credentials_die_at_once(acme: World) -> None:
    """Password, token and session stop with the answer that disables, at the realm and the API, and return when enabled."""
    token = (await make(acme, 201))["token"]
    refresh = (await acme.ask_as("alice", offline_token="true")).json()["refresh_token"]
    for disabled, status in ((True, 401), (False, 200)):
        await acme.api("PATCH", "/users/alice", {"disabled": disabled}, expect=200)
        for secret in (password_of("alice"), token, refresh):
            assert (await acme.ask(PULL, by=("alice", secret))).status_code == status
        for secret in (password_of("alice"), token):
            answer = await acme.client.get(f"{API}/me", auth=("alice", secret))
            assert answer.status_code == status
        answer = await acme.post(grant_type="refresh_token", refresh_token=refresh)
        assert answer.status_code == status


async def test_a_disabled_robot_is_refused_with_every_secret(acme: World) -> None:
    """Both secrets of a robot and the sessions made with them stop at once, and go on when it is enabled."""
    first = await acme.add_robot("acme", "ci")
    second = (await acme.api("POST", "/projects/acme/robots/ci/secrets", {}, expect=201))["secret"]
    await acme.api("POST", "/projects/acme/robots/ci/secrets", {}, expect=409)
    refresh = (await acme.ask(by=("acme+ci", first), offline_token="true")).json()["refresh_token"]
    for disabled, status in ((True, 401), (False, 200)):
        await acme.api("PATCH", "/projects/acme/robots/ci", {"disabled": disabled}, expect=200)
        for secret in (first, second, refresh):
            assert (await acme.ask(by=("acme+ci", secret))).status_code == status
