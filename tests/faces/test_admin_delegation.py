"""Handing out by ways that are no binding, and the last administrator by ways that are no deletion."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.clock import Clock
from tests.world import ADMIN, ADMIN_PASSWORD, API, World, access_of, password_of

PULL = "repository:acme/secret:pull"


@pytest.fixture
async def acme(world: World) -> World:
    """A private project with its owner, and mallory, who may change projects and services and pull nothing."""
    await world.add_project("acme")
    for name in ("owner", "mallory", "bob"):
        await world.add_user(name)
    await world.bind("owner", "user", "owner", "acme")
    desk = {"name": "desk", "permissions": ["project:write", "project:read", "service:*"]}
    await world.api("POST", "/roles", desk, expect=201)
    return world


def by(user: str) -> tuple[str, str]:
    """Return a user's credentials."""
    return (user, ADMIN_PASSWORD if user == ADMIN else password_of(user))


async def test_who_may_not_pull_shows_a_project_to_nobody(acme: World) -> None:
    """Visibility hands out pull, so `project:write` alone neither widens it nor makes a wide project; narrowing is free."""
    await acme.bind("desk", "user", "mallory")
    for visibility in ("public", "internal"):
        new = {"visibility": visibility}
        await acme.api("PATCH", "/projects/acme", new, expect=403, by=by("mallory"))
        await acme.api("POST", "/projects", {"name": "new", **new}, expect=403, by=by("mallory"))
    assert access_of(await acme.ask_as("mallory", PULL)) == {}
    await acme.api("PATCH", "/projects/acme", {"description": "x"}, expect=200, by=by("mallory"))
    await acme.api("POST", "/projects", {"name": "new"}, expect=201, by=by("mallory"))
    await acme.api("PATCH", "/projects/acme", {"visibility": "public"}, expect=200, by=by("owner"))
    await acme.api("PATCH", "/projects/acme", {"description": "y"}, expect=200, by=by("mallory"))
    await acme.api("PATCH", "/projects/acme", {"visibility": "internal"}, expect=200, by=by("mallory"))
    await acme.api("PATCH", "/projects/acme", {"visibility": "public"}, expect=403, by=by("mallory"))
    await acme.api("PATCH", "/projects/acme", {"visibility": "private"}, expect=200, by=by("mallory"))


async def test_who_owns_a_project_for_a_time_shows_it_to_nobody_for_good(acme: World, clock: Clock) -> None:
    """An owner until tomorrow, or with a token of part of his rights or places, leaves no visibility behind."""
    end = (clock() + timedelta(days=1)).isoformat()
    await acme.bind("owner", "user", "mallory", "acme", expires_at=end)
    public = {"visibility": "public"}
    await acme.api("PATCH", "/projects/acme", public, expect=403, by=by("mallory"))
    for narrowed in ({"scopes": ["project:write"]}, {"cidrs": ["192.0.2.0/24"]}):
        token = await acme.add_token("owner", **narrowed)
        await acme.api("PATCH", "/projects/acme", public, expect=403, by=("owner", token))
    whole = await acme.add_token("owner", expires_at=end)
    await acme.api("PATCH", "/projects/acme", public, expect=200, by=("owner", whole))


async def test_who_manages_services_does_not_move_names_between_projects(acme: World) -> None:
    """A name prefix makes another project's rights count, so `service:*` alone sets none and changes none."""
    await acme.bind("desk", "user", "mallory")
    await acme.add_project("secret")
    await acme.bind("owner", "user", "mallory", "secret")
    prefix = {"name_prefix": "acme/"}
    await acme.api("PATCH", "/services/registry.test", prefix, expect=403, by=by("mallory"))
    await acme.api("POST", "/services", {"name": "mine.test", **prefix}, expect=403, by=by("mallory"))
    assert access_of(await acme.ask_as("mallory", "repository:acme/secret/app:pull")) == {}
    await acme.api("POST", "/services", {"name": "mine.test"}, expect=201, by=by("mallory"))
    await acme.api("PATCH", "/services/mine.test", {"token_ttl_seconds": 60}, expect=200, by=by("mallory"))
    await acme.api("PATCH", "/services/mine.test", prefix, expect=200)
    await acme.api("PATCH", "/services/mine.test", {"anonymous": False}, expect=200, by=by("mallory"))
    await acme.api("PATCH", "/services/mine.test", {"name_prefix": ""}, expect=403, by=by("mallory"))


