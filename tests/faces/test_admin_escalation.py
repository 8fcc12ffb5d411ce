"""Attempts to come by more than one holds, each refused."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.clock import Clock
from tests.world import ADMIN, ADMIN_PASSWORD, API, World, access_of, password_of


async def attempt(
    world: World, by: str, method: str, path: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    """Make a request as a user, or with a bearer credential."""
    if by.startswith("ats_"):
        headers = {"authorization": f"Bearer {by}"}
        return await world.client.request(method, API + path, json=body, headers=headers)
    password = ADMIN_PASSWORD if by == ADMIN else password_of(by)
    return await world.client.request(method, API + path, json=body, auth=(by, password))


async def give(world: World, user: str, *permissions: str, project: str | None = None, **fields: Any) -> Any:
    """Create a user who holds exactly these permissions."""
    await world.add_user(user)
    role = f"role-of-{user}"
    await world.api("POST", "/roles", {"name": role, "permissions": list(permissions)}, expect=201)
    return await world.bind(role, "user", user, project, **fields)


def binding(role: str, name: str, kind: str = "user", **fields: Any) -> dict[str, Any]:
    """Return the body that binds a role."""
    return {"role": role, "subject": {"kind": kind, "name": name}, **fields}


@pytest.fixture
async def acme(world: World) -> World:
    """Two projects, each with its owner, and mallory, who would like more."""
    for name in ("acme", "beta"):
        await world.add_project(name)
        await world.add_user(f"{name}-owner")
        await world.bind("owner", "user", f"{name}-owner", name)
    await world.add_user("mallory")
    return world


async def test_an_owner_hands_out_his_project_and_nothing_else(acme: World) -> None:
    """An owner binds owners on his project; not administrators, not on another project, not on the system."""
    by, path = "acme-owner", "/projects/acme/bindings"
    assert (await attempt(acme, by, "POST", path, binding("owner", "mallory"))).status_code == 201
    for role in ("administrator", "auditor", "scanner", "reporter"):
        assert (await attempt(acme, by, "POST", path, binding(role, "mallory"))).status_code == 403, role
    owner = binding("owner", "mallory")
    assert (await attempt(acme, by, "POST", "/projects/beta/bindings", owner)).status_code == 404
    assert (await attempt(acme, by, "POST", "/bindings", owner)).status_code == 403
    assert (await attempt(acme, by, "POST", "/projects/system/bindings", owner)).status_code == 404
    assert (await attempt(acme, by, "DELETE", "/projects/acme")).status_code == 403


async def test_a_binding_is_not_changed_to_a_stronger_role(acme: World) -> None:
    """PATCH of a binding is held to what creating it is; its subject and project never change."""
    made = await acme.bind("reader", "user", "mallory", "acme")
    path = f"/projects/acme/bindings/{made['id']}"
    assert (await attempt(acme, "acme-owner", "PATCH", path, {"role": "administrator"})).status_code == 403
    assert (await attempt(acme, "acme-owner", "PATCH", path, {"role": "owner"})).status_code == 200
    for change in (
        {"subject": {"kind": "user", "name": "acme-owner"}},
        {"project": None},
        {"project": "beta"},
    ):
        assert (await attempt(acme, "acme-owner", "PATCH", path, change)).status_code == 422
    admin = (await acme.api("GET", "/bindings", expect=200))["items"][0]
    assert (await attempt(acme, "acme-owner", "PATCH", f"/bindings/{admin['id']}", {})).status_code == 403
    assert (await attempt(acme, "acme-owner", "DELETE", f"/bindings/{admin['id']}")).status_code == 403


async def test_who_holds_a_part_hands_out_that_part_at_most(acme: World) -> None:
    """With pull on `app` only, neither the whole project nor another part nor more actions can be given."""
    await give(acme, "partial", "project:write", "project:read", project="acme")
    await acme.bind("developer", "user", "partial", "acme", repositories=["app", "team/*"])
    path = "/projects/acme/bindings"
    only_pull = {"name": "only-pull", "permissions": ["repository:pull"]}
    await acme.api("POST", "/roles", only_pull, expect=201)
    for patterns, status in (
        (["app"], 201), (["app", "team/*"], 201), (["**"], 403), (["*"], 403), (["team/**"], 403),
        (["app", "other"], 403), (["app/*"], 403),
    ):  # fmt: skip
        body = binding("only-pull", "mallory", repositories=patterns)
        assert (await attempt(acme, "partial", "POST", path, body)).status_code == status, patterns
    body = binding("maintainer", "mallory", repositories=["app"])
    assert (await attempt(acme, "partial", "POST", path, body)).status_code == 403
    made = await acme.bind("only-pull", "user", "mallory", "acme", repositories=["app"])
    place = f"{path}/{made['id']}"
    assert (await attempt(acme, "partial", "PATCH", place, {"repositories": ["**"]})).status_code == 403


async def test_who_holds_something_for_a_time_or_an_address_gives_it_no_further(
    acme: World, clock: Clock
) -> None:
    """An owner until tomorrow, from one network, makes no owner beyond either; nor does he prolong himself."""
    end = clock() + timedelta(days=1)
    await acme.add_user("guest")
    own = await acme.bind(
        "owner", "user", "guest", "acme", expires_at=end.isoformat(), cidrs=["192.0.2.0/24", "2001:db8::/32"]
    )
    path = "/projects/acme/bindings"
    later = (end + timedelta(seconds=1)).isoformat()
    inside: dict[str, Any] = {"cidrs": ["192.0.2.128/25", "2001:db8:1::/48"], "expires_at": end.isoformat()}
    assert (
        await attempt(acme, "guest", "POST", path, binding("reader", "mallory", **inside))
    ).status_code == 201
    wider: list[dict[str, Any]] = [
        {"expires_at": None}, {"expires_at": later}, {"cidrs": []}, {"cidrs": ["192.0.0.0/16"]}, {"cidrs": ["::/0"]},
        {"cidrs": ["192.0.2.0/24", "10.0.0.0/8"]},
    ]  # fmt: skip
    for change in wider:
        body = binding("reader", "mallory", **{**inside, **change})
        assert (await attempt(acme, "guest", "POST", path, body)).status_code == 403, change
        assert (await attempt(acme, "guest", "PATCH", f"{path}/{own['id']}", change)).status_code == 403, (
            change
        )
    await acme.api("POST", "/projects/acme/robots", {"name": "ci"}, expect=201)
    await acme.bind("reader", "robot", "acme+ci", "acme")
    assert (await attempt(acme, "guest", "POST", "/projects/acme/robots/ci/secrets", {})).status_code == 403
    clock.advance(timedelta(days=1))
    assert (await attempt(acme, "guest", "GET", "/projects/acme")).status_code == 404


async def test_a_robot_that_was_given_more_elsewhere_gives_no_secret_away(acme: World) -> None:
    """An owner makes secrets of his project's robots, and enables them, only as long as they hold no more than he does."""
    await attempt(acme, "acme-owner", "POST", "/projects/acme/robots", {"name": "ci"})
    path = "/projects/acme/robots/ci"
    assert (await attempt(acme, "acme-owner", "POST", f"{path}/secrets", {})).status_code == 201
    made = await acme.bind("reader", "robot", "acme+ci", "beta")
    assert (await attempt(acme, "acme-owner", "POST", f"{path}/secrets", {})).status_code == 403
    assert (await attempt(acme, "acme-owner", "PATCH", path, {"disabled": True})).status_code == 200
    assert (await attempt(acme, "acme-owner", "PATCH", path, {"disabled": False})).status_code == 403
    await acme.api("DELETE", f"/projects/beta/bindings/{made['id']}", expect=204)
    assert (await attempt(acme, "acme-owner", "PATCH", path, {"disabled": False})).status_code == 200


