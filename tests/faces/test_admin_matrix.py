"""Who may do what: every operation of the OpenAPI document, by everybody, on what is theirs, foreign, and absent.

What is expected comes from NEEDS and HELD, which are written from DESIGN 2, 3 and 10 and not from the code: an operation
without an entry fails. `pytest -s` prints the table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from tests.faces.document import OPERATIONS, Operation
from tests.world import ADMIN, ADMIN_PASSWORD, API, SERVICE, World, password_of

Connection = psycopg.Connection[tuple[Any, ...]]

READS = {f"{type_}:read" for type_ in ("project", "user", "group", "role", "service", "key", "audit")}
READER = {"repository:pull", "project:read"}
DEVELOPER = READER | {"repository:push"}
MAINTAINER = DEVELOPER | {"repository:delete"}
HELD: Mapping[str, tuple[str | None, set[str]]] = {
    "nobody": ("", set()),
    "plain": ("", set()),
    "reader": ("acme", READER),
    "developer": ("acme", DEVELOPER),
    "maintainer": ("acme", MAINTAINER),
    "owner": ("acme", {"repository:*", "project:*"}),
    "other": ("beta", {"repository:*", "project:*"}),
    "robot": ("acme", DEVELOPER),
    "pat": ("acme", {"project:read"}),
    "scanner": (None, {"repository:pull", "registry:catalog"}),
    "auditor": (None, READS),
    ADMIN: (None, {"*:*"}),
}
"""Where everybody is bound (None is the whole system), and what is left of it: `pat` is the owner's token for `project:read`."""

OWN, FOREIGN, ABSENT = "own", "foreign", "absent"
PLACE_OF = {OWN: "acme", FOREIGN: "gamma", ABSENT: "none"}


@dataclass(frozen=True)
class Need:
    """What an operation needs: a permission over the system, over the project in question, or nothing but to sign in.

    Who has `instead` over the system, or one of `answers_for` over the project, needs nothing else. `oneself` is everybody's
    right over himself, as far as his credential's limits leave it.
    """

    permission: str | None = None
    in_project: bool = False
    oneself: bool = False
    instead: str | None = None
    answers_for: tuple[str, ...] = ()


def _crud(noun: str, permission: str, *, in_project: bool = False) -> dict[str, Need]:
    read, write = (Need(f"{permission}:{verb}", in_project) for verb in ("read", "write"))
    return {
        f"list_{noun}s": read, f"read_{noun}": read, f"create_{noun}": write, f"change_{noun}": write, f"delete_{noun}": write,
    }  # fmt: skip


ANSWERS = Need("repository:delete", in_project=True, instead="user:read", answers_for=("project:write",))
NEEDS: dict[str, Need] = {
    **_crud("user", "user"),
    "read_user": Need("user:read", oneself=True),
    "change_user": Need("user:write", oneself=True),
    "set_password": Need("user:write", oneself=True),
    **_crud("token", "user"),
    "list_tokens": Need("user:read", oneself=True),
    "read_token": Need("user:read", oneself=True),
    "create_token": Need("user:write", oneself=True),
    "delete_token": Need("user:write", oneself=True),
    "list_sessions": Need("user:read", oneself=True),
    "read_session": Need("user:read", oneself=True),
    "delete_session": Need("user:write", oneself=True),
    **_crud("group", "group"),
    "list_members": Need("group:read"),
    "add_member": Need("group:write"),
    "remove_member": Need("group:write"),
    **_crud("role", "role"),
    "list_roles": Need(),
    "read_role": Need(),
    **_crud("service", "service"),
    "list_keys": Need("key:read"),
    "rotate_keys": Need("key:write"),
    **_crud("project", "project", in_project=True),
    "create_project": Need("project:write"),
    "delete_project": Need("project:write"),
    "list_projects": Need(),
    **_crud("project_binding", "project", in_project=True),
    **_crud("project_robot", "project", in_project=True),
    **_crud("project_robot_secret", "project", in_project=True),
    **_crud("system_binding", "role"),
    **_crud("system_robot", "user"),
    **_crud("system_robot_secret", "user"),
    "report_events": Need("registry:report"),
    "read_me": Need(),
    "list_expiring": Need(),
    "explain_scopes": Need("user:read"),
    "list_who_can": ANSWERS,
    "review_project_access": ANSWERS,
    **dict.fromkeys(
        ("query_audit", "export_audit", "read_event", "prove_event",
         "list_findings", "prove_consistency", "read_checkpoint", "read_entries",
         "read_tile"),
        Need("audit:read"),
    ),
}  # fmt: skip


LOOKED_UP_FIRST = frozenset({"change_user", "delete_user", "set_password"})
"""Who may read users is told that there is none before he is told that he may not change it."""


def holds(actor: str, permission: str, project: str | None) -> bool:
    """Say whether somebody holds a permission over a project, or over the system (None)."""
    where, held = HELD[actor]
    type_ = permission.partition(":")[0]
    return where in (None, project) and bool({permission, f"{type_}:*", "*:*"} & held)


