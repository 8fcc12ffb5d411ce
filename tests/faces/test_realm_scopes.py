"""Token protocol A2: the scopes of a request (items 23 to 42)."""

import pytest

from tests.faces.realm import ALICE, CAROL, OLGA, Realm, assert_error, basic, new_name
from tests.world import SERVICE

APP = ("repository", "acme/app", ["pull", "push"])
BETA = ("repository", "beta/app", ["pull"])
ODD = [
    "repository",
    "repository:acme/app",
    "repository::pull",
    "repository:acme/app:",
    "repository:Acme/App:pull",
    "repository:acme/app:PULL",
    "repository:acme//app:pull",
    "repository:acme/app/:pull",
    "repository:../acme/app:pull",
    "repository:acme%2Fapp:pull",
    "repository:acme/äpp:pull",
    "repository:acme/a\x00pp:pull",
    "registry:catalog:",
    "registry:other:*",
    "artifact:acme/app:pull",
    "Repository:acme/app:pull",
    "repository(:acme/app:pull",
    ":acme/app:pull",
    ":::",
    ":",
    "\x00",
    "repository:" + "a" * 300 + ":pull",
]


@pytest.mark.item(23, 24, 117)
@pytest.mark.parametrize("scopes", ["", "&scope=", "&scope", "&scope=&scope=", "&scope=+", "&scope=%20%20"])
async def test_no_scope_and_an_empty_scope_are_the_same(realm: Realm, scopes: str) -> None:
    """`docker login` sends none and containerd an empty one: both get a token whose access is exactly []."""
    claims = await realm.claims(await realm.get(f"service={SERVICE}{scopes}", basic(*ALICE)))
    assert (claims["sub"], claims["access"]) == ("alice", [])
    form = f"grant_type=password&username=alice&password={ALICE[1]}&service={SERVICE}{scopes}"
    assert (await realm.claims(await realm.post(form)))["access"] == []


@pytest.mark.item(25, 26, 27, 28, 29)
@pytest.mark.parametrize(
    "scopes",
    [
        "scope=repository:acme/app:pull,push&scope=repository:beta/app:pull",
        "scope=repository:acme/app:pull,push+repository:beta/app:pull",
        "scope=repository%3Aacme%2Fapp%3Apull%2Cpush%20repository%3Abeta%2Fapp%3Apull",
        "scope=++repository:acme/app:pull,push+++repository:beta/app:pull+",
        "scope=repository:acme/app:pull&scope=repository:acme/app:push+repository:beta/app:pull",
        "scope=repository:acme/app:push+repository:beta/app:pull&scope=&scope=repository:acme/app:pull",
    ],
)
async def test_every_way_to_send_two_scopes_is_honoured(realm: Realm, scopes: str) -> None:
    """Repeated, joined by spaces, or both at once, on GET and on POST: all scopes count."""
    got = await realm.get(f"service={SERVICE}&{scopes}", basic(*ALICE))
    form = f"grant_type=password&username=alice&password={ALICE[1]}&service={SERVICE}&{scopes}"
    for response in (got, await realm.post(form)):
        assert await realm.access(response) == [APP, BETA]


@pytest.mark.item(30, 31, 73)
@pytest.mark.parametrize(
    "scopes",
    [
        ["repository:acme/app:pull", "repository:acme/app:pull,push"],
        ["repository:acme/app:pull,push", "repository:acme/app:pull"],
        ["repository:acme/app:push", "repository:acme/app:pull"],
        ["repository:acme/app:pull,push", "repository:acme/app:pull,push"],
        ["repository:acme/app:pull,push"] * 50,
        ["repository:acme/app:pull,pull,push,push"],
        ["repository:acme/app:delete", "repository:acme/app:pull", "repository:acme/app:push"],
    ],
)
async def test_the_same_repository_is_one_entry_with_every_action(realm: Realm, scopes: list[str]) -> None:
    """The last does not win, nor the first; what is asked twice is granted once."""
    assert await realm.access(await realm.ask(*scopes, by=ALICE)) == [APP]


@pytest.mark.item(32, 119)
@pytest.mark.parametrize("host", ["reg.example.com:5000", "[::1]:5000", "docker.io"])
async def test_a_name_may_hold_colons(realm: Realm, host: str) -> None:
    """The type ends at the first colon and the actions begin after the last: a port stays in the name, as asked."""
    service = await realm.add_service(new_name("notary.test:"), name_prefix=f"{host}/")
    name = f"{host}/acme/app"
    response = await realm.world.ask(f"repository:{name}:push,pull", by=ALICE, service=service)
    assert await realm.access(response, service) == [("repository", name, ["pull", "push"])]


@pytest.mark.item(32, 41)
async def test_a_name_with_a_port_is_no_error_where_nobody_expects_one(realm: Realm) -> None:
    """A full reference at a service without prefix is no repository of ours: no access, and 200."""
    response = await realm.ask("repository:reg.example.com:5000/acme/app:push,pull", by=ALICE)
    assert await realm.access(response) == []


@pytest.mark.item(33, 34)
async def test_the_class_of_a_resource_is_no_part_of_it(realm: Realm) -> None:
    """`repository(plugin)` is the type `repository`, and one resource with it; no entry names a class."""
    alone = await realm.ask("repository(plugin):acme/plug:pull", by=ALICE)
    assert await realm.access(alone) == [("repository", "acme/plug", ["pull"])]
    both = await realm.ask(
        "repository(plugin):acme/plug:pull", "repository:acme/plug:pull,push", "repository:acme/app:pull",
        by=ALICE,
    )  # fmt: skip
    assert await realm.access(both) == [
        ("repository", "acme/plug", ["pull", "push"]),
        ("repository", "acme/app", ["pull"]),
    ]


