import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from authsvc.adapters.postgres.bindings import list_binding_records
from authsvc.adapters.postgres.credentials import list_credential_records
from authsvc.adapters.postgres.database import Read
from authsvc.adapters.postgres.groups import list_group_records, list_member_names
from authsvc.adapters.postgres.projects import list_project_records, list_robot_records
from authsvc.adapters.postgres.roles import list_role_records
from authsvc.adapters.postgres.services import list_key_records, list_service_records
from authsvc.adapters.postgres.users import list_user_records
from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.credential import CredentialKind
from authsvc.core.entry_reader import EntryReader
from authsvc.core.event import MalformedEntryError
from authsvc.core.principal import Principal, PrincipalKind
from authsvc.core.replay import Policy
from authsvc.core.replay_decision import Replay, decide_again
from authsvc.operations.deps import Deps
from tests.clock import Clock
from tests.world import ADMIN, ADMIN_PASSWORD, SERVICE, World, password_of

MANY = 10_000
STEPS = 150
PROJECTS = ("acme", "beta", "library")
USERS = ("alice", "bob", "carol")
ROBOTS = ("ci", "cd")
GROUPS = ("devs", "ops")
SCOPES = (
    "repository:acme/app:pull,push",
    "repository:acme/team/app:*",
    "repository:beta/app:delete,pull",
    "repository:alpine:pull",
    "repository:mirror/acme/app:pull",
    "registry:catalog:*",
    "repository:BAD//name:pull",
)