async def test_who_manages_users_does_not_become_an_administrator(acme: World) -> None:
    """With `user:*` alone: no sign-in as anybody who holds more, no binding, no enabling; disabling is allowed."""
    await give(acme, "desk", "user:*")
    await acme.add_user("chief")
    await acme.bind("administrator", "user", "chief")
    for user in (ADMIN, "chief", "acme-owner"):
        new = {"password": "chosen-by-mallory"}
        assert (await attempt(acme, "desk", "PUT", f"/users/{user}/password", new)).status_code == 403
        assert (await attempt(acme, "desk", "POST", f"/users/{user}/tokens", {})).status_code == 403
    assert (
        await attempt(acme, "desk", "PUT", "/users/mallory/password", {"password": "chosen-by-desk"})
    ).status_code == 204
    assert (await attempt(acme, "desk", "POST", "/bindings", binding("reader", "desk"))).status_code == 403
    assert (await attempt(acme, "desk", "PUT", "/groups/crew/members/desk")).status_code == 403
    assert (await attempt(acme, "desk", "PATCH", "/users/chief", {"disabled": True})).status_code == 200
    assert (await attempt(acme, "desk", "PATCH", "/users/chief", {"disabled": False})).status_code == 403
    assert (await attempt(acme, "desk", "PATCH", f"/users/{ADMIN}", {"disabled": True})).status_code == 409
    await acme.api("POST", "/robots", {"name": "root"}, expect=201)
    await acme.bind("administrator", "robot", "system+root")
    assert (await attempt(acme, "desk", "POST", "/robots/root/secrets", {})).status_code == 403


