"""`GET /audit`: who may ask what, pages, parameters, and that asking is logged."""

import json
from typing import Any

import httpx
import pytest

from authsvc.core.kind import Kind
from tests.world import ADMIN, ADMIN_PASSWORD, World, claims_of, password_of

ADMINISTRATOR = (ADMIN, ADMIN_PASSWORD)


async def audit(world: World, by: tuple[str, str] = ADMINISTRATOR, **query: Any) -> httpx.Response:
    """Ask the log."""
    return await world.client.get("/api/v1/audit", params=query, auth=by)


async def items(world: World, by: tuple[str, str] = ADMINISTRATOR, **query: Any) -> list[dict[str, Any]]:
    """Return what the log answers."""
    response = await audit(world, by, **query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


async def town(world: World) -> None:
    """A project with a developer, an auditor of the system and one of the project only, and a stranger."""
    for name in ("dora", "auditor", "inside", "stranger"):
        await world.add_user(name)
    for project in ("acme", "beta"):
        await world.add_project(project)
        await world.bind("developer", "user", "dora", project)
    await world.api("POST", "/roles", {"name": "local-auditor", "permissions": ["audit:read"]}, expect=201)
    await world.bind("auditor", "user", "auditor")
    await world.bind("local-auditor", "user", "inside", "acme")


def signed_in(name: str) -> tuple[str, str]:
    """Return what a user signs in with."""
    return name, password_of(name)


async def test_a_token_is_found_by_everything_it_is(world: World) -> None:
    """Actor, kind, project, repository, action, outcome, address and jti each lead to a token's event."""
    await town(world)
    answer = await world.ask_as("dora", "repository:acme/app:pull,push")
    jti = claims_of(answer.json()["token"])["jti"]
    for query in (
        {"actor": "dora", "kind": "token.issued"}, {"kind": "token.*"}, {"repository": "acme/app"}, {"jti": jti},
        {"project": "acme", "action": "push"}, {"outcome": "allowed", "actor": "dora"}, {"address": "192.0.2.7"},
    ):  # fmt: skip
        (event,) = [item for item in await items(world, **query) if item["kind"] == "token.issued"]
        assert event["jti"] == jti
        assert event["seq"] == int(jti.split(".")[1])
        assert event["actor"]["name"] == "dora"
        assert event["time"].endswith("Z")
    assert await items(world, jti=jti[:-1] + ("A" if jti[-1] != "A" else "B")) == []


async def test_asking_is_logged_and_not_in_its_own_answer(world: World) -> None:
    """Each question is an event with its filter and who asked, which the next question finds."""
    await town(world)
    first = await items(world, signed_in("auditor"), actor="dora", since="2026-01-01T00:00:00+01:00")
    assert not [item for item in first if item["kind"] == "audit.queried"]
    await items(world, signed_in("auditor"))
    (_, asked), (_, again) = await world.events(kind=Kind.AUDIT_QUERIED)
    assert asked["actor"]["name"] == again["actor"]["name"] == "auditor"
    assert asked["filter"] == {"actor": "dora", "since": "2025-12-31T23:00:00+00:00"}


@pytest.mark.parametrize("order", ["newest", "oldest", "desc", "asc"])
async def test_pages_survive_writers(world: World, order: str) -> None:
    """Pages give every event once and in order, though each page's question is itself an event that is written meanwhile."""
    await town(world)
    expected = [seq for seq, _ in await world.events(kind="policy.*")]
    seen: list[int] = []
    page = await audit(world, kind="policy.*", order=order, limit=3)
    while True:
        seen += [item["seq"] for item in page.json()["items"]]
        if page.json()["next_cursor"] is None:
            break
        assert page.links["next"]["url"].count("kind=policy.") == 1
        page = await audit(world, kind="policy.*", order=order, limit=3, cursor=page.json()["next_cursor"])
    assert seen == (expected if order in ("oldest", "asc") else expected[::-1])


async def test_an_auditor_reads_everything_and_changes_nothing(world: World) -> None:
    """The auditor role is shown every event and one alone, and is refused every change."""
    await town(world)
    auditor = signed_in("auditor")
    assert [item["seq"] for item in await items(world, auditor, order="oldest", limit=200)] == [
        seq for seq, entry in await world.events() if entry["kind"] != "audit.queried"
    ]
    one = await world.api("GET", "/audit/0", expect=200, by=auditor)
    assert json.loads(one["entry"])["nonce"] == one["nonce"]
    await world.api("POST", "/projects", {"name": "mine"}, expect=403, by=auditor)
    await world.api("GET", "/audit/99999", expect=404, by=auditor)


async def test_who_may_not_read_the_log(world: World) -> None:
    """Strangers, developers, and readers of one project's log are refused the whole; nothing of that is logged as a question."""
    await town(world)
    for name in ("stranger", "dora", "inside"):
        assert (await audit(world, signed_in(name))).status_code == 403
        assert (await audit(world, signed_in(name), project="beta")).status_code in (403, 404)
        await world.api("GET", "/audit/0", expect=403, by=signed_in(name))
    assert (await audit(world, ("", ""))).status_code == 401
    assert await world.events(kind=Kind.AUDIT_QUERIED) == []


async def test_a_reader_of_one_project_s_log_is_shown_that_project(world: World) -> None:
    """Who holds `audit:read` in one project sees its events, without what the same request asked of another."""
    await town(world)
    await world.ask_as("dora", "repository:acme/app:push", "repository:beta/secret:pull", "repository:%:odd")
    found = await items(world, signed_in("inside"), project="acme")
    assert {"policy.project.created", "policy.binding.created", "token.issued"} <= {e["kind"] for e in found}
    (token,) = [item for item in found if item["kind"] == "token.issued"]
    assert [grant["name"] for grant in token["grants"]] == ["acme/app"]
    assert "beta" not in json.dumps(found)
    (whole,) = await items(world, kind="token.issued")
    assert [grant["name"] for grant in whole["grants"]][:2] == ["acme/app", "beta/secret"]


async def test_a_reader_of_one_project_s_log_cannot_search_by_another(world: World) -> None:
    """No search of who is confined to a project finds, or pages, by what its events ask and tell of other projects."""
    await town(world)
    await world.ask_as("dora", "repository:acme/app:pull", "repository:beta/secret:push,delete")
    by = signed_in("inside")
    for repository in ("beta/secret", "beta/none"):
        refused = await audit(world, by, project="acme", repository=repository)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "repository")
    queries: tuple[dict[str, Any], ...] = ({"action": "push"}, {"outcome": "partial"})
    for query in queries:
        page = await audit(world, by, project="acme", kind="token.issued", limit=1, **query)
        assert (page.json()["items"], page.json()["next_cursor"]) == ([], None)
        assert await items(world, project="acme", kind="token.issued", **query) != []
    (token,) = await items(world, by, project="acme", action="pull", outcome="allowed")
    assert token["outcome"] == "allowed"