class _Mallet:
    """Makes random changes through the admin API and asks for tokens in between, all from one seed."""

    def __init__(self, world: World, clock: Clock, seed: int) -> None:
        self.world = world
        self.clock = clock
        self.pick = random.Random(seed)
        self.secrets: list[tuple[str, str]] = []
        self.done: list[str] = []

    async def try_to(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Make one change as the administrator; it may contradict what is stored, and then changes nothing."""
        by = (ADMIN, ADMIN_PASSWORD)
        response = await self.world.client.request(method, f"/api/v1{path}", json=body, auth=by)
        assert response.status_code < 500, response.text
        if response.status_code < 300:
            self.done.append(f"{method} {path.rpartition('/')[2]}")
        return response.json() if response.content and response.status_code < 300 else None

    def project(self) -> str:
        return self.pick.choice(PROJECTS)

    def place(self) -> str:
        return self.pick.choice(("", *(f"/projects/{name}" for name in PROJECTS)))

    async def user(self) -> None:
        name = self.pick.choice(USERS)
        await self.try_to("POST", "/users", {"name": name, "password": password_of(name)})

    async def change_user(self) -> None:
        await self.try_to(
            "PATCH",
            f"/users/{self.pick.choice(USERS)}",
            {"disabled": self.pick.random() < 0.3, "email": "a@b"},
        )

    async def password(self) -> None:
        name = self.pick.choice(USERS)
        await self.try_to("PUT", f"/users/{name}/password", {"password": password_of(name)})

    async def delete_user(self) -> None:
        await self.try_to("DELETE", f"/users/{self.pick.choice(USERS)}")

    async def create_project(self) -> None:
        visibility = self.pick.choice(("private", "internal", "public"))
        await self.try_to("POST", "/projects", {"name": self.project(), "visibility": visibility})

    async def change_project(self) -> None:
        visibility = self.pick.choice(("private", "internal", "public"))
        await self.try_to("PATCH", f"/projects/{self.project()}", {"visibility": visibility})

    async def delete_project(self) -> None:
        await self.try_to("DELETE", f"/projects/{self.project()}")

    async def robot(self) -> None:
        place, name = self.place(), self.pick.choice(ROBOTS)
        await self.try_to("POST", f"{place}/robots", {"name": name})
        made = await self.try_to("POST", f"{place}/robots/{name}/secrets", self.ending())
        if made is not None:
            self.secrets.append((f"{place.rpartition('/')[2] or 'system'}+{name}", made["secret"]))

    async def change_robot(self) -> None:
        body = {"disabled": self.pick.random() < 0.3}
        await self.try_to("PATCH", f"{self.place()}/robots/{self.pick.choice(ROBOTS)}", body)

    async def delete_robot(self) -> None:
        await self.try_to("DELETE", f"{self.place()}/robots/{self.pick.choice(ROBOTS)}")

    async def token(self) -> None:
        name = self.pick.choice(USERS)
        scopes = self.pick.choice(
            ([], ["repository:acme/**:pull,push"], ["repository:pull", "registry:catalog"])
        )
        body = {"scopes": scopes, "cidrs": self.pick.choice(([], ["192.0.2.0/24"])), **self.ending()}
        made = await self.try_to("POST", f"/users/{name}/tokens", body)
        if made is not None:
            self.secrets.append((name, made["token"]))

    async def revoke(self) -> None:
        name, kind = self.pick.choice(USERS), self.pick.choice(("tokens", "sessions"))
        await self._delete_one(f"/users/{name}/{kind}")

    async def revoke_secret(self) -> None:
        await self._delete_one(f"{self.place()}/robots/{self.pick.choice(ROBOTS)}/secrets")

    async def _delete_one(self, path: str) -> None:
        page = await self.try_to("GET", path)
        if page and page["items"]:
            await self.try_to("DELETE", f"{path}/{self.pick.choice(page['items'])['id']}")

    async def group(self) -> None:
        await self.try_to("POST", "/groups", {"name": self.pick.choice(GROUPS)})

    async def delete_group(self) -> None:
        await self.try_to("DELETE", f"/groups/{self.pick.choice(GROUPS)}")

    async def member(self) -> None:
        method = self.pick.choice(("PUT", "PUT", "DELETE"))
        await self.try_to(method, f"/groups/{self.pick.choice(GROUPS)}/members/{self.pick.choice(USERS)}")

    async def role(self) -> None:
        permissions = self.pick.sample(
            ("repository:pull", "repository:push", "repository:*", "project:read"), k=2
        )
        await self.try_to("POST", "/roles", {"name": "own", "permissions": permissions})
        await self.try_to("PATCH", "/roles/own", {"permissions": permissions, "description": "x"})

    async def delete_role(self) -> None:
        await self.try_to("DELETE", "/roles/own")

    async def bind(self) -> None:
        kind = self.pick.choice(("user", "robot", "group"))
        robots = [f"{place}+{name}" for place in ("system", *PROJECTS) for name in ROBOTS]
        names = {"user": USERS, "robot": robots, "group": GROUPS}[kind]
        place = self.place()
        await self.try_to("POST", f"{place}/bindings", {
            "role": self.pick.choice(("reader", "developer", "maintainer", "owner", "scanner", "auditor", "own")),
            "subject": {"kind": kind, "name": self.pick.choice(names)},
            **self.conditions(place),
        })  # fmt: skip

    def ending(self) -> dict[str, Any]:
        minutes = self.pick.choice((None, None, 5, 60))
        return (
            {} if minutes is None else {"expires_at": (self.clock() + timedelta(minutes=minutes)).isoformat()}
        )

    def conditions(self, place: str) -> dict[str, Any]:
        later = (self.clock() + timedelta(minutes=self.pick.randint(1, 60))).isoformat()
        patterns: tuple[list[str], ...] = (["**"], ["app", "team/*"]) if place else (["**"],)
        return {
            "repositories": self.pick.choice(patterns),
            "cidrs": self.pick.choice(([], [], ["192.0.2.0/24", "2001:db8::/32"], ["10.0.0.0/8"])),
            "services": self.pick.choice(([], [], [SERVICE], ["elsewhere"])),
            self.pick.choice(("not_before", "expires_at")): self.pick.choice((None, None, later)),
        }

    async def rebind(self) -> None:
        place = self.place()
        page = await self.try_to("GET", f"{place}/bindings")
        for binding in (page or {"items": []})["items"]:
            if binding["comment"] != "bootstrap" and self.pick.random() < 0.5:
                path = f"{place}/bindings/{binding['id']}"
                if self.pick.random() < 0.4:
                    await self.try_to("DELETE", path)
                else:
                    await self.try_to("PATCH", path, self.conditions(place))

    async def service(self) -> None:
        aliases = self.pick.sample(("z.alias", "a.alias", "m.alias"), k=2)
        await self.try_to("POST", "/services", {"name": "elsewhere", "aliases": aliases})
        await self.try_to("PATCH", f"/services/{SERVICE}", {
            "name_prefix": self.pick.choice(("", "mirror/")), "aliases": [self.pick.choice(("b.alias", "c.alias"))],
            "token_ttl_seconds": self.pick.randint(60, 600), "anonymous": self.pick.random() < 0.8,
        })  # fmt: skip

    async def delete_service(self) -> None:
        await self.try_to("DELETE", "/services/elsewhere")

    async def ask(self) -> None:
        for _ in range(6):
            scopes = self.pick.sample(SCOPES, k=self.pick.randint(1, 4))
            people = [(name, password_of(name)) for name in USERS]
            by = self.pick.choice([None, *people, *self.secrets[-8:], (ADMIN, ADMIN_PASSWORD)])
            offline = {"offline_token": "true"} if self.pick.random() < 0.5 else {}
            service = self.pick.choice((SERVICE, SERVICE, "elsewhere", "z.alias"))
            answer = await self.world.ask(*scopes, by=by, service=service, **offline)
            assert answer.status_code in (200, 400, 401, 429), answer.text
            refresh = answer.json().get("refresh_token")
            if refresh:
                self.secrets.append(("<token>", refresh))

    async def wait(self) -> None:
        self.clock.advance(timedelta(minutes=self.pick.randint(1, 9)))

    def steps(self) -> list[Callable[[], Awaitable[None]]]:
        often = (self.ask, self.ask, self.ask, self.bind, self.bind, self.robot, self.token, self.user)
        grow = (self.create_project, self.group, self.member, self.role, self.rebind, self.service)
        return [
            *often, *often, *grow, *grow, self.change_user, self.password, self.change_project, self.change_robot,
            self.delete_user, self.delete_project, self.delete_robot, self.delete_group, self.delete_role,
            self.delete_service, self.revoke, self.revoke_secret, self.wait,
        ]  # fmt: skip


async def stored(deps: Deps) -> dict[str, object]:
    """Return the state of everything that the tables hold, by noun and key."""
    async with deps.database.read() as read:
        users = await list_user_records(read, after="", limit=MANY)
        projects = await list_project_records(read, after="", limit=MANY)
        places = [None, *(project.name for project in projects)]
        robots = [r for p in places for r in await list_robot_records(read, p, after="", limit=MANY)]
        bindings = [b for p in places for b in await list_binding_records(read, p, after="", limit=MANY)]
        groups = await list_group_records(read, after="", limit=MANY)
        roles = await list_role_records(read, after="", limit=MANY)
        services = await list_service_records(read, after="", limit=MANY)
        keys = await list_key_records(read)
        owners = [Principal(PrincipalKind.USER, user.id, user.name) for user in users]
        owners += [Principal(PrincipalKind.ROBOT, robot.id, robot.subject) for robot in robots]
        credentials = await _credentials(read, owners)
        ids = {user.name: user.id for user in users}
        members = {
            (group.id, ids[name])
            for group in groups
            for name in await list_member_names(read, group, after="", limit=MANY)
        }
    return {
        "users": {user.id: user.state() for user in users},
        "projects": {project.name: project.state() for project in projects},
        "robots": {robot.id: robot.state() for robot in robots},
        "bindings": {binding.id: binding.state() for binding in bindings},
        "roles": {role.name: role.state() for role in roles},
        "services": {record.service.name: record.state() for record in services},
        "keys": {key.id: key.state() for key in keys},
        "credentials": credentials,
        "groups": {group.id: group.state() for group in groups},
        "memberships": members,
    }


async def _credentials(read: Read, owners: list[Principal]) -> dict[str, Json]:
    kinds = (CredentialKind.PERSONAL, CredentialKind.ROBOT, CredentialKind.REFRESH)
    return {
        record.id: record.state()
        for owner in owners
        for kind in kinds
        for record in await list_credential_records(read, owner, kind, after="", limit=MANY)
    }


@pytest.mark.parametrize("seed", [2, 3])
async def test_the_log_alone_rebuilds_policy_and_every_decision(
    world: World, clock: Clock, seed: int
) -> None:
    """After random administration the tables equal the fold of the log, and each token in it is decided the same again."""
    mallet = _Mallet(world, clock, seed)
    for name in PROJECTS:
        await world.add_project(name)
    for name in USERS:
        await world.add_user(name)
    for _ in range(STEPS):
        await mallet.pick.choice(mallet.steps())()
    reader, replay, decided, granted = EntryReader(canonical.decode), Replay(), 0, 0
    for seq, entry in await world.events():
        decided += replay.take(seq, reader.read(canonical.encode(entry)))
        granted += any(grant.get("granted") for grant in entry.get("grants", []))
    policy = replay.policy
    tables = await stored(world.deps)
    assert {noun: getattr(policy, noun) for noun in tables} == tables
    assert decided > 50
    assert granted > 10
    assert len(set(mallet.done)) > 20, sorted(set(mallet.done))


async def test_a_policy_of_another_moment_decides_nothing(world: World) -> None:
    """Replay refuses an entry that rests on another revision than the policy it is given."""
    await world.add_project("acme")
    await world.ask("repository:acme/app:pull")
    await world.add_project("beta")
    policy = Policy()
    entries = await world.events()
    policy.fold(entries)
    issued = [entry for _, entry in entries if entry["kind"] == "token.issued"]
    with pytest.raises(MalformedEntryError):
        decide_again(policy, issued[0])


async def test_an_entry_of_a_kind_that_is_not_known_stops_the_replay(world: World) -> None:
    """An unknown kind fails closed, as what it changed would be missing from the policy."""
    entries = await world.events()
    seq, entry = entries[-1]
    with pytest.raises(MalformedEntryError):
        Policy().fold([(seq, {**entry, "kind": "policy.spell.created"})])
