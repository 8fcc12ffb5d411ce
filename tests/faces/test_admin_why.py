"""Explain, who can and access reviews through the admin API: what they say, and to whom."""

import csv
import io
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from authsvc.core.reason import MEANINGS, Reason
from tests.clock import Clock
from tests.world import SERVICE, World, password_of

ALICE = ("alice", password_of("alice"))


def reasons_of(grant: dict[str, Any]) -> dict[str, str]:
    """Return the reason of each action."""
    return {reason["action"]: reason["reason"] for reason in grant["reasons"]}


async def explain(world: World, account: str, *scopes: str, **fields: Any) -> list[dict[str, Any]]:
    """Ask the administrator's question why."""
    question = {"account": account, "service": SERVICE, "scopes": scopes, **fields}
    grants: list[dict[str, Any]] = (await world.api("POST", "/explain", question, expect=200))["grants"]
    return grants


async def who_can(world: World, repository: str, action: str, **params: str) -> list[dict[str, Any]]:
    """Ask the administrator's question who."""
    query = "&".join(f"{name}={value}" for name, value in params.items())
    path = f"/who-can?repository={repository}&action={action}&{query}"
    items: list[dict[str, Any]] = (await world.api("GET", path, expect=200))["items"]
    return items


def test_every_reason_has_a_meaning() -> None:
    """The vocabulary is closed, and each word of it is explained to people."""
    assert set(MEANINGS) == set(Reason)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("repository:acme/app", []), ("repository:acme/app:PULL,push", ["PULL", "push"]), ("nonsense", []),
        ("repository:acme/app:", []), ("repository::pull", ["pull"]),
    ],
)  # fmt: skip
async def test_what_is_no_scope_is_said_to_be_none(world: World, text: str, refused: list[str]) -> None:
    """A malformed scope is answered in its place as malformed, never with an action that has no name."""
    (grant,) = await explain(world, "admin", text)
    assert (grant["scope"], grant["granted"], grant["refused"]) == (text, [], refused)
    assert set(reasons_of(grant).values()) == {"malformed_scope"}


async def test_an_account_that_does_not_exist_is_a_reason(world: World) -> None:
    """To who may read users, an unknown account is refused for being unknown, robots alike; to others all accounts are alike."""
    await world.add_project("acme", visibility="public")
    await world.add_user("alice")
    for account in ("nobody", "acme+nothing", "system+nothing"):
        (grant,) = await explain(world, account, "repository:acme/app:pull")
        assert reasons_of(grant) == {"pull": "unknown_account"}
        question = {"account": account, "scopes": ["repository:acme/app:pull"]}
        unknown = await world.client.post("/api/v1/explain", json=question, auth=ALICE)
        known = await world.client.post("/api/v1/explain", json={**question, "account": "admin"}, auth=ALICE)
        assert (unknown.status_code, unknown.json()) == (known.status_code, known.json())
        assert known.status_code == 403


async def test_anybody_may_ask_about_anonymous(world: World) -> None:
    """What anonymous may do is what anybody can try, so anybody may ask why."""
    await world.add_project("acme", visibility="public")
    await world.add_user("alice")
    question = {"account": "", "scopes": ["repository:acme/app:pull,push", "repository:absent/app:pull"]}
    answer = await world.api("POST", "/explain", question, expect=200, by=ALICE)
    assert [reasons_of(grant) for grant in answer["grants"]] == [
        {"pull": "public", "push": "no_binding"},
        {"pull": "no_binding"},
    ]


async def test_no_condition_tells_that_a_project_exists(world: World, clock: Clock) -> None:
    """Who is bound on the whole system, but not now, is told the same of projects that exist and of those that do not."""
    await world.add_user("alice")
    await world.add_project("hidden")
    await world.bind("scanner", "user", "alice", expires_at=(clock() + timedelta(hours=1)).isoformat())
    clock.advance(timedelta(hours=2))
    scopes = ["repository:hidden/app:pull,push", "repository:absent/app:pull,push"]
    question = {"account": "alice", "service": SERVICE, "scopes": scopes}
    answer = await world.api("POST", "/explain", question, expect=200, by=ALICE)
    hidden, absent = ({**grant, "scope": ""} for grant in answer["grants"])
    assert hidden == absent
    assert reasons_of(hidden) == {"pull": "expired", "push": "no_binding"}


