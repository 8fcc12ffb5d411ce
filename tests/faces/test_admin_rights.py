from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import httpx

from tests.world import ADMIN, ADMIN_PASSWORD, API, World, password_of

ACTORS = ("anonymous", "plain", "reader", "owner", "other", "auditor", ADMIN, "disabled", "limited", "robot")
"""`owner`, `reader` and `robot` (a developer) are bound on acme, `other` owns beta; `limited` is an administrator's token for
`project:read`; `disabled` was an administrator."""

ADMIN_READS = "401 403 403 403 403 200 200 401 403 403"
ADMIN_ONLY = "401 403 403 403 403 403 {} 401 403 403"
MEMBER_READS = "401 404 200 200 404 200 200 401 200 200"
OWNER_WRITES = "401 404 403 {0} 404 403 {0} 401 403 403"
NOBODY = "401 404 404 404 404 404 404 401 404 404"
EVERYBODY = "401 200 200 200 200 200 200 401 200 200"
VICTIM = {"kind": "user", "name": "victim"}

# {robot} and the like stand for a fresh one, made by the administrator before each request.
TABLE: list[tuple[str, str, dict[str, Any] | None, str]] = [
    ("GET", "/users", None, ADMIN_READS),
    ("POST", "/users", {"name": "{new}"}, ADMIN_ONLY.format(201)),
    ("GET", "/users/victim", None, ADMIN_READS),
    ("GET", "/users/absent", None, "401 403 403 403 403 404 404 401 403 403"),
    ("PATCH", "/users/victim", {"email": "v@x"}, ADMIN_ONLY.format(200)),
    ("PATCH", "/users/victim", {"disabled": False}, ADMIN_ONLY.format(200)),
    ("PUT", "/users/victim/password", {"password": "long-enough"}, ADMIN_ONLY.format(204)),
    ("DELETE", "/users/{user}", None, ADMIN_ONLY.format(204)),
    ("GET", "/users/victim/tokens", None, ADMIN_READS),
    ("POST", "/users/victim/tokens", {}, ADMIN_ONLY.format(201)),
    ("GET", "/users/victim/tokens/{token}", None, ADMIN_READS),
    ("DELETE", "/users/victim/tokens/{token}", None, ADMIN_ONLY.format(204)),
    ("GET", "/users/admin/tokens/{token}", None, "401 403 403 403 403 404 404 401 403 403"),
    ("GET", "/users/victim/sessions", None, ADMIN_READS),
    ("GET", "/groups", None, ADMIN_READS),
    ("POST", "/groups", {"name": "{new}"}, ADMIN_ONLY.format(201)),
    ("PUT", "/groups/crew/members/victim", None, ADMIN_ONLY.format(204)),
    ("GET", "/roles", None, EVERYBODY),
    ("POST", "/roles", {"name": "{new}", "permissions": ["project:read"]}, ADMIN_ONLY.format(201)),
    ("PATCH", "/roles/own", {"permissions": ["project:read"]}, ADMIN_ONLY.format(200)),
    ("GET", "/projects", None, EVERYBODY),
    ("POST", "/projects", {"name": "{new}"}, ADMIN_ONLY.format(201)),
    ("GET", "/projects/acme", None, MEMBER_READS),
    ("GET", "/projects/absent", None, NOBODY),
    ("PATCH", "/projects/acme", {"description": "x"}, OWNER_WRITES.format(200)),
    ("PATCH", "/projects/absent", {"description": "x"}, "401 404 404 404 404 403 404 401 403 404"),
    ("DELETE", "/projects/acme", None, "401 404 403 403 404 403 - 401 403 403"),
    ("DELETE", "/projects/{project}", None, "401 404 404 404 404 403 204 401 403 404"),
    ("GET", "/projects/acme/bindings", None, MEMBER_READS),
    ("POST", "/projects/acme/bindings", {"role": "reader", "subject": VICTIM}, OWNER_WRITES.format(201)),
    ("POST", "/projects/absent/bindings", {"role": "reader", "subject": VICTIM}, "401 404 404 404 404 403 404 401 403 404"),
    ("GET", "/projects/acme/bindings/{binding}", None, MEMBER_READS),
    ("PATCH", "/projects/acme/bindings/{binding}", {"comment": "x"}, OWNER_WRITES.format(200)),
    ("DELETE", "/projects/acme/bindings/{binding}", None, OWNER_WRITES.format(204)),
    ("GET", "/projects/beta/bindings/{binding}", None, NOBODY),
    ("DELETE", "/projects/beta/bindings/{binding}", None, "401 404 404 404 404 403 404 401 403 404"),
    ("GET", "/bindings/{binding}", None, "401 403 403 403 403 404 404 401 403 403"),
    ("GET", "/projects/acme/robots", None, MEMBER_READS),
    ("POST", "/projects/acme/robots", {"name": "{new}"}, OWNER_WRITES.format(201)),
    ("GET", "/projects/acme/robots/{robot}", None, MEMBER_READS),
    ("PATCH", "/projects/acme/robots/{robot}", {"disabled": True}, OWNER_WRITES.format(200)),
    ("DELETE", "/projects/acme/robots/{robot}", None, OWNER_WRITES.format(204)),
    ("GET", "/projects/beta/robots/{robot}", None, NOBODY),
    ("POST", "/projects/acme/robots/{robot}/secrets", {}, OWNER_WRITES.format(201)),
    ("GET", "/projects/acme/robots/{robot}/secrets", None, MEMBER_READS),
    ("GET", "/projects/acme/robots/ci/secrets/{secret}", None, MEMBER_READS),
    ("DELETE", "/projects/acme/robots/spare/secrets/{secret}", None, OWNER_WRITES.format(204)),
    ("DELETE", "/projects/acme/robots/ci/secrets/{token}", None, OWNER_WRITES.format(404)),
    ("GET", "/bindings", None, ADMIN_READS),
    ("POST", "/bindings", {"role": "reader", "subject": VICTIM}, ADMIN_ONLY.format(201)),
    ("GET", "/robots", None, ADMIN_READS),
    ("POST", "/robots", {"name": "{new}"}, ADMIN_ONLY.format(201)),
    ("GET", "/services", None, ADMIN_READS),
    ("POST", "/services", {"name": "{new}"}, ADMIN_ONLY.format(201)),
    ("PATCH", "/services/registry.test", {"anonymous": True}, ADMIN_ONLY.format(200)),
    ("DELETE", "/services/{service}", None, ADMIN_ONLY.format(204)),
    ("GET", "/me", None, EVERYBODY),
]  # fmt: skip