@pytest.mark.item(35, 41)
@pytest.mark.parametrize(
    "actions", ["push,pull", "pull,push", ",pull,,push,", "pull,push,pull", "push,x,pull"]
)
async def test_actions_are_a_set(realm: Realm, actions: str) -> None:
    """Order, repetition, empty ones and unknown ones do not matter."""
    assert await realm.access(await realm.ask(f"repository:acme/app:{actions}", by=ALICE)) == [APP]


@pytest.mark.item(35)
async def test_actions_have_case(realm: Realm) -> None:
    """`PULL` is not `pull`."""
    assert await realm.access(await realm.ask("repository:acme/app:PULL", by=ALICE)) == []


@pytest.mark.item(36, 37, 70)
async def test_the_wildcard_is_literal_for_full_rights_only(realm: Realm) -> None:
    """An owner gets `*` with the concrete actions beside it, a developer the actions held, and nobody else anything."""
    asked = "repository:acme/app:*"
    everything = [("repository", "acme/app", ["*", "delete", "pull", "push"])]
    assert await realm.access(await realm.ask(asked, by=OLGA)) == everything
    assert await realm.access(await realm.ask("repository:acme/app:pull,*", by=OLGA)) == everything
    assert await realm.access(await realm.ask(asked, by=ALICE)) == [APP]
    assert await realm.access(await realm.ask(asked, by=CAROL)) == []
    assert await realm.access(await realm.ask("repository:open/app:*")) == [
        ("repository", "open/app", ["pull"])
    ]


@pytest.mark.item(38)
async def test_delete_is_an_action_of_its_own(realm: Realm) -> None:
    """Who may push may not delete; who may delete is told so exactly."""
    asked = "repository:acme/app:pull,push,delete"
    assert await realm.access(await realm.ask(asked, by=ALICE)) == [APP]
    granted = [("repository", "acme/app", ["delete", "pull", "push"])]
    assert await realm.access(await realm.ask(asked, by=OLGA)) == granted


@pytest.mark.item(39)
async def test_every_built_in_role_that_pushes_pulls(realm: Realm) -> None:
    """A registry wants both for an upload, so no role of ours grants the one without the other."""
    roles = (await realm.world.api("GET", "/roles", expect=200))["items"]
    held = {role["name"]: set(role["permissions"]) for role in roles}
    pushing = {n for n, p in held.items() if p & {"repository:push", "repository:*", "*:*"}}
    assert {"developer", "maintainer", "owner"} <= pushing
    assert all(held[name] & {"repository:pull", "repository:*", "*:*"} for name in pushing)


@pytest.mark.item(40, 36)
async def test_the_catalog_takes_the_literal_wildcard(realm: Realm) -> None:
    """`registry:catalog:*` is granted literally to who may list; any other action on it is not, and nothing is an error."""
    user = new_name("scanner")
    await realm.world.add_user(user)
    await realm.world.bind("scanner", "user", user)
    listing = await realm.world.ask_as(user, "registry:catalog:*")
    assert await realm.access(listing) == [("registry", "catalog", ["*"])]
    assert await realm.access(await realm.world.ask_as(user, "registry:catalog:pull")) == []
    assert await realm.access(await realm.ask("registry:catalog:*", by=ALICE)) == []
    assert await realm.access(await realm.ask("registry:catalog:*")) == []


@pytest.mark.item(41, 70)
@pytest.mark.parametrize("scope", ODD)
async def test_odd_scopes_give_no_access_and_no_error(realm: Realm, scope: str) -> None:
    """What is no scope of ours is left out, does not disturb the others, and is in the log."""
    response = await realm.ask(scope, "repository:acme/app:pull", by=OLGA)
    assert await realm.access(response) == [("repository", "acme/app", ["pull"])]
    [_, event] = (await realm.world.events(kind="token.issued"))[-1]
    resources = [f"{grant['type']}:{grant['name']}:" for grant in event["grants"] if "refused" in grant]
    assert scope[:128] in event.get("odd", []) or any(scope.startswith(resource) for resource in resources)


@pytest.mark.item(42)
@pytest.mark.parametrize(
    "query",
    [
        "&".join(f"scope=repository:acme/app{number}:pull" for number in range(101)),
        "scope=" + "+".join(f"repository:acme/app{number}:pull" for number in range(101)),
        "scope=repository:" + "a" * 12_000 + ":pull",
        "&".join(f"x{number}=1" for number in range(300)),
        "x=" + "a" * 33_000,
    ],
)
async def test_what_is_over_a_limit_is_400(realm: Realm, query: str) -> None:
    """Too many scopes, too much text in them, too many parameters and too long a query are refused before anything is done."""
    before = await realm.count_events()
    assert_error(await realm.get(f"service={SERVICE}&{query}", basic(*ALICE)), 400)
    assert await realm.count_events() == before


@pytest.mark.item(42)
async def test_what_is_within_the_limits_is_answered(realm: Realm) -> None:
    """A hundred scopes of which few are granted are no error."""
    scopes = [f"repository:gamma/app{number}:pull" for number in range(99)]
    response = await realm.ask(*scopes, "repository:acme/app:pull,push", by=ALICE)
    assert await realm.access(response) == [APP]