async def test_explain_grants_nobody_what_a_token_does_not(world: World) -> None:
    """Who may pull everywhere is told of a project that does not exist, as the token tells it too."""
    await world.add_user("alice")
    await world.bind("scanner", "user", "alice")
    question = {"account": "alice", "scopes": ["repository:absent/app:pull,push"]}
    answer = await world.api("POST", "/explain", question, expect=200, by=ALICE)
    assert reasons_of(answer["grants"][0]) == {"pull": "unknown_project", "push": "role"}


async def test_a_credential_s_limits_addresses_and_end_count(world: World, clock: Clock) -> None:
    """With a token's id, explain says what that token would get; another's token is nobody's."""
    await world.add_user("alice")
    await world.add_user("bob")
    await world.add_project("acme")
    await world.bind("developer", "user", "alice", "acme")
    end = (clock() + timedelta(hours=1)).isoformat()
    fields = {"scopes": ["repository:acme/app:pull"], "cidrs": ["192.0.2.0/24"], "expires_at": end}
    await world.add_token("alice", **fields)
    (token,) = (await world.api("GET", "/users/alice/tokens", expect=200))["items"]
    scope, id_ = "repository:acme/app:pull,push", {"credential": token["id"]}
    (inside,) = await explain(world, "alice", scope, address="192.0.2.9", **id_)
    assert reasons_of(inside) == {"pull": "binding", "push": "outside_limits"}
    (outside,) = await explain(world, "alice", scope, address="198.51.100.1", **id_)
    assert reasons_of(outside) == {"pull": "address", "push": "address"}
    (ended,) = await explain(world, "alice", scope, address="192.0.2.9", at=end, **id_)
    assert reasons_of(ended) == {"pull": "expired", "push": "expired"}
    await world.api("POST", "/explain", {"account": "bob", "scopes": [scope], **id_}, expect=422)


