"""Custom roles, groups, conditions and patterns as the realm keeps them: what was written over the API, asked for tokens."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.clock import Clock
from tests.world import World, access_of, claims_of, password_of

OTHER = "other.test"
APP = "repository:acme/app:pull,push,delete"


@pytest.fixture
async def acme(world: World) -> World:
    """A project and two users; alice is in a group."""
    await world.add_project("acme")
    for name in ("alice", "bob"):
        await world.add_user(name)
    await world.api("POST", "/groups", {"name": "crew"}, expect=201)
    await world.api("PUT", "/groups/crew/members/alice", expect=204)
    await world.api("POST", "/services", {"name": OTHER}, expect=201)
    return world


async def granted(
    world: World,
    *scopes: str,
    user: str = "alice",
    service: str = "registry.test",
    address: str | None = None,
) -> dict[str, list[str]]:
    """Return what a user's token grants by name, asked from an address behind the trusted proxy."""
    if address is None:
        return access_of(await world.ask(*scopes, by=(user, password_of(user)), service=service))
    transport = httpx.ASGITransport(
        world.client._transport.app,  # type: ignore[attr-defined]  # the same application, another client
        client=(address, 40000),
        raise_app_exceptions=False,
    )
    async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as client:
        params: list[tuple[str, str | int | float | bool | None]] = [
            ("service", service),
            *(("scope", scope) for scope in scopes),
        ]
        return access_of(await client.get("/token", params=params, auth=(user, password_of(user))))


async def test_a_binding_holds_between_its_two_moments(acme: World, clock: Clock) -> None:
    """Not before the one, until just before the other, and a token ends with it; no job has to run for that."""
    begin, end = clock() + timedelta(hours=1), clock() + timedelta(hours=2)
    await acme.bind(
        "developer", "group", "crew", "acme", not_before=begin.isoformat(), expires_at=end.isoformat()
    )
    assert await granted(acme, APP) == {}
    clock.advance(timedelta(hours=1, seconds=-1))
    assert await granted(acme, APP) == {}
    clock.advance(timedelta(seconds=1))
    assert await granted(acme, APP) == {"acme/app": ["pull", "push"]}
    clock.advance(timedelta(minutes=58))
    claims = claims_of((await acme.ask_as("alice", APP)).json()["token"])
    assert claims["exp"] == int(end.timestamp())
    clock.advance(timedelta(minutes=2))
    assert await granted(acme, APP) == {}


async def test_a_binding_holds_for_its_services_and_addresses(acme: World) -> None:
    """Each condition alone, and both together; IPv4 in IPv6 is IPv4; widening it is effective at the next token."""
    made = await acme.bind(
        "reader", "user", "alice", "acme", services=[OTHER], cidrs=["192.0.2.0/25", "2001:db8::/32"]
    )
    pull = "repository:acme/app:pull"
    cases = [
        (OTHER, "192.0.2.7", True), (OTHER, "192.0.2.128", False), (OTHER, "2001:db8::1", True), (OTHER, "2001:db9::1", False),
        (OTHER, "::ffff:192.0.2.7", True), ("registry.test", "192.0.2.7", False), ("registry.test", "2001:db8::1", False),
    ]  # fmt: skip
    for service, address, is_granted in cases:
        answer = await granted(acme, pull, service=service, address=address)
        assert answer == ({"acme/app": ["pull"]} if is_granted else {}), (service, address)
    path = f"/projects/acme/bindings/{made['id']}"
    await acme.api("PATCH", path, {"services": []}, expect=200)
    assert await granted(acme, pull, address="192.0.2.7") == {"acme/app": ["pull"]}
    assert await granted(acme, pull, address="198.51.100.1") == {}
    await acme.api("PATCH", path, {"cidrs": []}, expect=200)
    assert await granted(acme, pull, address="198.51.100.1") == {"acme/app": ["pull"]}


@pytest.mark.parametrize(
    ("patterns", "covered"),
    [
        (["app"], {"acme/app"}),
        (["team/*"], {"acme/team/a"}),
        (["team/*", "app"], {"acme/team/a", "acme/app"}),
        (["team/**"], {"acme/team/a", "acme/team/a/b"}),
        (["*"], {"acme/app", "acme/apps"}),
        (["**"], {"acme/app", "acme/apps", "acme/team/a", "acme/team/a/b"}),
    ],
)
async def test_a_binding_covers_its_patterns_and_nothing_beside(
    acme: World, patterns: list[str], covered: set[str]
) -> None:
    """Patterns are of whole components, relative to the project; another project's names are never meant."""
    await acme.add_project("acmetoo")
    await acme.bind("reader", "group", "crew", "acme", repositories=patterns)
    names = ["acme/app", "acme/apps", "acme/team/a", "acme/team/a/b", "acmetoo/app", "app", "team/a"]
    answer = await granted(acme, *(f"repository:{name}:pull" for name in names))
    assert set(answer) == covered


async def test_a_custom_role_gives_what_it_holds_and_its_edit_counts_at_once(acme: World) -> None:
    """Any permissions, custom actions among them; a role in use cannot be deleted, a built-in one not changed."""
    role: dict[str, Any] = {
        "name": "cleaner",
        "permissions": ["repository:delete", "repository:scan", "project:read"],
    }
    await acme.api("POST", "/roles", role, expect=201)
    made = await acme.bind("cleaner", "group", "crew", "acme", repositories=["app"])
    every = "repository:acme/app:pull,push,delete,scan,*"
    assert await granted(acme, every) == {"acme/app": ["delete", "scan"]}
    edits: list[tuple[list[str], dict[str, list[str]]]] = [
        (["repository:pull"], {"acme/app": ["pull"]}),
        (["repository:*"], {"acme/app": ["*", "delete", "pull", "push", "scan"]}),
        (["project:read"], {}),
    ]
    for permissions, expected in edits:
        await acme.api("PATCH", "/roles/cleaner", {"permissions": permissions}, expect=200)
        assert await granted(acme, every) == expected, permissions
    await acme.api("DELETE", "/roles/cleaner", expect=409)
    await acme.api("PATCH", "/roles/reader", {"permissions": ["repository:*"]}, expect=409)
    await acme.api("DELETE", "/roles/reader", expect=409)
    await acme.api("DELETE", f"/projects/acme/bindings/{made['id']}", expect=204)
    await acme.api("DELETE", "/roles/cleaner", expect=204)


async def test_a_group_gives_its_members_what_is_bound_to_it_while_they_are_in_it(acme: World) -> None:
    """Joining, leaving, disabling and deleting count at the next token; sums of several bindings are granted together."""
    await acme.bind("reader", "group", "crew", "acme")
    await acme.bind("developer", "user", "alice", "acme", repositories=["other"])
    assert await granted(acme, APP) == {"acme/app": ["pull"]}
    assert await granted(acme, APP, user="bob") == {}
    await acme.api("PUT", "/groups/crew/members/bob", expect=204)
    await acme.api("PUT", "/groups/crew/members/bob", expect=204)
    assert await granted(acme, APP, user="bob") == {"acme/app": ["pull"]}
    await acme.api("DELETE", "/groups/crew/members/alice", expect=204)
    await acme.api("DELETE", "/groups/crew/members/alice", expect=404)
    both = await granted(acme, APP, "repository:acme/other:pull,push")
    assert both == {"acme/other": ["pull", "push"]}
    await acme.api("DELETE", "/groups/crew", expect=204)
    assert await granted(acme, APP, user="bob") == {}
