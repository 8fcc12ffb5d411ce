"""authsvc explain, who-can and access-review on the command line: replay of the log, tables, CSV, and wrong use."""

import asyncio
import csv
import io
import json

import psycopg
import pytest
from typer.testing import CliRunner, Result

from authsvc.config import Settings
from authsvc.faces.cli.main import application as command_line
from tests.world import World

SCOPE = "repository:acme/app:pull,push"


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The settings that the command line reads."""
    assert settings.database_url is not None
    return {
        "AUTHSVC_DATABASE_URL": settings.database_url.get_secret_value(),
        "AUTHSVC_DATA_DIR": str(settings.data_dir),
        "AUTHSVC_KEYS_DIR": str(settings.keys_path),
        "COLUMNS": "300",
    }


async def run(environment: dict[str, str], *arguments: str) -> Result:
    """Run one command beside this event loop."""
    return await asyncio.to_thread(CliRunner().invoke, command_line, list(arguments), env=environment)


async def test_a_decision_of_the_past_is_explained_by_the_policy_of_its_moment(
    world: World, environment: dict[str, str], superuser_url: str
) -> None:
    """--event says what was decided then and why, whatever has changed since; an entry that was forged is not explained."""
    await world.add_user("alice")
    await world.add_project("acme")
    binding = await world.bind("reader", "user", "alice", "acme")
    await world.ask_as("alice", SCOPE)
    await world.api("DELETE", f"/projects/acme/bindings/{binding['id']}", expect=204)
    await world.api("DELETE", "/users/alice", expect=204)
    ((seq, _),) = await world.events(kind="token.issued")
    replayed = await run(environment, "explain", "--event", str(seq), "-o", "json")
    (grant,) = json.loads(replayed.stdout)["grants"]
    assert (grant["scope"], grant["granted"], grant["refused"]) == (SCOPE, ["pull"], ["push"])
    assert [(reason["reason"], reason["role"], reason["binding"]) for reason in grant["reasons"]] == [
        ("binding", "reader", binding["id"]), ("role", "reader", binding["id"]),
    ]  # fmt: skip
    today = await run(environment, "explain", SCOPE, "--account", "alice", "-o", "json")
    assert {reason["reason"] for reason in json.loads(today.stdout)["grants"][0]["reasons"]} == {
        "unknown_account"
    }
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE log DISABLE TRIGGER append_only")
        forge = 'replace(convert_from(entry, \'UTF8\'), \'"push":"role"\', \'"push":"held"\')'
        connection.execute(f"UPDATE log SET entry = convert_to({forge}, 'UTF8') WHERE seq = {seq}")
        connection.execute("ALTER TABLE log ENABLE ALWAYS TRIGGER append_only")
    forged = await run(environment, "explain", "--event", str(seq))
    assert forged.exit_code == 1
    assert "says something else than its policy" in str(forged.exception)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["explain"], 2, "--event SEQ"), (["explain", SCOPE, "--event", "1"], 2, "leave out all else"),
        (["explain", SCOPE, "--address", "x"], 2, "--address: must be an IP address"),
        (["explain", SCOPE, "--at", "yesterday"], 2, "--at: must be a time"),
        (["explain", "--event", "999999"], 1, "the log has no event 999999"),
        (["explain", "--event", "0"], 1, "is no token.issued"),
        (["explain", SCOPE, "--service", "absent"], 1, "there is no service 'absent'"),
        (["who-can", "ACME", "pull"], 1, "must be a repository's name"),
        (["who-can", "acme/app"], 2, "ACTION"), (["access-review", "absent"], 1, "there is no project 'absent'"),
    ],
)  # fmt: skip
async def test_wrong_use_is_told_with_what_to_do(
    world: World, environment: dict[str, str], arguments: list[str], code: int, words: str
) -> None:
    """What cannot be done fails with the right code and words that say which option and what it wants."""
    del world
    result = await run(environment, *arguments)
    assert result.exit_code == code
    assert words in f"{result.output} {result.stderr} {result.exception}"


async def test_tables_are_for_people(world: World, environment: dict[str, str]) -> None:
    """The table says each reason in words, and a review as CSV is what the API answers."""
    await world.add_user("alice")
    await world.add_project("acme", visibility="public")
    await world.bind("reader", "user", "alice", "acme")
    explained = await run(environment, "explain", SCOPE, "--account", "alice")
    assert "its role does not allow the action" in explained.output
    found = await run(environment, "who-can", "acme/app", "pull")
    assert [line.split()[1] for line in found.output.splitlines()[1:]] == [
        "anonymous", "authenticated", "admin", "alice",
    ]  # fmt: skip
    nobody = await run(environment, "who-can", "absent/app", "pull")
    assert nobody.output == "nobody may pull absent/app\n"
    reviewed = await run(environment, "access-review", "acme", "-o", "csv")
    answer = await world.client.get(
        "/api/v1/projects/acme/access-review?format=csv", auth=("admin", "admin-password-1")
    )
    assert list(csv.reader(io.StringIO(reviewed.stdout))) == list(csv.reader(io.StringIO(answer.text)))