@pytest.mark.parametrize("field", ["account", "service", "scopes"])
@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
async def test_what_no_name_can_hold_is_refused(world: World, field: str, text: str) -> None:
    """Control characters and broken Unicode in a question are the asker's fault, not the service's."""
    body = '{"scopes": []}' if field != "scopes" else '{"scopes": ["%s"]}'
    escaped = text.encode("utf-16-be", "surrogatepass").hex()
    written = "".join(f"\\u{escaped[at : at + 4]}" for at in range(0, len(escaped), 4))
    raw = body % written if field == "scopes" else body[:-1] + f', "{field}": "{written}"}}'
    answer = await world.client.post(
        "/api/v1/explain",
        content=raw,
        auth=("admin", "admin-password-1"),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422, answer.text


async def test_who_can_names_everybody_with_the_binding(world: World) -> None:
    """Users, members of groups, robots and holders of the whole system are listed by name; who is disabled is not."""
    for name in ("alice", "bob", "carol", "dora"):
        await world.add_user(name)
    await world.add_project("acme")
    await world.add_project("other")
    await world.add_robot("acme", "ci")
    await world.api("POST", "/groups", {"name": "devs"}, expect=201)
    await world.api("PUT", "/groups/devs/members/bob", expect=204)
    await world.api("PUT", "/groups/devs/members/dora", expect=204)
    direct = await world.bind("developer", "user", "alice", "acme", repositories=["app", "team/*"])
    grouped = await world.bind("developer", "group", "devs", "acme", cidrs=["10.0.0.0/8"])
    robot = await world.bind("maintainer", "robot", "acme+ci", "acme")
    await world.bind("reader", "user", "carol", "acme")
    await world.bind("owner", "user", "carol", "other")
    await world.api("PATCH", "/users/dora", {"disabled": True}, expect=200)
    found = await who_can(world, "acme/team/app", "push")
    assert [(item["kind"], item["name"], item["role"], item["group"]) for item in found] == [
        ("robot", "acme+ci", "maintainer", None),
        ("user", "admin", "administrator", None),
        ("user", "alice", "developer", None),
        ("user", "bob", "developer", "devs"),
    ]
    assert [found[at]["binding"] for at in (0, 2, 3)] == [robot["id"], direct["id"], grouped["id"]]
    assert found[1]["project"] is None
    assert found[2]["repositories"] == ["app", "team/*"]
    assert found[3]["cidrs"] == ["10.0.0.0/8"]
    assert [item["name"] for item in await who_can(world, "acme/else", "push")] == ["acme+ci", "admin", "bob"]
    from_afar = await who_can(world, "acme/else", "push", address="192.0.2.1")
    assert [item["name"] for item in from_afar] == ["acme+ci", "admin"]


async def test_who_can_says_whom_visibility_lets_in(world: World) -> None:
    """Visibility comes first, as anonymous and authenticated, for pulling only; nobody can do anything in an unknown project."""
    await world.add_project("open", visibility="public")
    await world.add_project("house", visibility="internal")
    for project, expected in (("open", ["anonymous", "authenticated"]), ("house", ["authenticated"])):
        found = await who_can(world, f"{project}/app", "pull")
        assert [item["name"] for item in found] == [*expected, "admin"]
        assert {item["reason"] for item in found[:-1]} == {"public" if project == "open" else "internal"}
        assert [item["name"] for item in await who_can(world, f"{project}/app", "push")] == ["admin"]
    assert await who_can(world, "absent/app", "pull") == []


async def test_who_can_comes_in_pages(world: World) -> None:
    """Pages of one hold each row once, visibility included."""
    await world.add_project("open", visibility="public")
    await world.api("POST", "/groups", {"name": "devs"}, expect=201)
    for name in ("alice", "bob"):
        await world.add_user(name)
        await world.api("PUT", f"/groups/devs/members/{name}", expect=204)
        await world.bind("reader", "user", name, "open")
    await world.bind("reader", "group", "devs", "open")
    whole = await who_can(world, "open/app", "pull")
    pages: list[dict[str, Any]] = []
    path = "/who-can?repository=open/app&action=pull&limit=1"
    page = await world.api("GET", path, expect=200)
    while page["next_cursor"] is not None:
        pages += page["items"]
        assert len(page["items"]) == 1
        page = await world.api("GET", f"{path}&cursor={page['next_cursor']}", expect=200)
    assert [*pages, *page["items"]] == whole
    assert [item["name"] for item in whole] == [
        "anonymous", "authenticated", "admin", "alice", "alice", "bob", "bob",
    ]  # fmt: skip


async def test_owners_maintainers_auditors_and_administrators_may_ask_who(world: World) -> None:
    """Others are refused: readers for want of the right, and outsiders as if the project were not there."""
    await world.add_project("acme")
    await world.add_project("other")
    for role in ("reader", "developer", "maintainer", "owner"):
        await world.add_user(role)
        await world.bind(role, "user", role, "acme")
    await world.add_user("outsider")
    await world.bind("owner", "user", "outsider", "other")
    await world.add_user("auditor")
    await world.bind("auditor", "user", "auditor")
    expected = {
        "reader": 403,
        "developer": 403,
        "maintainer": 200,
        "owner": 200,
        "auditor": 200,
        "outsider": 404,
    }
    for name, status in expected.items():
        by = (name, password_of(name))
        await world.api("GET", "/who-can?repository=acme/app&action=pull", expect=status, by=by)
        await world.api("GET", "/projects/acme/access-review", expect=status, by=by)
        as_csv = await world.client.get("/api/v1/projects/acme/access-review?format=csv", auth=by)
        assert as_csv.status_code == status
    by = ("outsider", password_of("outsider"))
    for path in ("/who-can?action=pull&repository={}/app", "/projects/{}/access-review"):
        hidden, absent = [
            (await world.api("GET", path.format(name), expect=404, by=by))["detail"].replace(name, "")
            for name in ("acme", "absent")
        ]
        assert hidden == absent
    await world.api("GET", "/projects/absent/access-review", expect=404)


@pytest.mark.parametrize(
    "query",
    ["", "repository=acme/app", "action=pull", "repository=ACME&action=pull", "repository=acme/app&action=pull,push",
     "repository=acme/app&action=P", "repository=acme/app&action=pull&address=x", "repository=acme/app&action=pull&at=x",
     "repository=acme/app&action=pull&service=%00", "repository=acme/%00&action=pull",
     "repository=acme/app&action=pull&limit=0", "repository=acme/app&action=pull&cursor=x"],
)  # fmt: skip
async def test_a_question_that_is_none_is_refused(world: World, query: str) -> None:
    """A question that cannot be understood is told so, precisely."""
    answer = await world.api("GET", f"/who-can?{query}", expect=422)
    assert answer["errors"]


async def test_a_review_shows_every_way_in_and_its_last_use(world: World, clock: Clock) -> None:
    """Each row has what it allows, through what, in which state, and when the principal last got a token for the project."""
    for name in ("alice", "bob", "carol"):
        await world.add_user(name)
    await world.add_project("acme", visibility="internal")
    await world.add_project("other")
    await world.bind("developer", "user", "alice", "acme")
    ends = (clock() + timedelta(hours=1)).isoformat()
    await world.bind("reader", "user", "bob", "acme", expires_at=ends)
    await world.bind("reader", "user", "carol", "acme", not_before=(clock() + timedelta(days=9)).isoformat())
    await world.bind("reporter", "user", "carol")
    used = clock()
    await world.ask_as("alice", "repository:acme/app:pull")
    clock.advance(timedelta(minutes=1))
    await world.ask_as("alice", "repository:other/app:pull")
    await world.ask_as("bob", "repository:other/app:pull")
    clock.advance(timedelta(hours=2))
    await world.api("PATCH", "/users/alice", {"disabled": True}, expect=200)
    found = (await world.api("GET", "/projects/acme/access-review", expect=200))["items"]
    assert [(item["name"], item["state"], item["permissions"]) for item in found] == [
        ("authenticated", "active", ["repository:pull"]),
        ("admin", "active", ["*:*"]),
        ("alice", "disabled", ["project:read", "repository:pull", "repository:push"]),
        ("bob", "expired", ["project:read", "repository:pull"]),
        ("carol", "not_yet", ["project:read", "repository:pull"]),
    ]
    assert [item["last_used"] for item in found] == [
        None, None, used.isoformat().replace("+00:00", "Z"), None, None,
    ]  # fmt: skip
    assert {item["searched_since"] for item in found} == {None}


async def test_a_namesake_s_use_is_not_one_s_own(world: World, clock: Clock) -> None:
    """A user made anew under a name has not used what the one before used."""
    await world.add_project("acme", visibility="internal")
    for _ in range(2):
        await world.add_user("alice")
        await world.bind("reader", "user", "alice", "acme")
        clock.advance(timedelta(minutes=1))
        (row,) = [
            item
            for item in (await world.api("GET", "/projects/acme/access-review", expect=200))["items"]
            if item["name"] == "alice"
        ]
        assert row["last_used"] is None
        await world.ask_as("alice", "repository:acme/app:pull")
        clock.advance(timedelta(minutes=1))
        await world.api("DELETE", "/users/alice", expect=204)


async def test_a_review_as_csv_holds_no_formulas(world: World, superuser_url: str) -> None:
    """CSV is asked for by parameter or Accept, has the rows of the JSON, and no cell that a spreadsheet computes."""
    await world.add_user("alice")
    await world.add_project("acme")
    await world.bind("reader", "user", "alice", "acme", services=["=cmd()", "@x"], cidrs=["10.0.0.0/8"])
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        # No name that the API takes begins like this: the cells are safe by themselves.
        connection.execute("UPDATE users SET name = '-1=2' WHERE name = 'alice'")
    auth = ("admin", "admin-password-1")
    path = "/api/v1/projects/acme/access-review"
    by_parameter = await world.client.get(f"{path}?format=csv", auth=auth)
    by_accept = await world.client.get(path, auth=auth, headers={"accept": "text/csv"})
    json_wins = await world.client.get(f"{path}?format=json", auth=auth, headers={"accept": "text/csv"})
    assert by_parameter.text == by_accept.text
    assert by_parameter.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert by_parameter.headers["content-disposition"] == 'attachment; filename="access-review-acme.csv"'
    rows = list(csv.DictReader(io.StringIO(by_parameter.text)))
    assert [row["name"].removeprefix("'") for row in rows] == [
        item["name"] for item in json_wins.json()["items"]
    ]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    (alice,) = [row for row in rows if row["name"] == "'-1=2"]
    assert (alice["services"], alice["cidrs"]) == ("'=cmd(); @x", "10.0.0.0/8")
    assert alice["permissions"] == "project:read; repository:pull"