async def test_who_manages_groups_and_roles_does_not_become_an_administrator(acme: World) -> None:
    """With `group:*` and `role:*` alone: no membership, role or binding that gives what one does not hold."""
    await give(acme, "desk", "group:*", "role:*")
    await acme.api("POST", "/groups", {"name": "admins"}, expect=201)
    await acme.bind("administrator", "group", "admins")
    assert (await attempt(acme, "desk", "PUT", "/groups/admins/members/desk")).status_code == 403
    assert (
        await attempt(acme, "desk", "POST", "/bindings", binding("administrator", "desk"))
    ).status_code == 403
    for permission in ("*:*", "user:write", "repository:pull", "project:*"):
        body: dict[str, Any] = {"permissions": [permission]}
        assert (await attempt(acme, "desk", "PATCH", "/roles/role-of-desk", body)).status_code == 403
        assert (await attempt(acme, "desk", "POST", "/roles", {"name": "new", **body})).status_code == 403
    assert (
        await attempt(acme, "desk", "PATCH", "/roles/owner", {"permissions": ["role:read"]})
    ).status_code == 409


async def test_a_token_makes_no_other_and_no_password(acme: World, clock: Clock) -> None:
    """A personal token makes none for its owner, nor a password of his; one with scopes or addresses no sign-in for anybody."""
    soon = (clock() + timedelta(hours=1)).isoformat()
    bodies: list[dict[str, Any]] = [
        {}, {"scopes": ["*:*"]}, {"scopes": ["project:read"]}, {"expires_at": soon}, {"cidrs": ["192.0.2.0/24"]},
    ]  # fmt: skip
    for body in bodies:
        token = str((await acme.api("POST", f"/users/{ADMIN}/tokens", body, expect=201))["token"])
        for wanted in ({}, body):
            answer = await attempt(acme, token, "POST", f"/users/{ADMIN}/tokens", wanted)
            assert answer.status_code == 403, (body, wanted)
        password = {"password": "chosen-by-mallory"}
        assert (await attempt(acme, token, "PUT", f"/users/{ADMIN}/password", password)).status_code == 403
        is_whole = not body.keys() - {"expires_at"}
        others = 201 if is_whole else 403
        assert (await attempt(acme, token, "POST", "/users/mallory/tokens", {})).status_code == others
        set_other = await attempt(
            acme, token, "PUT", "/users/mallory/password", {"password": password_of("mallory")}
        )
        assert set_other.status_code == (204 if is_whole else 403)


