"""Rotation of signing keys, from the API to the token."""

import asyncio
from datetime import timedelta

import httpx
import jwt
import pytest
from cryptography import x509

from authsvc.core.errors import ConflictError
from authsvc.faces.cli.console import at_console
from authsvc.operations.deps import Deps
from authsvc.operations.rotate_keys import activate_key
from tests.clock import Clock
from tests.world import SERVICE, World


async def _kid(world: World, service: str = SERVICE) -> str:
    answer = await world.ask(service=service)
    return str(jwt.get_unverified_header(answer.json()["token"])["kid"])


async def _signs(world: World, id_: str, service: str = SERVICE) -> None:
    """Wait until a key signs: the worker in the background sees to it."""
    while await _kid(world, service) != id_:  # noqa: ASYNC110 - what is waited for is told by its effect alone
        await asyncio.sleep(0.1)


async def test_a_new_key_signs_once_the_node_holds_it(world: World, client: httpx.AsyncClient) -> None:
    """Under x5c rotation answers with a published key that signs by itself, and the registry's bundle does not change."""
    bundle = (await client.get("/keys/bundle.pem")).text
    before = await _kid(world)
    made = await world.api("POST", "/keys/rotate", {}, expect=201)
    assert (made["state"], made["waiting"], made["activated_at"]) == ("published", [], None)
    async with asyncio.timeout(60):
        await _signs(world, made["id"])
    assert (await client.get("/keys/bundle.pem")).text == bundle
    keys = {key["id"]: key for key in (await world.api("GET", "/keys", expect=200))["items"]}
    assert keys[before]["state"] == "published"
    assert (keys[made["id"]]["state"], keys[made["id"]]["missing_on"]) == ("active", [])


async def test_a_key_is_not_used_beyond_its_certificate(
    world: World, client: httpx.AsyncClient, clock: Clock
) -> None:
    """`/readyz` counts the days down; after the last it says what to do, and there is no token but 503."""
    await _kid(world)
    days = (await client.get("/readyz")).json()["certificate_days"]
    assert days > 300
    clock.advance(timedelta(days=1))
    assert (await client.get("/readyz")).json()["certificate_days"] == days - 1
    clock.advance(timedelta(days=days))
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert "rotate it" in answer.json()["why"]
    assert (await world.ask()).status_code == 503


async def test_the_key_before_the_last_is_retired(world: World) -> None:
    """One predecessor stays published for tokens that live; the one before it is retired."""
    first = await _kid(world)
    async with asyncio.timeout(60):
        for _ in range(2):
            await _signs(world, (await world.api("POST", "/keys/rotate", {}, expect=201))["id"])
    states = [
        key["state"] for key in (await world.api("GET", "/keys", expect=200))["items"] if key["id"] == first
    ]
    assert states == ["retired"]


async def test_a_service_s_own_key_is_of_its_algorithm(world: World) -> None:
    """Rotating names the service alone: a key of another algorithm would never sign for it."""
    service = {"name": "own.test", "algorithm": "RS256", "own_key": True}
    await world.api("POST", "/services", service, expect=201)
    made = await world.api("POST", "/keys/rotate", {"service": "own.test"}, expect=201)
    assert (made["algorithm"], made["service"]) == ("RS256", "own.test")
    async with asyncio.timeout(60):
        await _signs(world, made["id"], "own.test")


async def test_registries_that_know_keys_by_name_are_told_first(
    world: World, client: httpx.AsyncClient, deps: Deps
) -> None:
    """Where a service names keys by kid, a new key is published in its bundle, and signs only when it is activated."""
    service = {"name": "old.test", "algorithm": "RS256", "header": "thumbprint-kid"}
    await world.api("POST", "/services", service, expect=201)
    before = await _kid(world, "old.test")
    made = await world.api("POST", "/keys/rotate", {"algorithm": "RS256"}, expect=201)
    assert (made["state"], made["waiting"]) == ("published", ["old.test"])
    assert await _kid(world, "old.test") == before
    pem = (await client.get("/keys/bundle.pem", params={"service": "old.test"})).content
    assert len(x509.load_pem_x509_certificates(pem)) == 2
    await activate_key(deps, at_console(), made["id"])
    assert await _kid(world, "old.test") == made["id"]
    with pytest.raises(ConflictError):
        await activate_key(deps, at_console(), made["id"])


async def test_a_folder_that_cannot_be_written_answers_409(
    world: World, monkeypatch: pytest.MonkeyPatch, deps: Deps
) -> None:
    """Rotation on a read-only KEYS_DIR says what to do, and changes nothing."""
    before = await _kid(world)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.link", refuse)
    problem = await world.api("POST", "/keys/rotate", {}, expect=409)
    assert "KEYS_DIR" in problem["detail"] or "writable" in problem["detail"]
    assert await _kid(world) == before


async def test_only_who_may_write_keys_rotates(world: World) -> None:
    """A plain user neither sees nor rotates keys."""
    await world.add_user("alice")
    by = ("alice", "password-of-alice")
    await world.api("POST", "/keys/rotate", {}, expect=403, by=by)
    await world.api("GET", "/keys", expect=403, by=by)
