"""Ways in which a right is given and taken away, over and over; each lane is about a project and a user of its own."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.running import Client, basic
from tests.world import ADMIN, ADMIN_PASSWORD, SERVICE, claims_of

_ADMIN = basic(ADMIN, ADMIN_PASSWORD)
_LIFE = timedelta(seconds=1)
_PASSWORDS = "first-passphrase-1", "other-passphrase-2"


class UnavailableError(Exception):
    """A node could not say that a change was made: it may have been."""


@dataclass(slots=True)
class Node:
    """One node as its clients reach it; connections are taken from a stock, as many as there are callers."""

    port: int
    pid: int
    _free: list[Client] = field(default_factory=list)

    async def ask(
        self, method: str, path: str, *, by: str, address: str, body: dict[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Make one request from an address, which the node believes; raises UnavailableError when it is not answered."""
        client = self._free.pop() if self._free else Client(self.port)
        try:
            answer = await client.ask(method, path, f"{by}\r\nx-forwarded-for: {address}", body)
        except (
            OSError,
            EOFError,
            TimeoutError,
        ) as error:  # a node that was paused, or a connection that was idle
            raise UnavailableError from error
        self._free.append(client)
        return answer

    def close(self) -> None:
        """Drop the connections."""
        for client in self._free:
            client.close()

    async def change(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Make one change as the administrator; raises UnavailableError on 503, and fails when it is refused."""
        status, answer = await self.ask(method, f"/api/v1{path}", by=_ADMIN, address="10.0.0.1", body=body)
        if status == 503:
            raise UnavailableError
        assert status in (200, 201, 204), (method, path, status, answer)
        return answer


@dataclass(slots=True)
class Lane(ABC):
    """A right that is given and taken; `name` is that of its project and of its user."""

    name: str

    async def build(self, node: Node) -> None:
        """Make the user and the project."""
        await node.change("POST", "/users", {"name": self.name, "password": _PASSWORDS[0]})
        await node.change("POST", "/projects", {"name": self.name})

    async def bind(self, node: Node, role: str = "reader", **more: str) -> str:
        """Bind the user to the project, and return the binding's path."""
        body = {"role": role, "subject": {"kind": "user", "name": self.name}, **more}
        made = await node.change("POST", f"/projects/{self.name}/bindings", body)
        return f"/projects/{self.name}/bindings/{made['id']}"

    @abstractmethod
    async def give(self, node: Node) -> None:
        """Give the right; every node grants it from then on."""

    @abstractmethod
    async def take(self, node: Node) -> None:
        """Take it away; no node grants it from then on."""

    def is_given(self) -> bool:
        """Say whether the right that was given holds still: time may take it."""
        return True

    @property
    def credential(self) -> str:
        """Return the Authorization header of who uses the right."""
        return basic(self.name, _PASSWORDS[0])

    async def is_granted(self, node: Node, address: str) -> bool:
        """Ask a node for a token, and say whether it pulls."""
        path = f"/token?service={SERVICE}&scope=repository:{self.name}/app:pull"
        while True:
            with suppress(UnavailableError):
                status, answer = await node.ask("GET", path, by=self.credential, address=address)
                if status != 503:
                    assert status in (200, 401), (status, answer)
                    return status == 200 and _pulls(answer["token"])


@dataclass(slots=True)
class BindingRemoved(Lane):
    """The binding is deleted."""

    path: str = ""

    async def give(self, node: Node) -> None:
        """Bind."""
        self.path = await self.bind(node)

    async def take(self, node: Node) -> None:
        """Delete the binding."""
        await node.change("DELETE", self.path)


@dataclass(slots=True)
class BindingExpired(BindingRemoved):
    """The binding's time passes, which no event tells; it is bound anew for each round."""

    ends: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def give(self, node: Node) -> None:
        """Bind for a second."""
        if self.path:
            await node.change("DELETE", self.path)
        self.ends = datetime.now(UTC) + _LIFE
        self.path = await self.bind(node, expires_at=self.ends.isoformat())

    def is_given(self) -> bool:
        """Say whether it is not over yet."""
        return datetime.now(UTC) < self.ends

    async def take(self, node: Node) -> None:
        """Wait until it is over."""
        del node
        left = self.ends - datetime.now(UTC)
        await asyncio.sleep(max(0.0, left.total_seconds()) + 0.001)


@dataclass(slots=True)
class UserDisabled(Lane):
    """The user is disabled."""

    async def build(self, node: Node) -> None:
        """Bind for good."""
        await Lane.build(self, node)
        await self.bind(node)
        await self.take(node)

    async def give(self, node: Node) -> None:
        """Enable."""
        await node.change("PATCH", f"/users/{self.name}", {"disabled": False})

    async def take(self, node: Node) -> None:
        """Disable."""
        await node.change("PATCH", f"/users/{self.name}", {"disabled": True})


@dataclass(slots=True)
class PasswordChanged(Lane):
    """The password is another; the one that is used is remembered by every node."""

    async def build(self, node: Node) -> None:
        """Bind for good."""
        await Lane.build(self, node)
        await self.bind(node)

    async def give(self, node: Node) -> None:
        """Set the password that is used."""
        await node.change("PUT", f"/users/{self.name}/password", {"password": _PASSWORDS[0]})

    async def take(self, node: Node) -> None:
        """Set another."""
        await node.change("PUT", f"/users/{self.name}/password", {"password": _PASSWORDS[1]})


@dataclass(slots=True)
class TokenRevoked(Lane):
    """A personal access token is revoked."""

    id: str = ""
    token: str = ""

    async def build(self, node: Node) -> None:
        """Bind for good."""
        await Lane.build(self, node)
        await self.bind(node)

    async def give(self, node: Node) -> None:
        """Make a token, as only the user can."""
        path = f"/api/v1/users/{self.name}/tokens"
        by = basic(self.name, _PASSWORDS[0])
        status, made = await node.ask("POST", path, by=by, address="10.0.0.1", body={})
        if status == 503:
            raise UnavailableError
        assert status == 201, made
        self.id, self.token = made["id"], made["token"]

    async def take(self, node: Node) -> None:
        """Revoke it."""
        await node.change("DELETE", f"/users/{self.name}/tokens/{self.id}")

    @property
    def credential(self) -> str:
        """Return the token's."""
        return basic(self.name, self.token)


@dataclass(slots=True)
class ProjectHidden(Lane):
    """A project whose visibility gave the right is private."""

    async def give(self, node: Node) -> None:
        """Let every user see it."""
        await node.change("PATCH", f"/projects/{self.name}", {"visibility": "internal"})

    async def take(self, node: Node) -> None:
        """Make it private."""
        await node.change("PATCH", f"/projects/{self.name}", {"visibility": "private"})


@dataclass(slots=True)
class RoleEdited(Lane):
    """The permission is taken out of the role."""

    async def build(self, node: Node) -> None:
        """Make the role, and bind it for good."""
        await Lane.build(self, node)
        await node.change("POST", "/roles", {"name": self.name, "permissions": ["repository:push"]})
        await self.bind(node, self.name)

    async def give(self, node: Node) -> None:
        """Put it in."""
        await node.change("PATCH", f"/roles/{self.name}", {"permissions": ["repository:pull"]})

    async def take(self, node: Node) -> None:
        """Put another in its place."""
        await node.change("PATCH", f"/roles/{self.name}", {"permissions": ["repository:push"]})


KINDS: tuple[type[Lane], ...] = (
    BindingRemoved,
    BindingExpired,
    UserDisabled,
    PasswordChanged,
    TokenRevoked,
    ProjectHidden,
    RoleEdited,
)


def _pulls(token: str) -> bool:
    return any("pull" in access["actions"] for access in claims_of(token)["access"])
