"""A scenario world: read from its file, and built through the admin API."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.world import SERVICE, World, password_of

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Expectation:
    """What one request is answered: the reason of each action, and, where it matters, the role and the group named."""

    who: str
    scope: str
    says: dict[str, str]
    with_: str | None = None
    service: str = SERVICE
    address: str = "192.0.2.7"
    at: str = "+0m"
    by: dict[str, str] = field(default_factory=dict)
    through: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Credential:
    """A secret, and the id of the personal access token that it is, if it is one."""

    secret: str
    id: str | None = None


def read_scenario(path: Path) -> tuple[dict[str, Any], list[Expectation]]:
    """Return a file's world and what is expected of it."""
    world: dict[str, Any] = yaml.safe_load(path.read_text())
    expected = [
        Expectation(**{"with_" if key == "with" else key: value for key, value in each.items()})
        for each in world["expect"]
    ]
    assert world["about"].endswith(".")
    return world, expected


def moment(start: datetime, text: str) -> datetime:
    """Return the time that is `text`, as +2h or -30m, from the start."""
    matched = re.fullmatch(r"([+-]\d+)([mhd])", text)
    assert matched is not None, text
    return start + timedelta(**{_UNITS[matched[2]]: int(matched[1])})


async def build(world: World, plan: dict[str, Any], start: datetime) -> dict[str, Credential]:
    """Make everything that the plan names, and return how its users, robots and tokens sign in."""
    for noun in ("services", "roles", "projects"):
        for name, said in plan.get(noun, {}).items():
            member = {"roles": "permissions", "projects": "visibility"}.get(noun)
            fields = said if member is None else {member: said}
            await world.api("POST", f"/{noun}", {"name": name, **fields}, expect=201)
    credentials = await _build_principals(world, plan)
    for binding in plan.get("bindings", []):
        await _bind(world, binding, start)
    for name, token in plan.get("tokens", {}).items():
        credentials[name] = await _add_token(world, token, start)
    for name in plan.get("disabled", []):
        project, is_robot, robot = name.partition("+")
        path = f"/projects/{project}/robots/{robot}" if is_robot else f"/users/{name}"
        await world.api("PATCH", path, {"disabled": True}, expect=200)
    return credentials


async def _build_principals(world: World, plan: dict[str, Any]) -> dict[str, Credential]:
    credentials = {}
    for name in plan.get("users", []):
        await world.add_user(name)
        credentials[name] = Credential(password_of(name))
    for subject in plan.get("robots", []):
        project, _, name = subject.partition("+")
        secret = await world.add_robot(None if project == "system" else project, name)
        credentials[subject] = Credential(secret)
    for name, members in plan.get("groups", {}).items():
        await world.api("POST", "/groups", {"name": name}, expect=201)
        for member in members:
            await world.api("PUT", f"/groups/{name}/members/{member}", expect=204)
    return credentials


def _times(plan: dict[str, Any], start: datetime) -> dict[str, str]:
    named = {"from": "not_before", "until": "expires_at"}
    return {field: moment(start, plan[key]).isoformat() for key, field in named.items() if key in plan}


async def _bind(world: World, plan: dict[str, Any], start: datetime) -> None:
    ((kind, name),) = [(kind, plan[kind]) for kind in ("user", "group", "robot") if kind in plan]
    fields = {key: plan[key] for key in ("repositories", "services", "cidrs") if key in plan}
    await world.bind(plan["role"], kind, name, plan.get("in"), **fields, **_times(plan, start))


async def _add_token(world: World, plan: dict[str, Any], start: datetime) -> Credential:
    user = plan["user"]
    fields: dict[str, Any] = {key: plan[key] for key in ("scopes", "cidrs") if key in plan}
    made = await world.api(
        "POST",
        f"/users/{user}/tokens",
        {**fields, **_times(plan, start)},
        expect=201,
        by=(user, password_of(user)),
    )
    return Credential(made["token"], made["id"])
