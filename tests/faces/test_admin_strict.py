from typing import Any

import httpx
import pytest

from tests.world import ADMIN, ADMIN_PASSWORD, API, World

BY_ADMIN = (ADMIN, ADMIN_PASSWORD)


async def send(
    world: World, content: bytes, kind: str, *, method: str = "POST", path: str = "/projects"
) -> httpx.Response:
    """Send bytes as they are."""
    return await world.client.request(
        method, API + path, content=content, headers={"content-type": kind} if kind else {}, auth=BY_ADMIN
    )


@pytest.mark.parametrize(
    ("content", "pointers"),
    [
        (b'{"name": "acme", "name": "beta"}', ["/name"]),
        (b'{"name": "acme", "x": {"a/b": 1, "a/b": 2}}', ["/x/a~1b"]),
        (b'{"name": "acme", "x": [0, {"a": [], "a": {}}]}', ["/x/1/a"]),
        (b'{"name": "acme", "visibility": "private", "visi\\u0062ility": "public"}', ["/visibility"]),
    ],
)
async def test_a_member_that_is_named_twice_is_refused(
    world: World, content: bytes, pointers: list[str]
) -> None:
    """Parsers differ in which of two values they keep, so neither is taken, however it is spelled; the place is told."""
    answer = await send(world, content, "application/json")
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:authsvc:problem:malformed")
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers
    await world.api("GET", "/projects/acme", expect=404)


@pytest.mark.parametrize(
    "content",
    ['{"name": "acme"}'.encode("utf-16"), '\ufeff{"name": "acme"}'.encode(), b'{"name": "acme"} {}'],
)
async def test_a_body_is_one_json_text_in_utf_8(world: World, content: bytes) -> None:
    """Another encoding, a mark before the text or a second text behind it are no JSON (RFC 8259)."""
    assert (await send(world, content, "application/json")).status_code == 400


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/vnd.a+json"]
)
async def test_another_media_type_is_refused(world: World, kind: str) -> None:
    """415, and what to send; a merge patch's own type is for PATCH alone."""
    patch = "application/merge-patch+json"
    assert (await send(world, b'{"name": "acme"}', kind)).status_code == 415
    assert (await send(world, b'{"name": "acme"}', patch)).status_code == 415
    assert (await send(world, b'{"name": "acme"}', "Application/JSON; charset=utf-8")).status_code == 201
    assert (await send(world, b"{}", kind, method="PATCH", path="/projects/acme")).status_code == 415
    assert (await send(world, b"{}", patch, method="PATCH", path="/projects/acme")).status_code == 200


async def test_a_parameter_that_is_not_known_or_given_twice_is_refused(world: World) -> None:
    """A filter that is overlooked shows too much: every route refuses it, and names it."""
    for path, name in (
        ("/users?disable=true", "disable"), ("/users/admin?x=1", "x"), ("/me?limit=1", "limit"), ("/projects?role=owner", "role"),
        ("/users?limit=1&limit=2", "limit"), ("/users?q=a&q=b", "q"), ("/keys?name=x", "name"), ("/users?Q=a", "Q"),
    ):  # fmt: skip
        answer = await world.client.get(API + path, auth=BY_ADMIN)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, name), path
    for value in ("TRUE", "1", "yes", ""):
        assert (await world.client.get(f"{API}/users?disabled={value}", auth=BY_ADMIN)).status_code == 422
    for limit in ("1.0", "+1", " 1", "1_0", "١"):
        assert (
            await world.client.get(f"{API}/users", params={"limit": limit}, auth=BY_ADMIN)
        ).status_code == 422


async def shown(world: World, path: str, member: str = "name") -> list[Any]:
    """Return one member of everything on a list's first page."""
    return [item[member] for item in (await world.api("GET", path, expect=200))["items"]]