async def test_a_token_of_one_network_hands_out_nothing_that_serves_elsewhere(acme: World) -> None:
    """An administrator's token with addresses makes no password, and no binding, membership or role beyond them."""
    narrowed = {"cidrs": ["192.0.2.0/24"]}
    await acme.api("POST", "/groups", {"name": "admins"}, expect=201)
    await acme.bind("administrator", "group", "admins")
    token = str((await acme.api("POST", f"/users/{ADMIN}/tokens", narrowed, expect=201))["token"])
    new = {"name": "new", "password": "chosen-by-mallory"}
    assert (await attempt(acme, token, "POST", "/users", new)).status_code == 403
    role = {"name": "root", "permissions": ["*:*"]}
    assert (await attempt(acme, token, "POST", "/roles", role)).status_code == 403
    assert (await attempt(acme, token, "PUT", "/groups/admins/members/mallory")).status_code == 403
    wider = binding("administrator", "mallory")
    assert (await attempt(acme, token, "POST", "/bindings", wider)).status_code == 403
    inside = await attempt(acme, token, "POST", "/bindings", {**wider, **narrowed})
    assert inside.status_code == 201, inside.text
    place = f"/bindings/{inside.json()['id']}"
    assert (await attempt(acme, token, "PATCH", place, {"cidrs": []})).status_code == 403
    assert (await attempt(acme, token, "DELETE", place)).status_code == 204
    assert (await attempt(acme, token, "POST", "/users", {"name": "without-password"})).status_code == 201


async def test_a_robot_s_secret_prolongs_itself_by_no_other(acme: World, clock: Clock) -> None:
    """A secret that ends makes none of its own robot's that ends later, though the robot may make secrets."""
    end = clock() + timedelta(hours=1)
    await acme.add_robot("acme", "keeper")
    await acme.bind("owner", "robot", "acme+keeper", "acme")
    made = await acme.api(
        "POST", "/projects/acme/robots/keeper/secrets", {"expires_at": end.isoformat()}, expect=201
    )
    await acme.api("POST", "/projects/acme/robots", {"name": "ci"}, expect=201)
    inside, later = end.isoformat(), (end + timedelta(seconds=1)).isoformat()
    cases: list[tuple[str, dict[str, Any], int]] = [
        ("keeper", {}, 403), ("keeper", {"expires_at": later}, 403), ("keeper", {"expires_at": inside}, 409), ("ci", {}, 201),
    ]  # fmt: skip
    for robot, wanted, status in cases:
        answer = await attempt(acme, made["secret"], "POST", f"/projects/acme/robots/{robot}/secrets", wanted)
        assert answer.status_code == status, (robot, wanted, answer.text)


async def test_secrets_rotate_by_machine(acme: World, clock: Clock) -> None:
    """A token without scopes makes robot secrets of any end, whatever its own; one with addresses or limits makes none."""
    end = clock() + timedelta(hours=1)
    await acme.api("POST", "/projects/acme/robots", {"name": "ci"}, expect=201)
    await acme.bind("developer", "robot", "acme+ci", "acme")
    path = "/projects/acme/robots/ci/secrets"
    inside, later = end.isoformat(), (end + timedelta(seconds=1)).isoformat()
    cases: list[tuple[dict[str, Any], dict[str, Any], int]] = [
        ({"expires_at": inside}, {}, 201), ({"expires_at": inside}, {"expires_at": later}, 201),
        ({"cidrs": ["192.0.2.0/24"]}, {"expires_at": inside}, 403),
        ({"scopes": ["*:*"]}, {"expires_at": inside}, 403), ({}, {}, 409),
    ]  # fmt: skip
    for narrowed, wanted, status in cases:
        token = await acme.add_token("acme-owner", **narrowed)
        answer = await attempt(acme, token, "POST", path, wanted)
        assert answer.status_code == status, (narrowed, wanted, answer.text)


async def test_a_limited_token_administers_within_its_limits(acme: World) -> None:
    """An owner's token for reading, or for pulling, hands out nothing and touches nobody's credentials, not even his own."""
    for scopes in (["project:read"], ["repository:acme/**:pull"], ["repository:pull", "project:read"]):
        token = await acme.add_token("acme-owner", scopes=scopes)
        for method, path, body in (
            ("POST", "/projects/acme/bindings", binding("reader", "mallory")),
            ("PATCH", "/projects/acme", {"visibility": "public"}),
            ("POST", "/projects/acme/robots", {"name": "ci"}),
            ("GET", "/users/acme-owner/tokens", None),
            ("DELETE", f"/users/acme-owner/tokens/{token[5:21]}", None),
            ("PATCH", "/users/acme-owner", {"email": "mallory@x"}),
        ):
            status = (await attempt(acme, token, method, path, body)).status_code
            assert status in (403, 404), (scopes, method, path, status)
    token = await acme.add_token("acme-owner", scopes=["project:write", "project:read", "repository:pull"])
    path = "/projects/acme/bindings"
    reader, developer = binding("reader", "mallory"), binding("developer", "mallory")
    assert (await attempt(acme, token, "POST", path, reader)).status_code == 201
    assert (await attempt(acme, token, "POST", path, developer)).status_code == 403


