"""What an adversary found in the realm, one by one."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_address

import httpx
import pytest

from authsvc.adapters.passwords import PasswordHasher
from authsvc.app import Application
from authsvc.config import Settings
from authsvc.core import canonical
from authsvc.core.credential import CredentialKind
from authsvc.core.presented import BareSecret, NameAndSecret, NothingPresented
from authsvc.core.scope import parse_scopes
from authsvc.operations.authenticate import Refused
from authsvc.operations.deps import Deps
from authsvc.operations.issue_token import issue_token
from authsvc.operations.prepare_token import KEPT_FOR, prepare_token
from authsvc.operations.token_request import IssuedToken, TokenRequest
from authsvc.wiring import open_deps
from tests.clock import Clock
from tests.world import SERVICE, World, password_of


@pytest.fixture
async def other(settings: Settings, deps: Deps, clock: Clock) -> AsyncIterator[Deps]:
    """A second node on the same database."""
    async with open_deps(settings, durable=False, clock=clock) as opened:
        yield opened


def _ask(presented: object, service: str = SERVICE, *scopes: str) -> TokenRequest:
    return TokenRequest(service, scopes, presented, None, None, None, None, offline=False)  # type: ignore[arg-type]  # any of Presented


async def test_a_service_isolated_elsewhere_keeps_its_refresh_tokens(world: World, other: Deps) -> None:
    """A refresh token does not cross the border of a service that another node has just isolated."""
    await world.add_user("alice")
    await world.api("POST", "/services", {"name": "a.test"}, expect=201)
    await world.api("POST", "/services", {"name": "b.test"}, expect=201)
    answer = await world.ask(by=("alice", password_of("alice")), service="a.test", offline_token="true")
    token = BareSecret(answer.json()["refresh_token"], frozenset({CredentialKind.REFRESH}))
    assert isinstance(await issue_token(other, _ask(token, "a.test")), IssuedToken)
    await world.api("PATCH", "/services/a.test", {"isolated": True}, expect=200)
    assert isinstance(await issue_token(other, _ask(token, "b.test")), Refused)


async def test_a_service_registered_elsewhere_is_known_at_once(world: World, other: Deps) -> None:
    """A node that was asked for a service before it was registered serves it as soon as its registration has returned."""
    for _ in range(2):
        with pytest.raises(Exception, match="unknown service"):
            await issue_token(other, _ask(NothingPresented(), "new.test"))
    await world.api("POST", "/services", {"name": "new.test"}, expect=201)
    assert isinstance(await issue_token(other, _ask(NothingPresented(), "new.test")), IssuedToken)


async def test_a_user_made_elsewhere_may_sign_in_at_once(world: World, other: Deps) -> None:
    """The absence of an account is remembered, and forgotten with the event that creates it."""
    bob = NameAndSecret("bob", password_of("bob"))
    assert isinstance(await issue_token(other, _ask(bob)), Refused)
    await world.add_user("bob")
    assert isinstance(await issue_token(other, _ask(bob)), IssuedToken)


async def test_refresh_tokens_that_are_switched_off_end(world: World) -> None:
    """A service whose refresh tokens are off takes none that it gave before."""
    await world.add_user("alice")
    token = (await world.ask_as("alice", offline_token="true")).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert (await world.post(**form)).status_code == 200
    await world.api("PATCH", f"/services/{SERVICE}", {"refresh_tokens": False}, expect=200)
    assert (await world.post(**form)).status_code == 401


class _Counting:
    """A hasher that counts what it is asked, as far as password checks use one."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self.capacity = hasher.capacity
        self.verified: list[str] = []

    async def verify(self, password: str, stored: str | None) -> bool:
        self.verified.append(password)
        return await self._hasher.verify(password, stored)

    def is_outdated(self, stored: str) -> bool:
        return self._hasher.is_outdated(stored)