async def test_lists_are_narrowed_by_their_fields(world: World) -> None:
    """Each filter keeps what has the value, all of them together; `q` is the beginning of a name, whatever a user's case."""
    for name in ("alice", "alma", "bob", "b_b", "bxb"):
        await world.add_user(name)
    await world.api("PATCH", "/users/alma", {"disabled": True, "email": "alma@example.com"}, expect=200)
    assert await shown(world, "/users?q=AL") == ["alice", "alma"]
    assert await shown(world, "/users?q=al&disabled=true") == ["alma"]
    assert await shown(world, "/users?disabled=true") == ["alma"]
    assert await shown(world, "/users?name=ALICE") == ["alice"]
    assert await shown(world, "/users?email=alma@example.com") == ["alma"]
    assert await shown(world, "/users?q=b_") == ["b_b"]
    assert await shown(world, "/users?q=%25") == []
    await world.add_project("acme", visibility="public")
    await world.add_project("beta")
    assert await shown(world, "/projects?visibility=public") == ["acme"]
    assert await shown(world, "/projects?q=be") == ["beta"]
    bound = await world.bind("reader", "user", "alice", "acme")
    await world.bind("owner", "user", "bob", "acme")
    await world.add_robot("acme", "ci")
    by_robot = await world.bind("reader", "robot", "acme+ci", "acme")
    bindings = "/projects/acme/bindings"
    assert set(await shown(world, f"{bindings}?role=reader", "id")) == {bound["id"], by_robot["id"]}
    assert await shown(world, f"{bindings}?subject=Alice", "id") == [bound["id"]]
    assert await shown(world, f"{bindings}?subject_kind=robot&role=reader", "id") == [by_robot["id"]]
    assert await shown(world, f"{bindings}?role=owner&subject=alice", "id") == []
    assert await shown(world, "/projects/acme/robots?disabled=true") == []
    assert await shown(world, "/roles?built_in=false") == []
    assert await shown(world, "/roles?q=re") == ["reader", "reporter"]
    assert await shown(world, "/keys?state=retired", "id") == []


async def test_a_cursor_holds_for_its_filters_alone(world: World) -> None:
    """The next page of a narrowed list is of the same list: with other filters the cursor is refused."""
    for name in ("alice", "alma", "bob"):
        await world.add_user(name)
    first = await world.api("GET", "/users?q=al&limit=1", expect=200)
    cursor = first["next_cursor"]
    second = await world.api("GET", f"/users?limit=1&q=al&cursor={cursor}", expect=200)
    assert [item["name"] for item in first["items"] + second["items"]] == ["alice", "alma"]
    for query in ("", "q=a&", "q=al&disabled=false&"):
        await world.api("GET", f"/users?{query}limit=1&cursor={cursor}", expect=422)


async def test_keys_come_in_pages(world: World) -> None:
    """Every key is on one page, oldest first."""
    for _ in range(2):
        assert (await world.client.post(f"{API}/keys/rotate", auth=BY_ADMIN)).status_code == 201
    every = await shown(world, "/keys", "id")
    seen: list[str] = []
    path = "/keys?limit=1"
    while path:
        page = await world.api("GET", path, expect=200)
        seen += [key["id"] for key in page["items"]]
        path = f"/keys?limit=1&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert seen == every
    await world.api("POST", "/keys/rotate", {"service": "nobody's"}, expect=422)


async def test_null_takes_away_what_was_given(world: World) -> None:
    """In a merge patch (RFC 7396) null is as if it had never been given, where that means something; elsewhere it is refused."""
    await world.add_project("acme", description="x")
    patched = await world.api("PATCH", "/projects/acme", {"description": None}, expect=200)
    assert patched["description"] == ""
    await world.api("PATCH", "/projects/acme", {"visibility": None}, expect=422)
    bound = await world.bind("reader", "user", ADMIN, "acme", cidrs=["10.0.0.0/8"], comment="x")
    path = f"/projects/acme/bindings/{bound['id']}"
    patched = await world.api("PATCH", path, {"cidrs": None, "comment": None}, expect=200)
    assert (patched["cidrs"], patched["comment"]) == ([], "")
    for member in ("role", "repositories"):
        await world.api("PATCH", path, {member: None}, expect=422)


async def test_a_creation_says_where_the_new_thing_is(world: World) -> None:
    """`Location` leads to what was made."""
    for path, body in (
        ("/users", {"name": "пётр"}),
        ("/services", {"name": "r.io/a b"}),
        ("/projects", {"name": "acme"}),
    ):
        made = await world.client.post(API + path, json=body, auth=BY_ADMIN)
        found = await world.client.get(made.headers["location"], auth=BY_ADMIN)
        assert (found.status_code, found.json()) == (200, made.json())
