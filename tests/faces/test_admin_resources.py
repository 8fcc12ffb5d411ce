from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.clock import Clock
from tests.world import ADMIN, ADMIN_PASSWORD, API, World, password_of

BY_ADMIN = (ADMIN, ADMIN_PASSWORD)
ME = {"kind": "user", "name": ADMIN}
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class Kind:
    """One kind of resource: where it lies, what to create, what to change, and its events' noun."""

    path: str
    body: Mapping[str, Any]
    patch: Mapping[str, Any]
    noun: str
    named: bool = True


KINDS = [
    Kind("/users", {"name": "алиса", "email": "a@b.c"}, {"display_name": "A", "email": None}, "user"),
    Kind("/projects", {"name": "beta", "description": "two\nlines"}, {"visibility": "public"}, "project"),
    Kind("/projects/acme/robots", {"name": "ci"}, {"disabled": True}, "robot"),
    Kind("/robots", {"name": "ci", "description": "d"}, {"description": "e"}, "robot"),
    Kind("/services", {"name": "r.io:5000/x", "aliases": ["b", "a"]}, {"token_ttl_seconds": 60}, "service"),
    Kind("/roles", {"name": "own", "permissions": ["project:read"]}, {"permissions": ["*:*"]}, "role"),
    Kind(
        "/projects/acme/bindings",
        {"role": "reader", "subject": ME, "repositories": ["app", "t/*"], "expires_at": "2030-01-02T03:04:05+01:00"},
        {"role": "developer", "expires_at": None},
        "binding",
        named=False,
    ),
    Kind("/bindings", {"role": "auditor", "subject": ME}, {"cidrs": ["10.0.0.0/8"]}, "binding", named=False),
]  # fmt: skip


