"""What people try who know the contract and nothing else of the service."""

import httpx
import jwt
import pytest

from tests.world import ADMIN, ADMIN_PASSWORD, API, SERVICE, World

BY_ADMIN = (ADMIN, ADMIN_PASSWORD)


@pytest.mark.parametrize(
    "path",
    ["/livez", "/readyz", "/metrics", f"{API}/users", f"{API}/me", f"{API}/users/nobody", "/keys/bundle.pem"],
)
async def test_head_is_get_without_its_body(world: World, path: str) -> None:
    """The same status and type, and no byte of a body, wherever GET is offered (RFC 9110 section 9.3.2)."""
    got = await world.client.get(path, auth=BY_ADMIN)
    head = await world.client.head(path, auth=BY_ADMIN)
    assert (head.status_code, head.headers["content-type"]) == (got.status_code, got.headers["content-type"])
    assert head.content == b""
    assert got.content


async def test_head_is_offered_nowhere_else(world: World) -> None:
    """A path that is only posted to answers 405."""
    assert (await world.client.head(f"{API}/explain", auth=BY_ADMIN)).status_code == 405


async def test_pages_have_a_thousand_things_at_most(world: World) -> None:
    """From 1 to 1000 on every list; beyond it is refused."""
    for path in ("/users", "/audit", "/roles", "/keys"):
        for limit, status in ((1, 200), (1000, 200), (1001, 422), (0, 422)):
            answer = await world.client.get(f"{API}{path}?limit={limit}", auth=BY_ADMIN)
            assert answer.status_code == status, (path, limit)


async def test_without_a_service_the_key_set_is_everybodys(world: World, client: httpx.AsyncClient) -> None:
    """Of several services any token's key is in the whole set by the name in its header, whatever the service's profile."""
    profiles = (
        {"name": "old.test", "algorithm": "RS256", "header": "libtrust-kid", "own_key": True},
        {"name": "new.test", "algorithm": "EdDSA", "header": "thumbprint-kid"},
    )
    for profile in profiles:
        await world.api("POST", "/services", dict(profile), expect=201)
    keys = {key["kid"]: key for key in (await client.get("/.well-known/jwks.json")).json()["keys"]}
    for service in (SERVICE, "old.test", "new.test"):
        token = (await world.ask(service=service)).json()["token"]
        header = jwt.get_unverified_header(token)
        key = jwt.PyJWK(keys[header["kid"]]).key
        assert jwt.decode(token, key, [header["alg"]], audience=service, options={"verify_iat": False})


async def test_without_a_service_the_bundle_is_of_the_default_settings(
    world: World, client: httpx.AsyncClient
) -> None:
    """Of several services it is the authority of all that are as a new one is; one that is not registered is refused."""
    await world.api(
        "POST", "/services", {"name": "zot.test", "own_key": True, "algorithm": "RS256"}, expect=201
    )
    named = (await client.get("/keys/bundle.pem", params={"service": SERVICE})).text
    assert (await client.get("/keys/bundle.pem")).text == named
    assert (await client.get("/keys/bundle.pem?service=nobody")).status_code == 400
    assert (await client.get("/.well-known/jwks.json?service=nobody")).status_code == 400


async def test_public_keys_are_under_the_api_too(client: httpx.AsyncClient) -> None:
    """At the root and beside everything else they are the same, without signing in."""
    for path in ("/.well-known/jwks.json", f"/keys/bundle.pem?service={SERVICE}"):
        at_root, beside = await client.get(path), await client.get(API + path)
        assert (beside.status_code, beside.text) == (200, at_root.text)
