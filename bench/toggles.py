"""Rights that are given and taken away over and over through the API, and what a token asked for by them must say meanwhile."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from bench.running import Client

PULL = "repository:pull"


class UnansweredError(Exception):
    """A change was answered otherwise than it should be: it may have been made or not."""

    def __init__(self, status: int, answer: object) -> None:
        super().__init__(f"{status} {answer}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Admin:
    """The administrator's way into the API, for one caller at a time."""

    client: Client
    authorization: str

    async def do(self, method: str, path: str, body: dict[str, Any] | None = None, *also: int) -> Any:
        """Make one request, whose answer may be a 2xx or a status of `also`; raises UnansweredError, and as `Client.ask` does."""
        status, answer = await self.client.ask(method, f"/api/v1{path}", self.authorization, body)
        if status not in (200, 201, 204, *also):
            raise UnansweredError(status, answer)
        return answer


@dataclass(slots=True)
class Toggle(ABC):
    """One right. `on` is what it is, None while that is not known; `changes` counts how often somebody has begun to change it."""

    on: bool | None = field(default=True, init=False)
    changes: int = field(default=0, init=False)

    async def flip(self, admin: Admin) -> None:
        """Take the right away, or give it back; raises as `Admin.do` does, and then nothing is known of it."""
        wanted = not self.on
        self.on = None
        self.changes += 1
        await self._turn(admin, wanted)
        self.on = wanted

    @abstractmethod
    async def _turn(self, admin: Admin, on: bool) -> None:
        """Make it so, whatever it was."""

    @property
    def status_when_off(self) -> int:
        """Return the status of a token request without the right: mostly a token that allows nothing."""
        return 200


@dataclass(slots=True)
class Enabled(Toggle):
    """A user, disabled and enabled."""

    user: str

    async def _turn(self, admin: Admin, on: bool) -> None:
        await admin.do("PATCH", f"/users/{self.user}", {"disabled": not on})

    @property
    def status_when_off(self) -> int:
        """Return that of refused credentials."""
        return 401


@dataclass(slots=True)
class Bound(Toggle):
    """The only binding of a project, deleted and made anew."""

    project: str
    subject: dict[str, str]

    async def _turn(self, admin: Admin, on: bool) -> None:
        bindings = f"/projects/{self.project}/bindings"
        for binding in (await admin.do("GET", bindings))["items"]:
            await admin.do("DELETE", f"{bindings}/{binding['id']}", None, 404)
        if on:
            await admin.do("POST", bindings, {"role": "reader", "subject": self.subject})


@dataclass(slots=True)
class Member(Toggle):
    """A user in the group that a right is bound to."""

    group: str
    user: str

    async def _turn(self, admin: Admin, on: bool) -> None:
        method, also = ("PUT", ()) if on else ("DELETE", (404,))
        await admin.do(method, f"/groups/{self.group}/members/{self.user}", None, *also)


@dataclass(slots=True)
class Permitted(Toggle):
    """A role that has a permission, and has it not."""

    role: str

    async def _turn(self, admin: Admin, on: bool) -> None:
        permissions = [PULL, "project:read"] if on else ["project:read"]
        await admin.do("PATCH", f"/roles/{self.role}", {"permissions": permissions})


@dataclass(slots=True)
class Visible(Toggle):
    """A project that everybody who signs in may pull from, and then nobody."""

    project: str

    async def _turn(self, admin: Admin, on: bool) -> None:
        await admin.do("PATCH", f"/projects/{self.project}", {"visibility": "internal" if on else "private"})