async def test_a_project_owner_manages_nothing_beside_it(acme: World) -> None:
    """Users, groups, roles, services, keys, the system's robots and bindings, and other projects are not his."""
    await acme.add_project("beta")
    robot, reader = {"name": "ci"}, {"role": "reader", "subject": {"kind": "user", "name": "bob"}}
    requests: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "/users", {"name": "x"}), ("GET", "/users", None), ("GET", "/users/bob", None),
        ("PATCH", "/users/bob", {"email": "a@b"}), ("DELETE", "/users/bob", None), ("POST", "/users/bob/tokens", {}),
        ("GET", "/users/bob/tokens", None), ("GET", "/users/bob/sessions", None),
        ("POST", "/groups", {"name": "x"}), ("POST", "/roles", {"name": "x", "permissions": ["repository:pull"]}),
        ("POST", "/services", {"name": "x.test"}), ("GET", "/services", None), ("POST", "/keys/rotate", {}),
        ("POST", "/robots", robot), ("GET", "/robots", None), ("POST", "/bindings", reader), ("GET", "/bindings", None),
        ("POST", "/projects", {"name": "mine"}), ("DELETE", "/projects/acme", None), ("PATCH", "/projects/beta", {}),
        ("POST", "/projects/beta/robots", robot), ("POST", "/projects/beta/bindings", reader), ("GET", "/projects/beta", None),
    ]  # fmt: skip
    for method, path, body in requests:
        answer = await acme.client.request(method, API + path, json=body, auth=by("owner"))
        assert answer.status_code in (403, 404), (method, path, answer.text)
    await acme.api("POST", "/projects/acme/robots", robot, expect=201, by=by("owner"))
    made = await acme.api("POST", "/projects/acme/bindings", reader, expect=201, by=by("owner"))
    await acme.api("DELETE", f"/projects/acme/bindings/{made['id']}", expect=204, by=by("owner"))


async def test_an_administrator_who_cannot_sign_in_is_none(acme: World) -> None:
    """A user without a password does not count as the administrator who stays."""
    await acme.api("POST", "/users", {"name": "ghost"}, expect=201)
    await acme.bind("administrator", "user", "ghost")
    await acme.api("DELETE", f"/users/{ADMIN}", expect=409)
    await acme.api("PUT", "/users/ghost/password", {"password": password_of("ghost")}, expect=204)
    await acme.api("DELETE", f"/users/{ADMIN}", expect=204)


async def test_rivals_who_end_each_other_by_any_way_leave_one(acme: World, clock: Clock) -> None:
    """Disabling, taking out of the group, editing the role and giving a binding an end race, and somebody stays each time."""
    await acme.api("POST", "/roles", {"name": "root", "permissions": ["*:*"]}, expect=201)
    await acme.api("POST", "/groups", {"name": "roots"}, expect=201)
    in_group = await acme.bind("root", "group", "roots")
    rivals = ("one", "two")
    for name in rivals:
        await acme.add_user(name)
        await acme.api("PUT", f"/groups/roots/members/{name}", expect=204)
    await acme.api("DELETE", f"/users/{ADMIN}", expect=204)
    end = {"expires_at": (clock() + timedelta(days=1)).isoformat()}
    ways: list[tuple[str, str, dict[str, Any] | None]] = [
        ("PATCH", "/users/{}", {"disabled": True}), ("DELETE", "/groups/roots/members/{}", None),
        ("PATCH", "/roles/root", {"permissions": ["user:*"]}), ("PATCH", f"/bindings/{in_group['id']}", end),
        ("DELETE", "/groups/roots", None), ("DELETE", f"/bindings/{in_group['id']}", None), ("DELETE", "/users/{}", None),
    ]  # fmt: skip
    answers = await asyncio.gather(
        *(
            acme.client.request(method, API + path.format(other), json=body, auth=by(one))
            for method, path, body in ways
            for one, other in (rivals, rivals[::-1])
        )
    )
    assert {answer.status_code for answer in answers} <= {200, 204, 401, 403, 404, 409}
    left = [
        name
        for name in rivals
        if (await acme.client.get(f"{API}/bindings", auth=by(name))).status_code == 200
    ]
    assert len(left) == 1
    for method, path, body in ways[2:6]:
        answer = await acme.client.request(method, API + path, json=body, auth=by(left[0]))
        assert answer.status_code == 409, path