async def send(
    world: World, method: str, path: str, body: Any = None, by: tuple[str, str] = BY_ADMIN, **headers: str
) -> httpx.Response:
    """Make one request; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.client.request(method, API + path, json=body, auth=by, headers=named)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.path)
async def test_a_thing_lives_as_the_contract_says(world: World, kind: Kind) -> None:
    """Create, read, list, change (both media types, If-Match), delete: statuses, ETags, one event for each change."""
    await world.add_project("acme")
    began = len(await world.events())
    created = await send(world, "POST", kind.path, dict(kind.body))
    assert created.status_code == 201, created.text
    made = created.json()
    path = f"{kind.path}/{made['name' if kind.named else 'id']}"
    assert made["created_at"].endswith("Z")
    read = await send(world, "GET", path)
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, made, created.headers["etag"])
    assert read.headers["cache-control"] == "no-store"
    assert made in (await send(world, "GET", kind.path)).json()["items"]
    assert (await send(world, "POST", kind.path, dict(kind.body))).status_code == (409 if kind.named else 201)
    twice = 0 if kind.named else 1
    patch = dict(kind.patch)
    for tag in ('"99"', "garbage", f"W/{read.headers['etag']}", ""):
        assert (await send(world, "PATCH", path, patch, If_Match=tag)).status_code == 412
        assert (await send(world, "DELETE", path, If_Match=tag)).status_code == 412
    changed = await send(world, "PATCH", path, patch, If_Match=f'"77", {read.headers["etag"]}')
    assert (changed.status_code, changed.json()) == (200, {**made, **patch})
    assert changed.headers["etag"] != read.headers["etag"]
    assert (await send(world, "PATCH", path, patch, If_Match=read.headers["etag"])).status_code == 412
    for extra in ({"Content_Type": MERGE_PATCH}, {"If_Match": "*"}):
        assert (await send(world, "PATCH", path, patch, BY_ADMIN, **extra)).status_code == 200
    for wrong in ({"nothing_such": 1}, {"id": "x"}, {"created_at": "2030-01-01T00:00:00Z"}):
        assert (await send(world, "PATCH", path, wrong)).status_code == 422
    assert (await send(world, "GET", path)).json() == {**made, **patch}
    assert (await send(world, "DELETE", path)).status_code == 204
    for method in ("GET", "DELETE"):
        assert (await send(world, method, path)).status_code == 404
    assert (await send(world, "PATCH", path, patch)).status_code == 404
    events = [entry for _, entry in (await world.events())[began:]]
    verbs = ["created"] * (1 + twice) + ["changed"] * 3 + ["deleted"]
    assert [entry["kind"] for entry in events] == [f"policy.{kind.noun}.{verb}" for verb in verbs]
    for entry in events:
        assert (entry["actor"]["name"], entry["address"], entry["credential"]) == (
            ADMIN,
            "192.0.2.7",
            {"kind": "password"},
        )


async def test_a_personal_token_is_shown_once(world: World, clock: Clock) -> None:
    """Its text is in the answer to its creation and in no other; it has public parts, an end, and dies when deleted."""
    await world.add_user("alice")
    by_alice = ("alice", password_of("alice"))
    end = (clock() + timedelta(days=1)).isoformat()
    body = {
        "label": "ci",
        "expires_at": end,
        "scopes": ["repository:acme/**:pull,push", "project:read"],
        "cidrs": ["192.0.2.0/24"],
    }
    created = await send(world, "POST", "/users/alice/tokens", body, by_alice)
    assert created.status_code == 201
    made = created.json()
    text = made.pop("token")
    assert made["scopes"] == ["repository:acme/**:pull", "repository:acme/**:push", "project:read"]
    for by in (by_alice, BY_ADMIN):
        assert (await send(world, "GET", f"/users/alice/tokens/{made['id']}", by=by)).json() == made
        listed = await send(world, "GET", "/users/alice/tokens", by=by)
        assert listed.json()["items"] == [made]
        assert text not in listed.text
    me = await world.client.get(f"{API}/me", headers={"authorization": f"Bearer {text}"})
    assert me.json() == {
        "principal": {"kind": "user", "name": "alice"},
        "permissions": [],
        "limits": made["scopes"],
    }
    assert (await send(world, "DELETE", f"/users/alice/tokens/{made['id']}", by=by_alice)).status_code == 204
    for method in ("GET", "DELETE"):
        assert (
            await send(world, method, f"/users/alice/tokens/{made['id']}", by=by_alice)
        ).status_code == 404
    assert (
        await world.client.get(f"{API}/me", headers={"authorization": f"Bearer {text}"})
    ).status_code == 401


@pytest.mark.parametrize("place", ["/projects/acme", ""])
async def test_two_secrets_of_a_robot_live_at_once(world: World, clock: Clock, place: str) -> None:
    """A robot has two live secrets at most, each shown once; an expired one makes room."""
    await world.add_project("acme")
    await send(world, "POST", f"{place}/robots", {"name": "ci"})
    path = f"{place}/robots/ci/secrets"
    end = (clock() + timedelta(minutes=1)).isoformat()
    made = [(await send(world, "POST", path, body)).json() for body in ({"label": "a"}, {"expires_at": end})]
    texts = [secret.pop("secret") for secret in made]
    assert (await send(world, "POST", path, {})).status_code == 409
    listed = await send(world, "GET", path)
    assert sorted(made, key=lambda s: str(s["id"])) == listed.json()["items"]
    assert not any(text in listed.text for text in texts)
    clock.advance(timedelta(minutes=2))
    third = await send(world, "POST", path, {})
    assert third.status_code == 201
    assert {secret["id"] for secret in (await send(world, "GET", path)).json()["items"]} == {
        made[0]["id"],
        third.json()["id"],
    }
    assert (await send(world, "DELETE", f"{path}/{made[0]['id']}")).status_code == 204
    assert (await send(world, "GET", f"{path}/{made[0]['id']}")).status_code == 404
    past = (clock() - timedelta(seconds=1)).isoformat()
    assert (await send(world, "POST", path, {"expires_at": past})).status_code == 422


async def test_a_session_is_listed_without_its_secret_and_ends_with_the_password(world: World) -> None:
    """A refresh token is listed with service and client, can be revoked alone, and ends with the password it came from."""
    await world.add_user("alice")
    asked = [await world.ask_as("alice", offline_token="true", client_id="docker") for _ in range(2)]
    texts = [answer.json()["refresh_token"] for answer in asked]
    listed = await send(world, "GET", "/users/alice/sessions")
    items = listed.json()["items"]
    assert [(s["service"], s["client"]) for s in items] == [("registry.test", "docker")] * 2
    assert not any(text in listed.text for text in texts)
    assert (await send(world, "GET", f"/users/alice/sessions/{items[0]['id']}")).json() == items[0]
    assert (await send(world, "DELETE", f"/users/alice/sessions/{items[0]['id']}")).status_code == 204
    codes = sorted([(await world.ask(by=("<token>", text))).status_code for text in texts])
    assert codes == [200, 401]
    new = "another-password-1"
    by_alice = ("alice", password_of("alice"))
    assert (await send(world, "PUT", "/users/alice/password", {"password": new}, by_alice)).status_code == 204
    assert (await send(world, "GET", "/me", by=by_alice)).status_code == 401
    assert (await send(world, "GET", "/me", by=("alice", new))).status_code == 200
    assert {(await world.ask(by=("<token>", text))).status_code for text in texts} == {401}


async def test_pages_show_everything_once_while_others_write(world: World) -> None:
    """Everything that is there throughout is on exactly one page, and `Link` leads where `next_cursor` does."""
    names = {f"user{n:02}" for n in range(9)}
    for name in names:
        await send(world, "POST", "/users", {"name": name})
    seen: list[str] = []
    path: str | None = f"{API}/users?limit=2"
    while path is not None:
        page = await world.client.get(path, auth=BY_ADMIN)
        assert page.status_code == 200
        assert len(page.json()["items"]) <= 2
        seen += [item["name"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        assert ("link" in page.headers) is (cursor is not None)
        path = page.links["next"]["url"] if cursor else None
        assert cursor is None or f"cursor={cursor}" in str(path)
        await send(world, "POST", "/users", {"name": f"a{len(seen)}"})
        await send(world, "POST", "/users", {"name": f"{seen[-1]}x"})
    assert len(seen) == len(set(seen))
    assert names < set(seen)


async def test_a_page_of_a_person_with_any_name_has_a_link(world: World) -> None:
    """`Link` is ASCII whatever the path holds."""
    await send(world, "POST", "/users", {"name": "пётр", "password": "long-enough-1"})
    for _ in range(2):
        await send(world, "POST", "/users/пётр/tokens", {})
    first = await send(world, "GET", "/users/пётр/tokens?limit=1")
    assert first.status_code == 200
    second = await world.client.get(first.links["next"]["url"], auth=BY_ADMIN)
    assert len({first.json()["items"][0]["id"], second.json()["items"][0]["id"]}) == 2


async def test_a_cursor_that_was_edited_or_is_of_another_list_is_refused(world: World) -> None:
    """A cursor holds for its own list, letter by letter; limits have bounds."""
    await world.add_project("acme")
    await world.add_project("beta")
    await world.add_user("alice")
    cursor = (await send(world, "GET", "/users?limit=1")).json()["next_cursor"]
    assert (await send(world, "GET", f"/users?limit=1&cursor={cursor}")).status_code == 200
    edited = [
        cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(len(cursor))
    ]
    for wrong in (*edited, cursor + "=", cursor + "!", cursor[:-1], cursor[1:], "", "é", "%00", "A" * 1025):
        assert (await send(world, "GET", f"/users?limit=1&cursor={wrong}")).status_code == 422, wrong
    assert (await send(world, "GET", f"/projects?cursor={cursor}")).status_code == 422
    for limit, status in (
        ("1", 200),
        ("1000", 200),
        ("0", 422),
        ("1001", 422),
        ("-1", 422),
        ("x", 422),
        ("", 422),
    ):
        assert (await send(world, "GET", f"/users?limit={limit}")).status_code == status, limit


async def test_times_are_utc_whatever_was_sent(world: World) -> None:
    """A time with an offset is answered in UTC with `Z`, to the microsecond."""
    await world.add_project("acme")
    made = await world.bind("reader", "user", ADMIN, "acme", expires_at="2030-01-02T03:04:05.123456+05:30")
    assert made["expires_at"] == "2030-01-01T21:34:05.123456Z"


async def test_me_tells_what_is_held_here_and_now(world: World, clock: Clock) -> None:
    """Bindings that lapsed, or hold elsewhere, are not in it."""
    await world.add_user("alice")
    await world.add_project("acme")
    await world.bind("reader", "user", "alice", "acme", repositories=["app"])
    await world.bind("owner", "user", "alice", "acme", cidrs=["10.0.0.0/8"])
    await world.bind("auditor", "user", "alice", expires_at=(clock() + timedelta(hours=1)).isoformat())
    by = ("alice", password_of("alice"))
    roles = [held["role"] for held in (await send(world, "GET", "/me", by=by)).json()["permissions"]]
    clock.advance(timedelta(hours=1))
    later = [held["role"] for held in (await send(world, "GET", "/me", by=by)).json()["permissions"]]
    assert (sorted(roles), later) == (["auditor", "reader"], ["reader"])