class _Cast:
    """Everybody in ACTORS, and fresh things for them to try their hands on."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers = count()
        self.bearers: dict[str, str] = {}

    async def gather(self) -> None:
        world = self.world
        for name in ("plain", "reader", "owner", "other", "auditor", "disabled", "victim"):
            await world.add_user(name)
        for name in ("acme", "beta"):
            await world.add_project(name)
        await world.bind("reader", "user", "reader", "acme")
        await world.bind("owner", "user", "owner", "acme")
        await world.bind("owner", "user", "other", "beta")
        await world.bind("auditor", "user", "auditor")
        await world.bind("administrator", "user", "disabled")
        await world.api("PATCH", "/users/disabled", {"disabled": True}, expect=200)
        self.bearers["robot"] = await world.add_robot("acme", "ci")
        await world.bind("developer", "robot", "acme+ci", "acme")
        await world.api("POST", "/projects/acme/robots", {"name": "spare"}, expect=201)
        made = await world.api("POST", "/users/admin/tokens", {"scopes": ["project:read"]}, expect=201)
        self.bearers["limited"] = made["token"]
        await world.api("POST", "/groups", {"name": "crew"}, expect=201)
        await world.api("POST", "/roles", {"name": "own", "permissions": ["project:read"]}, expect=201)

    async def request(
        self, actor: str, method: str, path: str, body: dict[str, Any] | None
    ) -> httpx.Response:
        headers, auth = {}, None
        if actor in self.bearers:
            headers["authorization"] = f"Bearer {self.bearers[actor]}"
        elif actor != "anonymous":
            auth = (actor, ADMIN_PASSWORD if actor == ADMIN else password_of(actor))
        return await self.world.client.request(method, API + path, json=body, headers=headers, auth=auth)

    async def fresh(self, text: str) -> str:
        """Replace a placeholder by a thing made now."""
        makers: dict[str, Callable[[str], Awaitable[str]]] = {
            "{new}": self._new, "{user}": self._user, "{project}": self._project, "{service}": self._service,
            "{robot}": self._robot, "{binding}": self._binding, "{token}": self._token, "{secret}": self._secret,
        }  # fmt: skip
        for placeholder, make in makers.items():
            if placeholder in text:
                text = text.replace(placeholder, await make(text))
        return text

    async def _new(self, _: str) -> str:
        return f"new{next(self.numbers)}"

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = await self.world.api("POST", path, body, expect=201)
        return made

    async def _user(self, _: str) -> str:
        return str((await self._post("/users", {"name": await self._new(_)}))["name"])

    async def _project(self, _: str) -> str:
        return str((await self._post("/projects", {"name": await self._new(_)}))["name"])

    async def _service(self, _: str) -> str:
        return str((await self._post("/services", {"name": await self._new(_)}))["name"])

    async def _robot(self, _: str) -> str:
        return str((await self._post("/projects/acme/robots", {"name": await self._new(_)}))["name"])

    async def _binding(self, _: str) -> str:
        return str((await self._post("/projects/acme/bindings", {"role": "reader", "subject": VICTIM}))["id"])

    async def _token(self, _: str) -> str:
        return str((await self._post("/users/victim/tokens", {}))["id"])

    async def _secret(self, path: str) -> str:
        """Return the robot's only secret, made where it has none."""
        robot = "ci" if "/ci/" in path else "spare"
        found = await self.world.api("GET", f"/projects/acme/robots/{robot}/secrets", expect=200)
        if found["items"]:
            return str(found["items"][0]["id"])
        return str((await self._post(f"/projects/acme/robots/{robot}/secrets", {}))["id"])


