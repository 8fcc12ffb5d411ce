"""When and from where users, robots, secrets, tokens and sessions were last used: shown, and written beside the requests."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from authsvc.adapters.postgres.last_uses import forget_last_uses
from authsvc.core.errors import UnavailableError
from authsvc.core.event import Requester
from authsvc.core.last_use import LastUse
from authsvc.core.principal import ANONYMOUS, Principal, PrincipalKind
from authsvc.operations import note_use
from authsvc.operations.note_use import LastUses
from tests.clock import Clock
from tests.world import API, World, password_of

HERE = "192.0.2.7"


def used(shown: dict[str, Any]) -> tuple[datetime | None, str | None]:
    """Return what a resource says of its last use."""
    at = shown["last_used_at"]
    return None if at is None else datetime.fromisoformat(at), shown["last_used_address"]


async def test_the_last_use_of_everything_is_shown(world: World, clock: Clock) -> None:
    """Each principal and credential shows when and from where it last got a token; what was never used shows nothing."""
    await world.add_user("alice")
    await world.add_project("acme")
    secret = await world.add_robot("acme", "ci")
    token = await world.add_token("alice")
    unused = await world.add_token("alice")
    sign_in = clock()
    clock.advance(timedelta(minutes=1))
    refresh = (await world.ask_as("alice", offline_token="true")).json()["refresh_token"]
    session = f"/users/alice/sessions/{refresh[5:21]}"
    assert used(await world.api("GET", session, expect=200)) == (None, None)
    for credential, by in ((secret, "acme+ci"), (token, "alice"), (refresh, "alice")):
        clock.advance(timedelta(minutes=1))
        assert (await world.ask(by=(by, credential))).status_code == 200
    times = {
        name: sign_in + timedelta(minutes=n) for n, name in enumerate(("", "", "secret", "token", "refresh"))
    }
    for path, time in (
        (f"/projects/acme/robots/ci/secrets/{secret[5:21]}", times["secret"]),
        ("/projects/acme/robots/ci", times["secret"]),
        (f"/users/alice/tokens/{token[5:21]}", times["token"]),
        (session, times["refresh"]),
        ("/users/alice", times["refresh"]),
    ):
        assert used(await world.api("GET", path, expect=200)) == (time, HERE), path
    listed = (await world.api("GET", "/users/alice/tokens", expect=200))["items"]
    assert {item["id"]: used(item)[0] for item in listed} == {
        token[5:21]: times["token"],
        unused[5:21]: None,
    }
    changed = await world.api("PATCH", "/users/alice", {"display_name": "A"}, expect=200)
    assert used(changed) == (times["refresh"], HERE)


async def test_administering_is_a_use_and_a_refusal_is_none(world: World, clock: Clock) -> None:
    """A token that reads the API was used; one that came to another's name, or was refused, was not."""
    await world.add_user("alice")
    token = await world.add_token("alice")
    path = f"/users/alice/tokens/{token[5:21]}"
    assert (await world.ask(by=("admin", token))).status_code == 401
    assert used(await world.api("GET", path, expect=200)) == (None, None)
    headers = {"authorization": f"Bearer {token}"}
    assert (await world.client.get(f"{API}/me", headers=headers)).status_code == 200
    assert used(await world.api("GET", path, expect=200)) == (clock(), HERE)


async def test_writing_last_uses_moves_nothing_else(world: World, superuser_url: str) -> None:
    """What is written goes to a table of its own: no event, no policy revision, and the answer stays the same."""
    await world.add_user("alice")
    token = await world.add_token("alice")
    await world.ask(by=("alice", token))
    path = f"/users/alice/tokens/{token[5:21]}"
    before = await world.api("GET", path, expect=200)
    size, revision = len(await world.events()), await world.deps.memory.refresh()
    await world.deps.last_uses.write(world.deps.database)
    assert (len(await world.events()), await world.deps.memory.refresh()) == (size, revision)
    with psycopg.connect(superuser_url) as connection:
        stored = connection.execute("SELECT id FROM last_uses").fetchall()
    assert token[5:21] in {row[0] for row in stored}
    assert await world.api("GET", path, expect=200) == before


async def test_a_last_use_never_goes_back(world: World, clock: Clock) -> None:
    """Two workers write what they saw in any order, and the later use stays."""
    await world.add_user("alice")
    made = await world.api("GET", "/users/alice", expect=200)
    alice = Principal(PrincipalKind.USER, made["id"], "alice")
    early, late = clock() - timedelta(hours=2), clock() - timedelta(hours=1)
    for time, address in ((late, "192.0.2.8"), (early, "192.0.2.9")):
        worker = LastUses()
        worker.note(Requester(alice, address=address), time)
        await worker.write(world.deps.database)
    assert used(await world.api("GET", "/users/alice", expect=200)) == (late, "192.0.2.8")


async def test_uses_that_cannot_be_written_wait(world: World, clock: Clock, superuser_url: str) -> None:
    """While the database does not take them they stay noted, as many as are kept, and are written afterwards."""
    await world.add_user("alice")
    await world.ask_as("alice")
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("REVOKE INSERT ON last_uses FROM authsvc_app")
        with pytest.raises(UnavailableError):
            await world.deps.last_uses.write(world.deps.database)
        connection.execute("GRANT INSERT ON last_uses TO authsvc_app")
        await world.deps.last_uses.write(world.deps.database)
        (count,) = connection.execute("SELECT count(*) FROM last_uses").fetchone() or (0,)
    assert count == 2
    assert used(await world.api("GET", "/users/alice", expect=200)) == (clock(), HERE)


def test_what_is_noted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more ids wait than may, whatever is asked of the realm; anonymous is nobody."""
    monkeypatch.setattr(note_use, "MAX_NOTED", 3)
    uses, now = LastUses(), datetime(2030, 1, 1, tzinfo=UTC)
    for number in range(20):
        robot = Principal(PrincipalKind.ROBOT, f"robot{number}", f"acme+{number}")
        uses.note(Requester(robot, address="::1", credential_id=f"secret{number}"), now)
    uses.note(Requester(ANONYMOUS, address="::1"), now)
    assert len(uses._noted) == 4
    assert uses._of_this_process("robot0") == LastUse(now, "::1")


async def test_the_last_use_of_what_is_gone_is_forgotten(world: World, superuser_url: str) -> None:
    """The cleaning leaves the uses of what exists, and no others."""
    await world.add_user("alice")
    await world.add_user("bob")
    for user in ("alice", "bob"):
        assert (await world.ask(by=(user, password_of(user)))).status_code == 200
    await world.deps.last_uses.write(world.deps.database)
    await world.api("DELETE", "/users/bob", expect=204)
    async with world.deps.database.hot_read() as connection:
        await forget_last_uses(connection)
    with psycopg.connect(superuser_url) as connected:
        left = connected.execute(
            "SELECT name FROM last_uses LEFT JOIN users USING (id) ORDER BY name"
        ).fetchall()
    assert left == [("admin",), ("alice",)]