async def test_a_mount_tells_each_project_of_itself(world: World) -> None:
    """A reader of one project's log sees that something was mounted, and not the other project's end of it."""
    await town(world)
    event = {
        "id": "1", "action": "mount", "target": {"repository": "acme/app", "fromRepository": "beta/secret"},
        "actor": {"name": "dora"},
    }  # fmt: skip
    await world.api("POST", "/events", {"events": [event]}, expect=200)
    await world.bind("local-auditor", "user", "inside", "beta")
    for project, shown, hidden in (("acme", "acme/app", "beta/secret"), ("beta", "beta/secret", "acme/app")):
        (found,) = await items(world, signed_in("inside"), project=project, kind="registry.mount")
        assert shown in json.dumps(found)
        assert hidden not in json.dumps(found)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("kind=token.eaten", "kind"),
        ("kind=none.*", "kind"),
        ("outcome=fine", "outcome"),
        ("address=10.0.0", "address"),
        ("jti=1.x.y", "jti"),
        ("since=yesterday", "since"),
        ("since=2026-11-24T08:00:00", "since"),
        ("until=2026-02-31T00:00:00Z", "until"),
        ("actor=a%00b", "actor"),
        ("order=sideways", "order"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("cursor=abc", "cursor"),
        ("actor=alice&actor=bob", "actor"),
        ("repo=acme/app", "repo"),
    ],
)
async def test_a_wrong_parameter_is_refused_by_name(world: World, query: str, pointer: str) -> None:
    """A value that cannot be meant, a parameter given twice and one that does not exist are 422, told by name."""
    response = await world.client.get(f"/api/v1/audit?{query}", auth=ADMINISTRATOR)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