def expected(operation: Operation, actor: str, place: str) -> int:
    """Return the status that DESIGN has for this."""
    need = NEEDS[operation.id]
    if actor == "nobody":
        return 401
    if (operation.id, actor, place) == ("delete_user", ADMIN, OWN):
        return 409  # the last administrator stays
    if need.oneself and place == OWN:
        return 403 if actor == "pat" else operation.success
    project = project_of(operation, place)
    if need.permission is not None and not is_allowed(need, actor, project):
        if place == ABSENT and operation.id in LOOKED_UP_FIRST and holds(actor, "user:read", None):
            return 404
        return 403 if project is None or holds(actor, "project:read", project) else 404
    return 404 if place == ABSENT and operation.id != "list_who_can" else operation.success


def project_of(operation: Operation, place: str) -> str | None:
    """Return the project that an operation is about, None for the system."""
    if "{project}" not in operation.path and operation.id != "list_who_can":
        return None
    if place == ABSENT and operation.path.count("{") > 1:
        return PLACE_OF[OWN]  # the project is there, what is looked for in it is not
    return PLACE_OF[place]


def is_allowed(need: Need, actor: str, project: str | None) -> bool:
    """Say whether somebody holds what is needed."""
    if need.instead and holds(actor, need.instead, None):
        return True
    where = project if need.in_project else None
    return any(holds(actor, each, where) for each in (need.permission, *need.answers_for) if each)


@dataclass
class Cast:
    """Everybody, and things for them to try their hands on."""

    world: World
    bearers: dict[str, str] = field(default_factory=dict)
    numbers: Any = field(default_factory=count)
    standing: dict[str, str] = field(default_factory=dict)

    async def gather(self) -> None:
        """Build the world."""
        world = self.world
        for name in (*HELD, "victim"):
            if name not in ("nobody", "robot", "pat", ADMIN):
                await world.add_user(name)
        for project in ("acme", "beta", "gamma"):
            await world.add_project(project)
        for role in ("reader", "developer", "maintainer", "owner"):
            await world.bind(role, "user", role, "acme")
        await world.bind("owner", "user", "other", "beta")
        for role in ("scanner", "auditor"):
            await world.bind(role, "user", role)
        self.bearers["robot"] = await world.add_robot("acme", "builder")
        await world.bind("developer", "robot", "acme+builder", "acme")
        self.bearers["pat"] = await world.add_token("owner", scopes=["project:read"])

    async def request(
        self, actor: str, operation: Operation, path: str, query: dict[str, Any], body: Any
    ) -> httpx.Response:
        """Make one request as somebody."""
        headers, auth = {}, None
        if actor in self.bearers:
            headers["authorization"] = f"Bearer {self.bearers[actor]}"
        elif actor != "nobody":
            auth = (actor, ADMIN_PASSWORD if actor == ADMIN else password_of(actor))
        return await self.world.client.request(
            operation.method, path, params=query, json=body, headers=headers, auth=auth
        )

    def new(self) -> str:
        """Return a name that nothing has."""
        return f"new{next(self.numbers)}"

    async def fill(self, operation: Operation, actor: str, place: str, *, fresh: bool) -> str:
        """Return the operation's path with its parameters; `fresh` things are made for this request alone."""
        path = operation.path
        user = {OWN: "owner" if actor == "pat" else actor, FOREIGN: "victim", ABSENT: "victim"}[place]
        names = re.findall(r"\{(\w+)\}", operation.path)
        for name in names:
            collection = path[: path.index(f"/{{{name}}}")].removeprefix(API)
            is_last = name == names[-1]
            if place == ABSENT and is_last:
                value = {"project": "none", "seq": str(2**40), "number": "x999/999"}.get(name, "absent")
            elif name == "project":
                around = PLACE_OF[OWN if place == ABSENT else place]
                value = await self.make("/projects") if fresh and operation.id == "delete_project" else around
            elif collection == "/users":
                value = (
                    await self.make("/users")
                    if fresh and operation.id == "delete_user" and place != OWN
                    else user
                )
            elif name == "user":
                value = "victim"
            elif collection.startswith("/audit"):
                value = str(operation.required[name])
            elif collection.endswith("/sessions"):
                value = await self.session(user)
            elif fresh:
                value = await self.make(collection, member=operation.id == "remove_member")
            else:
                value = await self.stand(collection)
            path = path.replace(f"{{{name}}}", quote(value), 1)
        return path

    async def stand(self, collection: str) -> str:
        """Return a thing of a collection that is there throughout."""
        if collection not in self.standing:
            self.standing[collection] = await self.make(collection, member=True)
        return self.standing[collection]

    async def make(self, collection: str, *, member: bool = False) -> str:
        """Make a thing of a collection, and return what its path ends with."""
        made = await self.world.api("POST", collection, self.body(collection), expect=201)
        name = str(made["id" if collection.endswith(("/bindings", "/tokens", "/secrets")) else "name"])
        if collection == "/groups" and member:
            await self.world.api("PUT", f"/groups/{name}/members/victim", expect=204)
        return name

    def body(self, collection: str) -> dict[str, Any]:
        """Return what makes a new thing of a collection."""
        bodies: dict[str, dict[str, Any]] = {
            "roles": {"name": self.new(), "permissions": ["project:read"]},
            "bindings": {"role": "reader", "subject": {"kind": "user", "name": "victim"}},
            "tokens": {"label": "x"},
            "secrets": {"label": "x"},
        }  # fmt: skip
        return bodies.get(collection.rpartition("/")[2], {"name": self.new()})

    async def session(self, user: str) -> str:
        """Log somebody in, and return the id of the session."""
        password = ADMIN_PASSWORD if user == ADMIN else password_of(user)
        answer = await self.world.ask(by=(user, password), offline_token="true", client_id="docker")
        return str(answer.json()["refresh_token"].split("_")[1][1:])


