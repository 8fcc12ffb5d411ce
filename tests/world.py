"""Building a world through the admin API, and asking the realm about it."""

import base64
import json
from dataclasses import dataclass
from typing import Any

import httpx

from authsvc.adapters.postgres.audit_log import list_events
from authsvc.core import canonical
from authsvc.core.search import Filter
from authsvc.operations.deps import Deps

SERVICE = "registry.test"
ADMIN = "admin"
ADMIN_PASSWORD = "admin-password-1"
API = "/api/v1"

Json = dict[str, Any]


def password_of(user: str) -> str:
    """Return the password that World gives a user."""
    return f"password-of-{user}"


def claims_of(token: str) -> Json:
    """Return a token's payload without verifying it."""
    payload = token.split(".")[1]
    decoded: Json = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded


def access_of(response: httpx.Response) -> dict[str, list[str]]:
    """Return what a token response grants: actions by name."""
    assert response.status_code == 200, response.text
    return {entry["name"]: entry["actions"] for entry in claims_of(response.json()["token"])["access"]}


@dataclass(frozen=True)
class World:
    """The admin API as its administrator uses it, and the realm as clients do."""

    client: httpx.AsyncClient
    deps: Deps

    async def api(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        expect: int,
        by: tuple[str, str] = (ADMIN, ADMIN_PASSWORD),
    ) -> Any:
        """Make one request under /api/v1 and return its JSON, None for an empty answer."""
        response = await self.client.request(method, API + path, json=body, auth=by)
        assert response.status_code == expect, (method, path, response.status_code, response.text)
        return response.json() if response.content else None

    async def add_user(self, name: str) -> Json:
        """Create a user with the password that `password_of` gives."""
        made: Json = await self.api(
            "POST", "/users", {"name": name, "password": password_of(name)}, expect=201
        )
        return made

    async def add_project(self, name: str, **fields: Any) -> Json:
        """Create a project."""
        made: Json = await self.api("POST", "/projects", {"name": name, **fields}, expect=201)
        return made

    async def bind(self, role: str, kind: str, name: str, project: str | None = None, **fields: Any) -> Json:
        """Bind a role to a subject on a project, or on the system."""
        path = "/bindings" if project is None else f"/projects/{project}/bindings"
        body = {"role": role, "subject": {"kind": kind, "name": name}, **fields}
        made: Json = await self.api("POST", path, body, expect=201)
        return made

    async def add_robot(self, project: str | None, name: str, **fields: Any) -> str:
        """Create a robot with one secret, and return the secret."""
        prefix = "" if project is None else f"/projects/{project}"
        await self.api("POST", f"{prefix}/robots", {"name": name}, expect=201)
        made = await self.api("POST", f"{prefix}/robots/{name}/secrets", fields, expect=201)
        return str(made["secret"])

    async def add_token(self, user: str, **fields: Any) -> str:
        """Create a personal access token as the user itself, and return it."""
        made = await self.api(
            "POST", f"/users/{user}/tokens", fields, expect=201, by=(user, password_of(user))
        )
        return str(made["token"])

    async def ask(
        self, *scopes: str, by: tuple[str, str] | None = None, service: str = SERVICE, **params: str
    ) -> httpx.Response:
        """Ask the realm with GET, as docker does."""
        query: list[tuple[str, str | int | float | bool | None]] = [
            ("service", service),
            *(("scope", scope) for scope in scopes),
            *params.items(),
        ]
        return await self.client.get("/token", params=query, auth=by or httpx.USE_CLIENT_DEFAULT)

    async def ask_as(self, user: str, *scopes: str, **params: str) -> httpx.Response:
        """Ask the realm with a user's password."""
        return await self.ask(*scopes, by=(user, password_of(user)), **params)

    async def post(self, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
        """Ask the realm with POST, as containerd does."""
        return await self.client.post("/token", data={"service": SERVICE, **form}, headers=headers)

    async def events(self, **wanted: Any) -> list[tuple[int, Json]]:
        """Return events of the log, oldest first, straight from the database."""
        async with self.deps.database.read() as read:
            rows = await list_events(read, Filter(**wanted), after=None, limit=10_000, newest_first=False)
        return [(row.seq, dict(canonical.decode(row.entry))) for row in rows]