async def test_every_route_answers_every_kind_of_principal_as_the_table_says(world: World) -> None:
    """For each route and each principal the status is the one written down; a refusal is a problem, and leaves no event."""
    cast = _Cast(world)
    await cast.gather()
    wrong = []
    for method, path, body, row in TABLE:
        for actor, expected in zip(ACTORS, row.split(), strict=True):
            if expected == "-":
                continue
            place = await cast.fresh(path)
            sent = body and {k: await cast.fresh(v) if isinstance(v, str) else v for k, v in body.items()}
            before = await world.deps.memory.refresh()
            answer = await cast.request(actor, method, place, sent)
            if answer.status_code != int(expected):
                wrong.append(
                    f"{method} {path} by {actor}: {answer.status_code}, not {expected}: {answer.text}"
                )
            elif answer.status_code >= 400:
                kind = answer.headers["content-type"]
                if kind != "application/problem+json" or answer.json()["status"] != answer.status_code:
                    wrong.append(f"{method} {path} by {actor}: no problem: {answer.text}")
            if answer.status_code >= 400 and await world.deps.memory.refresh() != before:
                wrong.append(f"{method} {path} by {actor}: refused, and an event")
    assert not wrong, "\n".join(["", *wrong])


async def test_what_is_foreign_looks_like_what_is_absent(world: World) -> None:
    """Who may not know a project or a user gets the same status, headers and words for it as for none."""
    cast = _Cast(world)
    await cast.gather()
    binding, robot = await cast.fresh("{binding}"), await cast.fresh("{robot}")
    tails: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", "", None), ("PATCH", "", {"description": "x"}), ("DELETE", "", None), ("GET", "/bindings", None),
        ("POST", "/bindings", {"role": "reader", "subject": VICTIM}), ("GET", f"/bindings/{binding}", None),
        ("PATCH", f"/bindings/{binding}", {}), ("DELETE", f"/bindings/{binding}", None), ("GET", "/robots", None),
        ("POST", "/robots", {"name": "x"}), ("GET", f"/robots/{robot}", None), ("DELETE", f"/robots/{robot}", None),
        ("POST", f"/robots/{robot}/secrets", {}), ("GET", f"/robots/{robot}/secrets", None),
    ]  # fmt: skip
    for actor in ("plain", "other"):
        for method, tail, body in tails:
            foreign = await cast.request(actor, method, f"/projects/acme{tail}", body)
            absent = await cast.request(actor, method, f"/projects/none{tail}", body)
            assert (foreign.status_code, foreign.text.replace("acme", "none")) == (404, absent.text), (
                method,
                tail,
            )
            assert foreign.headers == absent.headers
        for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            foreign = await cast.request(actor, method, "/users/victim", body)
            absent = await cast.request(actor, method, "/users/nobody", body)
            assert (foreign.status_code, foreign.text, foreign.headers) == (403, absent.text, absent.headers)


async def test_a_list_of_projects_holds_what_one_may_read(world: World) -> None:
    """Members see their projects, page by page, and no others."""
    cast = _Cast(world)
    await cast.gather()
    for actor, expected in (
        ("plain", []),
        ("reader", ["acme"]),
        ("other", ["beta"]),
        ("auditor", ["acme", "beta"]),
    ):
        listed = (await cast.request(actor, "GET", "/projects?limit=2", None)).json()
        assert [project["name"] for project in listed["items"]] == expected
        assert listed["next_cursor"] is None