async def body_for(cast: Cast, operation: Operation, actor: str, place: str) -> Any:
    """Return a body that is right, so that only the caller's rights decide."""
    if operation.id == "set_password":
        own = ADMIN_PASSWORD if actor == ADMIN else password_of("owner" if actor == "pat" else actor)
        return {"password": own if place == OWN else password_of("victim")}
    if operation.id == "explain_scopes":
        return {"account": "victim", "service": SERVICE, "scopes": ["repository:acme/app:pull"]}
    if operation.id.startswith("create_"):
        return cast.body(operation.path)
    return operation.body


def places_of(operation: Operation) -> list[str]:
    """Return the places that an operation can be about."""
    if "{project}" in operation.path or "/users/{" in operation.path or operation.id == "list_who_can":
        return [OWN, FOREIGN, ABSENT]
    return [FOREIGN, ABSENT] if "{" in operation.path else [FOREIGN]


def policy_of(connection: Connection) -> list[Any]:
    """Return a digest of everything that policy is; which key signs is left out, as a new one begins to by itself."""
    tables = (
        "users", "groups", "group_members", "projects", "robots", "credentials", "roles", "bindings", "services",
        "service_names", "(SELECT id, certificate FROM signing_keys)",
    )  # fmt: skip
    ask = " UNION ALL ".join(
        f"SELECT {number}, count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"
        for number, table in enumerate(tables)
    )
    return connection.execute(ask.encode()).fetchall()


async def attempt(
    cast: Cast, operation: Operation, actor: str, place: str, connection: Connection
) -> tuple[int, str | None]:
    """Make one attempt, and return its status and what is wrong with its answer."""
    status = expected(operation, actor, place)
    succeeds = status < 400
    path = await cast.fill(operation, actor, place, fresh=succeeds and operation.method != "GET")
    body = await body_for(cast, operation, actor, place)
    query = {name: value for name, value in operation.required.items() if f"{{{name}}}" not in operation.path}
    if operation.id == "list_who_can":
        query["repository"] = f"{PLACE_OF[place]}/app"
    before = None if succeeds else policy_of(connection)
    answer = await cast.request(actor, operation, path, query, body)
    fault = None
    if answer.status_code != status:
        fault = f"{answer.status_code}, not {status}: {answer.text[:300]}"
    elif not succeeds and answer.headers["content-type"] != "application/problem+json":
        fault = "no problem"
    elif not succeeds and policy_of(connection) != before:
        fault = "refused, and policy has changed"
    return answer.status_code, fault


@pytest.mark.timeout(1200)
async def test_every_operation_answers_everybody_as_the_design_says(world: World, superuser_url: str) -> None:
    """Each operation gives everybody the status written down for what is own, foreign and absent; no refusal changes policy."""
    cast = Cast(world)
    await cast.gather()
    assert {operation.id for operation in OPERATIONS} <= set(NEEDS), "give the new operation its Need"
    wrong, table = [], [f"{'':34}" + " ".join(f"{actor[:6]:>6}" for actor in HELD)]
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        for operation in OPERATIONS:
            for place in places_of(operation):
                statuses: dict[str, int] = {}
                for actor in HELD:
                    if place == OWN and "/users/{" in operation.path and actor in ("nobody", "robot"):
                        continue  # neither is a user
                    statuses[actor], fault = await attempt(cast, operation, actor, place, connection)
                    if fault is not None:
                        wrong.append(f"{operation.id} {place} by {actor}: {fault}")
                row = " ".join(f"{statuses.get(actor, '-'):>6}" for actor in HELD)
                table.append(f"{operation.id:27}{place:7}{row}")
    print("", *table, sep="\n")  # noqa: T201 - what pytest -s is asked for
    assert not wrong, "\n".join(["", *wrong])
