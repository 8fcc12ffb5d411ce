"""No stale grant: what was revoked at one node is not granted by another from the moment at which the revocation returned."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import httpx
import pytest

from authsvc.app import Application
from authsvc.config import Settings, read_settings
from authsvc.wiring import open_deps
from tests.clock import Clock
from tests.stage import Stage
from tests.world import World, access_of, password_of

ROUNDS = 100
TRIES = 5

Ask = Callable[[World], Awaitable[httpx.Response]]
Revoke = Callable[[], Awaitable[object]]
Prepare = Callable[[World, Clock, str], Awaitable[tuple[Ask, Revoke]]]
"""Makes a right under a name of its own; returns how a node is asked for it, and how it is taken away."""


@pytest.fixture(scope="module")
def other_stage() -> Stage:
    """The application of the second node."""
    return Stage(read_settings({}))


class Patient(httpx.ASGITransport):
    """Asks again when the service says that it cannot answer now, as it does on a machine that stands still for a second.

    What is asked later is still asked after what had returned before, so that no stale grant passes by it.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first answer that is none of 503, else the last."""
        for _ in range(TRIES - 1):
            response = await super().handle_async_request(request)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response
        return await super().handle_async_request(request)


@asynccontextmanager
async def _client(application: Application, address: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = Patient(application, client=(address, 40000), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as made:
        yield made


@pytest.fixture
async def client(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the first node."""
    async with _client(application, "192.0.2.7") as made:
        yield made


@pytest.fixture
async def other(settings: Settings, clock: Clock, world: World, other_stage: Stage) -> AsyncIterator[World]:
    """A second node on the same database, with keys, caches and journal of its own."""
    async with (
        open_deps(settings, durable=False, clock=clock) as deps,
        other_stage.open(deps) as made,
        _client(made, "192.0.2.8") as client,
    ):
        yield World(client, deps)


def _scope(project: str) -> str:
    return f"repository:{project}/app:pull"


def _is_granted(response: httpx.Response, project: str) -> bool:
    """Say whether a token pulls; refused credentials are no grant either."""
    if response.status_code == 401:
        return False
    return "pull" in access_of(response).get(f"{project}/app", [])


async def _reader(world: World, name: str, **fields: object) -> str:
    """Make a user, a project, and a binding between them; return the binding's id."""
    await world.add_user(name)
    await world.add_project(name)
    return str((await world.bind("reader", "user", name, name, **fields))["id"])


def _by_password(name: str) -> Ask:
    return lambda node: node.ask_as(name, _scope(name))