async def test_machine_credentials_of_the_realm_do_not_administer(acme: World) -> None:
    """A refresh token is refused in every form; an access token too; a robot does what is bound to it and no more."""
    answer = await acme.ask_as("acme-owner", offline_token="true")
    refresh, access = answer.json()["refresh_token"], answer.json()["token"]
    for auth in (("acme-owner", refresh), ("<token>", refresh), ("", refresh)):
        assert (await acme.client.get(f"{API}/me", auth=auth)).status_code == 401
    for text in (refresh, access, "", "ats_", "x" * 5000):
        headers = {"authorization": f"Bearer {text}"}
        assert (await acme.client.get(f"{API}/me", headers=headers)).status_code == 401
    secret = await acme.add_robot("acme", "ci")
    await acme.bind("developer", "robot", "acme+ci", "acme")
    for method, path, body in (
        ("POST", "/projects/acme/robots/ci/secrets", {}),
        ("POST", "/projects/acme/bindings", binding("reader", "acme+ci", "robot")),
        ("PUT", "/users/acme-owner/password", {"password": "chosen-by-desk"}),
        ("GET", "/users", None),
    ):
        assert (await attempt(acme, secret, method, path, body)).status_code == 403


async def test_the_last_administrator_stays(acme: World, clock: Clock) -> None:
    """Whatever would leave nobody who is an administrator for good is refused, and changes nothing; with another it is not."""
    own = (await acme.api("GET", "/bindings", expect=200))["items"][0]["id"]
    soon = (clock() + timedelta(days=999)).isoformat()
    await acme.add_user("second")
    await acme.bind("administrator", "user", "second", expires_at=soon)
    await acme.add_user("third")
    await acme.bind("administrator", "user", "third", cidrs=["192.0.2.0/24"])
    await acme.add_user("off")
    await acme.bind("administrator", "user", "off")
    await acme.api("PATCH", "/users/off", {"disabled": True}, expect=200)
    await acme.api("POST", "/groups", {"name": "empty"}, expect=201)
    await acme.bind("administrator", "group", "empty")
    await acme.add_robot(None, "root")
    await acme.bind("administrator", "robot", "system+root")
    attempts: list[tuple[str, str, dict[str, Any] | None]] = [
        ("DELETE", f"/users/{ADMIN}", None), ("PATCH", f"/users/{ADMIN}", {"disabled": True}),
        ("DELETE", f"/bindings/{own}", None), ("PATCH", f"/bindings/{own}", {"role": "auditor"}),
        ("PATCH", f"/bindings/{own}", {"expires_at": soon}), ("PATCH", f"/bindings/{own}", {"not_before": soon}),
        ("PATCH", f"/bindings/{own}", {"cidrs": ["0.0.0.0/0"]}), ("PATCH", f"/bindings/{own}", {"services": ["x"]}),
    ]  # fmt: skip
    before = await acme.deps.memory.refresh()
    for method, path, body in attempts:
        for by in (ADMIN, "third"):
            answer = await attempt(acme, by, method, path, body)
            assert answer.status_code in (403, 409), (method, path, body, answer.text)
            assert answer.status_code == 409 or by == "third"
    assert await acme.deps.memory.refresh() == before
    await acme.api("PUT", "/groups/empty/members/second", expect=204)
    await acme.api("DELETE", f"/users/{ADMIN}", expect=204)
    by_second = ("second", password_of("second"))
    await acme.api("DELETE", "/groups/empty/members/second", expect=409, by=by_second)
    await acme.api("DELETE", "/groups/empty", expect=409, by=by_second)


