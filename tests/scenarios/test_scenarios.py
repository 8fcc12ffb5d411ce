"""Scenario worlds: the token endpoint, explain, who-can, the access review and the command line say the same, as expected."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from authsvc.app import Application
from authsvc.config import Settings
from authsvc.core.repository import parse_repository
from authsvc.core.scope import parse_scope
from authsvc.faces.cli.main import application as command_line
from tests.clock import Clock
from tests.scenarios.scenario import Credential, Expectation, build, moment, read_scenario
from tests.world import World, access_of

FILES = sorted(Path(__file__).parent.glob("*.yaml"))
ALLOWING = {"binding", "public", "internal"}
BARRED = {"unknown_account", "disabled"}
BARRED_WITH_TOKEN = BARRED | {"address", "expired"}


@dataclass(frozen=True)
class Faces:
    """Every way to ask, of one world at one time."""

    world: World
    application: Application
    environment: dict[str, str]
    credentials: dict[str, Credential]

    async def token(self, asked: Expectation) -> set[str] | None:
        """Return the actions that a token grants on what was asked, or None when the credentials are refused."""
        by = (
            None
            if asked.who == ""
            else (asked.who, self.credentials.get(asked.with_ or asked.who, Credential("x")).secret)
        )
        transport = httpx.ASGITransport(self.application, client=(asked.address, 40000))
        async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as client:
            world = World(client, self.world.deps)
            answer = await world.ask(asked.scope, by=by, service=asked.service)
        if answer.status_code == 401:
            return None
        granted = access_of(answer)
        scope = parse_scope(asked.scope)
        assert set(granted) <= ({scope.name} if scope else set())
        return {action for actions in granted.values() for action in actions}

    async def run(self, *arguments: str) -> Any:
        """Return what a command prints as JSON."""
        runner = CliRunner()
        invoking = asyncio.to_thread(
            runner.invoke, command_line, [*arguments, "-o", "json"], env=self.environment
        )
        result = await invoking
        assert result.exit_code == 0, (arguments, result.output, result.exception)
        return json.loads(result.stdout)

    async def explain(self, asked: Expectation, at: datetime) -> dict[str, Any]:
        """Return the answer of explain, which the API and the command line give alike."""
        id_ = self.credentials[asked.with_].id if asked.with_ else None
        where = {
            "account": asked.who,
            "service": asked.service,
            "address": asked.address,
            "at": at.isoformat(),
        }
        body = {**where, "scopes": [asked.scope], "credential": id_}
        answer = await self.world.api("POST", "/explain", body, expect=200)
        options = [f"--{name}={value}" for name, value in where.items()]
        shown = await self.run("explain", asked.scope, *options, *(["--credential", id_] if id_ else []))
        assert shown == answer
        (grant,) = answer["grants"]
        assert isinstance(grant, dict)
        return grant

    async def who_can(self, name: str, action: str, asked: Expectation, at: datetime) -> list[dict[str, Any]]:
        """Return who can, which the API and the command line say alike; the latter is asked about one action of each scope."""
        where = {"service": asked.service, "address": asked.address, "at": at.isoformat()}
        query = httpx.QueryParams({"repository": name, "action": action, **where})
        items: list[dict[str, Any]] = (await self.world.api("GET", f"/who-can?{query}", expect=200))["items"]
        if action == min(asked.says):
            options = [f"--{key}={value}" for key, value in where.items()]
            assert await self.run("who-can", name, action, *options) == items
        return items


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The settings that the command line reads."""
    assert settings.database_url is not None
    return {
        "AUTHSVC_DATABASE_URL": settings.database_url.get_secret_value(),
        "AUTHSVC_DATA_DIR": str(settings.data_dir),
        "AUTHSVC_KEYS_DIR": str(settings.keys_path),
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_every_face_says_what_the_world_expects(
    path: Path, world: World, application: Application, environment: dict[str, str], clock: Clock
) -> None:
    """Each expectation of the file holds for the token, explain, who-can and the access review, on every face that has them."""
    plan, expected = read_scenario(path)
    start = clock()
    faces = Faces(world, application, environment, await build(world, plan, start))
    for asked in expected:
        at = moment(start, asked.at)
        clock.advance(at - clock())
        granted = {action for action, reason in asked.says.items() if reason in ALLOWING}
        grant = await faces.explain(asked, at)
        answered = {reason["action"]: reason for reason in grant["reasons"]}
        assert {action: reason["reason"] for action, reason in answered.items()} == asked.says, asked
        assert set(grant["granted"]) == granted
        for named, member in ((asked.by, "role"), (asked.through, "group")):
            assert {action: answered[action][member] for action in named} == named, asked
        tokened = await faces.token(asked)
        barred = (
            BARRED_WITH_TOKEN if asked.with_ and not any(r["binding"] for r in grant["reasons"]) else BARRED
        )
        assert (tokened is None) == (set(asked.says.values()) <= barred), asked
        assert tokened is None or tokened == granted, asked
        if asked.with_ is None:
            await _check_reverse(faces, asked, answered, at)


async def _check_reverse(
    faces: Faces, asked: Expectation, answered: dict[str, dict[str, Any]], at: datetime
) -> None:
    """Somebody is among those who can, and in the review, exactly where he is granted it, through the same binding."""
    scope = parse_scope(asked.scope)
    if scope is None or scope.type != "repository" or parse_repository(scope.name) is None:
        return
    for action, reason in answered.items():
        items = await faces.who_can(scope.name, action, asked, at)
        mine = [item for item in items if item["name"] == asked.who]
        doors = {item["kind"] for item in items if item["binding"] is None}
        door = "authenticated" if asked.who else "anonymous"
        bound = reason["reason"] == "binding"
        assert reason["allowed"] == (bool(mine) or (door in doors and reason["reason"] not in BARRED)), asked
        if bound:
            assert reason["binding"] in {item["binding"] for item in mine}
            await _check_review(faces, scope.name.removeprefix("registry.example/"), asked.who, reason)


async def _check_review(faces: Faces, name: str, who: str, reason: dict[str, Any]) -> None:
    """The review of the project has the way in that was named, as active."""
    repository = parse_repository(name)
    assert repository is not None
    path = f"/projects/{repository.project}/access-review?limit=200"
    rows = (await faces.world.api("GET", path, expect=200))["items"]
    (row,) = [row for row in rows if (row["name"], row["binding"]) == (who, reason["binding"])]
    assert (row["role"], row["group"], row["state"]) == (reason["role"], reason["group"], "active")


def test_there_are_a_dozen_worlds() -> None:
    """The folder holds a dozen worlds and more, and each reason that can be met is met in one of them."""
    said = {reason for path in FILES for asked in read_scenario(path)[1] for reason in asked.says.values()}
    assert len(FILES) >= 12
    assert said == {
        "binding", "public", "internal", "no_binding", "role", "pattern", "expired", "not_yet", "address", "service",
        "outside_limits", "disabled", "unknown_account", "unknown_project", "unknown_type", "malformed_name", "malformed_scope",
    }  # fmt: skip