async def test_many_jobs_with_one_password_cost_one_hash(world: World, deps: Deps) -> None:
    """Requests with the same password that arrive together wait for one computation."""
    await world.add_user("alice")
    counting = _Counting(deps.hasher)
    watched = dataclasses.replace(deps, hasher=counting)  # type: ignore[arg-type]  # what the checks use of it
    alice = _ask(NameAndSecret("alice", password_of("alice")))
    answers = await asyncio.gather(*(issue_token(watched, alice) for _ in range(40)))
    assert all(isinstance(answer, IssuedToken) for answer in answers)
    assert counting.verified == [password_of("alice")]


async def test_one_address_does_not_fill_the_hashing_queue(
    application: Application, world: World, deps: Deps
) -> None:
    """While one address floods with wrong passwords, another's right one is still evaluated."""
    await world.add_user("alice")
    flooding = httpx.ASGITransport(application, client=("198.51.100.9", 1), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=flooding, base_url="https://auth.test") as stranger:
        query = {"service": SERVICE}
        flood = [
            asyncio.ensure_future(
                stranger.get("/token", params=query, auth=(f"user{number}", "wrong-password"))
            )
            for number in range(200)
        ]
        await asyncio.sleep(0)
        assert (await world.ask_as("alice")).status_code == 200
        statuses = {answer.status_code for answer in await asyncio.gather(*flood)}
    assert statuses <= {401, 429}
    assert 429 in statuses


async def test_too_many_failures_are_not_hashed_any_more(world: World, deps: Deps) -> None:
    """An address with too many refusals has no further password evaluated, whatever accounts it names."""
    for number in range(130):
        await world.client.get(
            "/token", params={"service": SERVICE}, headers={"authorization": f"Basic x{number}"}
        )
    counting = _Counting(deps.hasher)
    watched = dataclasses.replace(deps, hasher=counting)  # type: ignore[arg-type]  # what the checks use of it
    request = _ask(NameAndSecret("fresh", "wrong-password"))
    throttled = dataclasses.replace(request, address=ip_address("192.0.2.7"))
    with pytest.raises(Exception, match="too many"):
        await issue_token(watched, throttled)
    assert counting.verified == []


async def test_a_scope_of_a_thousand_actions_is_odd(world: World) -> None:
    """A scope with more actions than any registry knows gives no access, and no error."""
    actions = ",".join(a + b + c for a in "abcdefghijkl" for b in "abcdefghijkl" for c in "abcdefghijkl")
    answer = await world.ask(f"repository:acme/app:{actions}")
    assert answer.status_code == 200
    ((_, entry),) = await world.events(kind="token.issued")
    assert entry["grants"] == []
    assert len(entry["odd"]) == 1


@pytest.mark.parametrize("service", ["x" * 256, "😀" * 300])
async def test_services_that_cannot_be_are_not_remembered(world: World, deps: Deps, service: str) -> None:
    """A name longer than any service's is refused before anything is asked or kept."""
    known = len(deps.memory._known)
    assert (await world.ask(service=service)).status_code == 400
    assert len(deps.memory._known) == known


async def test_the_fast_encoder_gives_the_canonical_bytes(world: World, superuser_url: str) -> None:
    """What the log stores is byte for byte what core's own encoder writes."""
    await world.add_user("bøb")
    await world.ask_as(
        "bøb", "repository:acme/app:pull,push", "registry:catalog:*", client_id='quoted "x" \\ ü'
    )
    rows = await world.events()
    assert len(rows) > 10
    for _, entry in rows:
        assert canonical.decode(canonical.encode(entry)) == entry


async def test_a_remembered_request_ends_with_its_signing_certificate(
    world: World, deps: Deps, clock: Clock
) -> None:
    """What is kept of a request is looked into again before its key is one that registries refuse."""
    await world.add_user("alice")
    request = _ask(NameAndSecret("alice", password_of("alice")))
    made = await prepare_token(deps, request, parse_scopes(()))
    assert isinstance(made, tuple)
    ends = deps.keys.ends_at(made[0].key)
    assert made[0].keep_until == clock() + KEPT_FOR
    clock.advance(ends - clock() - timedelta(minutes=5))
    late = await prepare_token(deps, request, parse_scopes(()))
    assert isinstance(late, tuple)
    assert late[0].keep_until == ends
