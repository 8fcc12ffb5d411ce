"""The realm with a small town around it, which the tests of one file share, and what they do to it."""

import base64
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from authsvc.app import Application
from authsvc.faces.token import TokenEndpoint
from authsvc.operations.deps import Deps
from tests.clock import Clock
from tests.faces.registry import Json, Registry, registry_for
from tests.world import SERVICE, World, password_of

FORM = "application/x-www-form-urlencoded"
ALICE = ("alice", password_of("alice"))
OLGA = ("olga", password_of("olga"))
CAROL = ("carol", password_of("carol"))
ERROR_CODES = {
    400: "UNSUPPORTED",
    401: "UNAUTHORIZED",
    405: "UNSUPPORTED",
    413: "UNSUPPORTED",
    415: "UNSUPPORTED",
    429: "TOOMANYREQUESTS",
    500: "UNKNOWN",
    503: "UNAVAILABLE",
}

_counter = itertools.count(1)


def basic(user: str, password: str) -> dict[str, str]:
    """Return an Authorization header as clients write it: UTF-8, not what httpx makes of it."""
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def password_form(user: str, password: str) -> dict[str, str]:
    """Return a password grant."""
    return {"grant_type": "password", "username": user, "password": password, "service": SERVICE}


def new_name(stem: str) -> str:
    """Return a name that no other test of the file uses."""
    return f"{stem}{next(_counter)}"


def assert_error(response: httpx.Response, status: int) -> Json:
    """Hold an error to the form that every client can print (A7), and return its entry of `errors`."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body.keys() <= {"errors", "error", "error_description"}
    [error] = body["errors"]
    assert error.keys() == {"code", "message", "detail"}
    assert error["code"] == ERROR_CODES[status]
    assert error["detail"] is None
    assert 0 < len(error["message"]) < 200
    assert error["message"].isprintable()
    challenge = response.headers.get("www-authenticate", "")
    assert challenge.startswith('Basic realm="') if status == 401 else challenge == ""
    assert "error=" not in challenge
    checked: Json = error
    return checked


@dataclass(frozen=True)
class Realm:
    """A town: alice is developer and olga owner of `acme`, carol nothing; `open` is public. Its clock moves by test."""

    world: World
    application: Application
    clock: Clock
    registries: dict[str, Registry] = field(default_factory=dict)

    @property
    def client(self) -> httpx.AsyncClient:
        """Return the client that signs in as nobody."""
        return self.world.client

    @property
    def deps(self) -> Deps:
        """Return what the application works with."""
        return self.world.deps

    def forget_the_last_test(self) -> None:
        """Move on by more than throttles count and shared tokens last."""
        self.clock.advance(timedelta(minutes=2))

    async def get(
        self, query: str = f"service={SERVICE}", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """GET with a query as it stands on the wire."""
        return await self.client.get(f"/token?{query}", headers=headers)

    async def post(
        self,
        form: str | bytes,
        *,
        query: str = "",
        kind: str | None = FORM,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """POST a body as it stands on the wire."""
        content = form.encode() if isinstance(form, str) else form
        typed = ({} if kind is None else {"content-type": kind}) | (headers or {})
        return await self.client.post(f"/token{query}", content=content, headers=typed)

    async def ask(self, *scopes: str, by: tuple[str, str] | None = None, **params: str) -> httpx.Response:
        """GET a token of the town's service."""
        return await self.world.ask(*scopes, by=by, **params)

    async def claims(self, response: httpx.Response, service: str = SERVICE) -> Json:
        """Return the claims of a response's token, once the service's registry has accepted it."""
        assert response.status_code == 200, response.text
        if service not in self.registries:
            self.registries[service] = await registry_for(self.client, service)
        return self.registries[service].verify(response.json()["token"], self.clock())

    async def access(
        self, response: httpx.Response, service: str = SERVICE
    ) -> list[tuple[str, str, list[str]]]:
        """Return what a response's token grants, in its order."""
        entries = (await self.claims(response, service))["access"]
        return [(entry["type"], entry["name"], entry["actions"]) for entry in entries]

    async def add_service(self, name: str, **fields: Any) -> str:
        """Register another service."""
        await self.world.api("POST", "/services", {"name": name, **fields}, expect=201)
        return name

    async def identity_token(self, by: tuple[str, str] = ALICE, service: str = SERVICE) -> str:
        """Return a refresh token, as `docker login` obtains it."""
        response = await self.world.ask(by=by, service=service, offline_token="true", client_id="docker")
        token: str = response.json()["refresh_token"]
        return token

    async def refresh(self, token: str, service: str = SERVICE, **form: str) -> httpx.Response:
        """Use a refresh token, as docker does for every pull."""
        fields = {"grant_type": "refresh_token", "refresh_token": token, "service": service, "client_id": "x"}
        return await self.client.post("/token", data=fields | form)

    async def count_events(self) -> int:
        """Return how many events the log holds."""
        return len(await self.world.events())

    @asynccontextmanager
    async def over(self, deps: Deps) -> AsyncIterator[httpx.AsyncClient]:
        """Serve the token endpoint alone over other Deps."""
        endpoint = TokenEndpoint(deps, (), lambda _label, _seconds: None)
        transport = httpx.ASGITransport(endpoint, client=("192.0.2.7", 40000))
        async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as client:
            yield client


async def settle(world: World) -> None:
    """Build the town."""
    for user in ("alice", "olga", "carol"):
        await world.add_user(user)
    for project, visibility in (("acme", "private"), ("beta", "private"), ("open", "public")):
        await world.add_project(project, visibility=visibility)
    await world.bind("developer", "user", "alice", "acme")
    await world.bind("reader", "user", "alice", "beta")
    await world.bind("owner", "user", "olga", "acme")


def body_of(response: httpx.Response) -> Json:
    """Return a response's JSON object."""
    body: Json = json.loads(response.content)
    return body