async def test_a_role_of_ones_own_keeps_the_last_administrator_too(acme: World) -> None:
    """Who is an administrator by another role that holds everything cannot be undone by changing that role."""
    await acme.api("POST", "/roles", {"name": "root", "permissions": ["*:*"]}, expect=201)
    old = (await acme.api("GET", "/bindings", expect=200))["items"][0]["id"]
    await acme.bind("root", "user", ADMIN)
    await acme.api("DELETE", f"/bindings/{old}", expect=204)
    await acme.api("PATCH", "/roles/root", {"permissions": ["user:*"]}, expect=409)
    await acme.api("PATCH", "/roles/root", {"permissions": ["*:*", "user:*"]}, expect=200)


async def test_two_administrators_who_remove_each_other_leave_one(acme: World) -> None:
    """However the two removals race, one administrator stays."""
    rest = {ADMIN: ADMIN_PASSWORD}
    for number in range(12):
        (alone, password), rival = rest.popitem(), f"rival{number}"
        by = (alone, password)
        await acme.api("POST", "/users", {"name": rival, "password": password_of(rival)}, expect=201, by=by)
        made = await acme.api("POST", "/bindings", binding("administrator", rival), expect=201, by=by)
        listed = (await acme.api("GET", "/bindings?limit=200", expect=200, by=by))["items"]
        own = next(item for item in listed if item["subject"]["name"] == alone)
        ways = {
            0: (f"/users/{rival}", f"/users/{alone}"),
            1: (f"/bindings/{made['id']}", f"/bindings/{own['id']}"),
            2: (f"/users/{rival}", f"/bindings/{own['id']}"),
        }[number % 3]
        answers = await asyncio.gather(
            acme.client.delete(API + ways[0], auth=by),
            acme.client.delete(API + ways[1], auth=(rival, password_of(rival))),
        )
        assert min(answer.status_code for answer in answers) == 204
        assert {answer.status_code for answer in answers} <= {204, 401, 403, 409}
        left = [who for who in (by, (rival, password_of(rival))) if await _is_administrator(acme, who)]
        assert len(left) == 1, (number, answers)
        rest = dict(left)
        if number % 3 and left[0] == by:
            await acme.api("DELETE", f"/users/{rival}", expect=204 if number % 3 == 1 else 404, by=by)


async def _is_administrator(world: World, who: tuple[str, str]) -> bool:
    return (await world.client.get(f"{API}/bindings", auth=who)).status_code == 200


async def test_who_is_revoked_changes_nothing_afterwards(acme: World) -> None:
    """A change that races with the revocation of who makes it either is in the log before it, or is refused."""
    made = await acme.bind("owner", "user", "mallory", "acme")
    path = f"/projects/acme/bindings/{made['id']}"
    changes = [
        attempt(acme, "mallory", "POST", "/projects/acme/robots", {"name": f"bot{number}"})
        for number in range(12)
    ]
    revoke = attempt(acme, ADMIN, "DELETE", path)
    answers = await asyncio.gather(*changes[:6], revoke, *changes[6:])
    assert answers.pop(6).status_code == 204
    events = [(entry["kind"], entry["actor"]["name"]) for _, entry in await acme.events()]
    ended = events.index(("policy.binding.deleted", ADMIN))
    assert ("policy.robot.created", "mallory") not in events[ended:]
    created = events.count(("policy.robot.created", "mallory"))
    assert created == sum(answer.status_code == 201 for answer in answers)
    assert {answer.status_code for answer in answers} <= {201, 404}


async def test_what_a_deleted_project_gave_is_gone_when_its_name_returns(acme: World) -> None:
    """Neither owners nor robots of a project survive into a new one of the same name."""
    secret = await acme.add_robot("acme", "ci")
    await acme.bind("owner", "robot", "acme+ci", "acme")
    assert (await attempt(acme, secret, "GET", "/projects/acme")).status_code == 200
    await acme.api("DELETE", "/projects/acme", expect=204)
    await acme.add_project("acme", visibility="private")
    assert (await attempt(acme, secret, "GET", "/projects/acme")).status_code == 401
    assert (await attempt(acme, "acme-owner", "GET", "/projects/acme")).status_code == 404
    assert access_of(await acme.ask_as("acme-owner", "repository:acme/app:pull")) == {}