async def binding_deleted(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Take the binding away."""
    id_ = await _reader(world, name)
    return _by_password(name), lambda: world.api("DELETE", f"/projects/{name}/bindings/{id_}", expect=204)


async def binding_narrowed(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Restrict the binding to another repository."""
    id_ = await _reader(world, name)
    body = {"repositories": ["other"]}
    return _by_password(name), lambda: world.api(
        "PATCH", f"/projects/{name}/bindings/{id_}", body, expect=200
    )


async def binding_expired(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Let the binding's time pass, which no event tells."""
    await _reader(world, name, expires_at=(clock() + timedelta(minutes=2)).isoformat())

    async def expire() -> None:
        clock.advance(timedelta(minutes=2))

    return _by_password(name), expire


async def user_disabled(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Disable the user."""
    await _reader(world, name)
    return _by_password(name), lambda: world.api("PATCH", f"/users/{name}", {"disabled": True}, expect=200)


async def user_deleted(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Delete the user."""
    await _reader(world, name)
    return _by_password(name), lambda: world.api("DELETE", f"/users/{name}", expect=204)


async def password_changed(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Change the password; the old one is remembered by both nodes."""
    await _reader(world, name)
    body = {"password": "another-password-1"}
    return _by_password(name), lambda: world.api("PUT", f"/users/{name}/password", body, expect=204)


async def _token_revoked(world: World, name: str) -> tuple[str, Revoke]:
    await _reader(world, name)
    token = await world.add_token(name)
    listed = await world.api("GET", f"/users/{name}/tokens", expect=200, by=(name, password_of(name)))
    path = f"/users/{name}/tokens/{listed['items'][0]['id']}"
    return token, lambda: world.api("DELETE", path, expect=204)


async def token_revoked(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Revoke a personal access token."""
    token, revoke = await _token_revoked(world, name)
    return lambda node: node.ask(_scope(name), by=(name, token)), revoke


async def parent_revoked(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Revoke the personal access token that a refresh token was obtained with."""
    token, revoke = await _token_revoked(world, name)
    answer = await world.ask(_scope(name), by=(name, token), offline_token="true", client_id="test")
    refresh = answer.json()["refresh_token"]

    async def ask(node: World) -> httpx.Response:
        answer = await node.post(
            grant_type="refresh_token", refresh_token=refresh, client_id="test", scope=_scope(name)
        )
        return httpx.Response(401) if answer.status_code == 400 else _with_token(answer)

    return ask, revoke


def _with_token(answer: httpx.Response) -> httpx.Response:
    return httpx.Response(answer.status_code, json={"token": answer.json().get("access_token")})


async def _robot(world: World, name: str) -> Ask:
    await world.add_project(name)
    secret = await world.add_robot(name, "ci")
    await world.bind("reader", "robot", f"{name}+ci", name)
    return lambda node: node.ask(_scope(name), by=(f"{name}+ci", secret))


async def robot_disabled(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Disable a robot."""
    path = f"/projects/{name}/robots/ci"
    return await _robot(world, name), lambda: world.api("PATCH", path, {"disabled": True}, expect=200)


async def robot_deleted(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Delete a robot, its secret with it."""
    return await _robot(world, name), lambda: world.api("DELETE", f"/projects/{name}/robots/ci", expect=204)


async def robots_project_recreated(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Delete a robot's project, and make another of the same name."""
    ask = await _robot(world, name)

    async def revoke() -> None:
        await world.api("DELETE", f"/projects/{name}", expect=204)
        await world.add_project(name)

    return ask, revoke


async def project_made_private(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Make an internal project private."""
    await world.add_user(name)
    await world.add_project(name, visibility="internal")
    body = {"visibility": "private"}
    return _by_password(name), lambda: world.api("PATCH", f"/projects/{name}", body, expect=200)


async def project_unpublished(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Make a public project private, whose anonymous token is shared for some seconds."""
    await world.add_project(name, visibility="public")
    body = {"visibility": "private"}
    return (lambda node: node.ask(_scope(name))), lambda: world.api(
        "PATCH", f"/projects/{name}", body, expect=200
    )


async def project_deleted(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Delete the project."""
    await _reader(world, name)
    return _by_password(name), lambda: world.api("DELETE", f"/projects/{name}", expect=204)


async def role_narrowed(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Take the permission out of the role."""
    await world.api("POST", "/roles", {"name": name, "permissions": ["repository:pull"]}, expect=201)
    await world.add_user(name)
    await world.add_project(name)
    await world.bind(name, "user", name, name)
    body = {"permissions": ["repository:push"]}
    return _by_password(name), lambda: world.api("PATCH", f"/roles/{name}", body, expect=200)


async def _member(world: World, name: str) -> Ask:
    await world.add_user(name)
    await world.add_project(name)
    await world.api("POST", "/groups", {"name": name}, expect=201)
    await world.api("PUT", f"/groups/{name}/members/{name}", expect=204)
    await world.bind("reader", "group", name, name)
    return _by_password(name)


async def member_removed(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Take the user out of the group that is bound."""
    path = f"/groups/{name}/members/{name}"
    return await _member(world, name), lambda: world.api("DELETE", path, expect=204)


async def group_deleted(world: World, clock: Clock, name: str) -> tuple[Ask, Revoke]:
    """Delete the group that is bound."""
    return await _member(world, name), lambda: world.api("DELETE", f"/groups/{name}", expect=204)


KINDS: tuple[Prepare, ...] = (
    binding_deleted, binding_narrowed, binding_expired, user_disabled, user_deleted, password_changed, token_revoked,
    parent_revoked, robot_disabled, robot_deleted, robots_project_recreated, project_made_private, project_unpublished,
    project_deleted, role_narrowed, member_removed, group_deleted,
)  # fmt: skip


async def _round(prepare: Prepare, world: World, other: World, *, clock: Clock, name: str) -> None:
    """Warm the other node, revoke at the first, and ask the other at once."""
    ask, revoke = await prepare(world, clock, name)
    for node in (other, world, other):
        response = await ask(node)
        assert _is_granted(response, name), (prepare.__name__, response.text)
    await revoke()
    response = await ask(other)
    assert not _is_granted(response, name), prepare.__name__
    assert not _is_granted(await ask(world), name)


@pytest.mark.parametrize("prepare", KINDS, ids=lambda kind: kind.__name__)
async def test_revoked_here_is_not_granted_there(
    world: World, other: World, clock: Clock, prepare: Prepare
) -> None:
    """For each way of taking a right away: the very next token of another node, whose caches are warm, is without it."""
    await _round(prepare, world, other, clock=clock, name="acme")


async def test_no_stale_grant_in_any_order(world: World, other: World, clock: Clock) -> None:
    """So it is when revocations of every kind follow one another at either node, whatever is cached from before."""
    random, done = Random(29), Counter[str]()
    for number in range(ROUNDS):
        prepare = random.choice(KINDS)
        nodes = [world, other]
        random.shuffle(nodes)
        await _round(prepare, nodes[0], nodes[1], clock=clock, name=f"p{number}")
        clock.advance(timedelta(seconds=30))  # the throttles are for another test
        done[prepare.__name__] += 1
    assert len(done) == len(KINDS)
