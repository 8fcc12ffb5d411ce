"""An installation to ask tokens of: made through the API, so that its log proves itself, replay included."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from bench.mixture import REPOSITORIES, SCOPE, Mixture
from bench.running import PASSWORD, Client, basic
from bench.toggles import PULL, Admin, Bound, Enabled, Member, Permitted, Visible

ADMIN = basic("admin", PASSWORD)
USER_PASSWORD = "a warm passphrase"
BUILDERS = 8
"""Callers of the API that build at a time."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many there are that ask, by what they ask with, and how many projects they ask about."""

    robots: int = 200
    tokens: int = 100
    passwords: int = 20
    projects: int = 20
    toggles: int = 2


async def build(port: int, size: Size) -> Mixture:
    """Make everything, and return what is asked of it."""
    admins = [Admin(Client(port), ADMIN) for _ in range(BUILDERS)]
    mixture = Mixture()
    for number in range(size.projects):
        await admins[0].do("POST", "/projects", {"name": f"p{number}"})
    await admins[0].do("PATCH", "/projects/p0", {"visibility": "public"})
    work: list[Callable[[Admin], Awaitable[None]]] = []
    for make, count in ((_robot, size.robots), (_token, size.tokens), (_password, size.passwords)):
        work += [partial(make, mixture, number, f"p{number % size.projects}") for number in range(count)]
    work += [partial(_toggles, mixture, number) for number in range(size.toggles)]
    await asyncio.gather(*(_do(work, admin) for admin in admins))
    for name in REPOSITORIES:
        mixture.add("anonymous", "", SCOPE.format("p0", name))
        mixture.add("anonymous", "", SCOPE.format("nothing", name))
    for wrong in (basic("p0+ci0", "ats_rwrong"), basic("nobody", "wrong password"), "Basic !"):
        mixture.add("refused", wrong, SCOPE.format("p0", "app"), status=401)
    return mixture


async def _do(work: list[Callable[[Admin], Awaitable[None]]], admin: Admin) -> None:
    while work:
        await work.pop(0)(admin)
    admin.client.close()


async def _robot(mixture: Mixture, number: int, project: str, admin: Admin) -> None:
    authorization = await _make_robot(admin, project, f"ci{number}")
    await _bind(admin, project, "robot", f"{project}+ci{number}")
    mixture.add_project("robot", authorization, project)


async def _token(mixture: Mixture, number: int, project: str, admin: Admin) -> None:
    authorization = await _make_user(admin, f"t{number}")
    await _bind(admin, project, "user", f"t{number}")
    mixture.add_project("token", authorization, project)


async def _password(mixture: Mixture, number: int, project: str, admin: Admin) -> None:
    name = f"u{number}"
    await admin.do("POST", "/users", {"name": name, "password": USER_PASSWORD})
    await _bind(admin, project, "user", name)
    mixture.add_project("password", basic(name, USER_PASSWORD), project)


async def _toggles(mixture: Mixture, number: int, admin: Admin) -> None:
    """Make a right of each sort, with a project and somebody to ask for each."""
    user, project = f"enabled{number}", f"enabled{number}"
    authorization = await _make_user(admin, user)
    await admin.do("POST", "/projects", {"name": project})
    await _bind(admin, project, "user", user)
    mixture.add_toggle(Enabled(user), project, authorization)

    project = f"bound{number}"
    await admin.do("POST", "/projects", {"name": project})
    authorization = await _make_robot(admin, project, "ci")
    await _bind(admin, project, "robot", f"{project}+ci")
    mixture.add_toggle(Bound(project, {"kind": "robot", "name": f"{project}+ci"}), project, authorization)

    user, project, group = f"member{number}", f"member{number}", f"group{number}"
    authorization = await _make_user(admin, user)
    await admin.do("POST", "/projects", {"name": project})
    await admin.do("POST", "/groups", {"name": group})
    await _bind(admin, project, "group", group)
    await admin.do("PUT", f"/groups/{group}/members/{user}")
    mixture.add_toggle(Member(group, user), project, authorization)

    project, role = f"permitted{number}", f"puller{number}"
    await admin.do("POST", "/projects", {"name": project})
    await admin.do("POST", "/roles", {"name": role, "permissions": [PULL, "project:read"]})
    authorization = await _make_robot(admin, project, "ci")
    await _bind(admin, project, "robot", f"{project}+ci", role)
    mixture.add_toggle(Permitted(role), project, authorization)

    user, project = f"visitor{number}", f"visible{number}"
    authorization = await _make_user(admin, user)
    await admin.do("POST", "/projects", {"name": project, "visibility": "internal"})
    mixture.add_toggle(Visible(project), project, authorization)


async def _make_user(admin: Admin, name: str) -> str:
    """Make a user with a personal access token, and return the Authorization."""
    await admin.do("POST", "/users", {"name": name})
    made = await admin.do("POST", f"/users/{name}/tokens", {})
    return basic(name, made["token"])


async def _make_robot(admin: Admin, project: str, name: str) -> str:
    """Make a robot with a secret, and return the Authorization."""
    await admin.do("POST", f"/projects/{project}/robots", {"name": name})
    made = await admin.do("POST", f"/projects/{project}/robots/{name}/secrets", {})
    return basic(f"{project}+{name}", made["secret"])


async def _bind(admin: Admin, project: str, kind: str, name: str, role: str = "developer") -> None:
    body = {"role": role, "subject": {"kind": kind, "name": name}}
    await admin.do("POST", f"/projects/{project}/bindings", body)
