"""Reconciliation: what a grant covers, what none does, and which registries have gone silent."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from authsvc.operations.reconcile import SILENT_AFTER, reconcile
from authsvc.operations.run_background import forget_reported, go_round
from tests.clock import Clock
from tests.world import SERVICE, World, password_of

Body = dict[str, Any]
MINUTE = timedelta(minutes=1)
TTL = timedelta(seconds=300)


class Town:
    """A project with alice, who develops in it, and a registry that reports."""

    def __init__(self, world: World, clock: Clock, secret: str) -> None:
        self.world = world
        self.clock = clock
        self.secret = secret
        self.count = 0

    async def report(
        self,
        action: str,
        repository: str,
        actor: str = "alice",
        *,
        ago: timedelta = timedelta(),
        **target: Any,
    ) -> int:
        """Report one operation, and return its place in the log."""
        self.count += 1
        event = {
            "id": f"id-{self.count}",
            "timestamp": (self.clock() - ago).isoformat(),
            "action": action,
            "target": {"repository": repository, **target},
            "request": {"method": "GET"},
            "actor": {"name": actor} if actor else {},
        }
        answer = await self.world.client.post(
            "/api/v1/events",
            params={"service": SERVICE},
            content=json.dumps({"events": [event]}),
            headers={"authorization": f"Bearer {self.secret}", "content-type": "application/json"},
        )
        assert answer.json() == {"recorded": 1, "repeated": 0, "ignored": 0}
        events = await self.world.events(kind=f"registry.{action}")
        return events[-1][0]

    async def ask(self, *scopes: str, by: str = "alice", service: str = SERVICE) -> None:
        """Get a token."""
        who = (by, password_of(by)) if by else None
        answer = await self.world.ask(*scopes, by=who, service=service)
        assert answer.status_code == 200

    async def findings(self, **query: str) -> Sequence[Body]:
        """Reconcile, and return what was found, newest first."""
        await reconcile(self.world.deps)
        path = str(httpx.URL("/findings", params=query))
        page = await self.world.api("GET", path, expect=200)
        return list(page["items"])


@pytest.fixture
async def town(world: World, clock: Clock) -> Town:
    """Make it."""
    await world.add_project("acme")
    await world.add_project("open", visibility="public")
    await world.add_user("alice")
    await world.bind("developer", "user", "alice", "acme")
    await world.api("POST", "/services", {"name": "other.test"}, expect=201)
    secret = await world.add_robot(None, "registry")
    await world.bind("reporter", "robot", "system+registry", services=[SERVICE])
    return Town(world, clock, secret)


@pytest.mark.parametrize("action", ["pull", "push"])
async def test_an_operation_with_its_token_is_covered(town: Town, action: str) -> None:
    """What was granted to the same subject, for the same repository, action and service, is no finding."""
    await town.ask("repository:acme/app:pull,push")
    town.clock.advance(MINUTE)
    await town.report(action, "acme/app")
    assert await town.findings() == []


@pytest.mark.parametrize(
    ("scope", "action", "repository", "actor", "service"),
    [
        (None, "pull", "acme/app", "alice", SERVICE),
        ("repository:acme/app:pull", "push", "acme/app", "alice", SERVICE),
        ("repository:acme/app:pull", "pull", "acme/other", "alice", SERVICE),
        ("repository:acme/app:pull", "pull", "acme/app", "bob", SERVICE),
        ("repository:acme/app:pull", "pull", "acme/app", "", SERVICE),
        ("repository:acme/app:pull", "pull", "acme/app", "alice", "other.test"),
        ("repository:acme/app:delete", "delete", "acme/app", "alice", SERVICE),
        ("repository:acme/app:pull repository:acme/other:push", "push", "acme/app", "alice", SERVICE),
    ],
)
async def test_an_operation_without_its_token_is_found(
    town: Town, scope: str | None, action: str, repository: str, actor: str, service: str
) -> None:
    """Another action, repository, subject or service, or an action that was refused, covers nothing."""
    if scope is not None:
        await town.ask(*scope.split(), service=service)
    seq = await town.report(action, repository, actor)
    (finding,) = await town.findings()
    assert (finding["kind"], finding["service"], finding["seq"]) == ("uncovered", SERVICE, seq)
    assert finding["event"]["reported"]["repository"] == repository


async def test_a_wildcard_covers_what_it_stands_for(town: Town) -> None:
    """Who asked for `*` and was granted it may delete."""
    await town.world.bind("owner", "user", "alice", "acme")
    await town.ask("repository:acme/app:*")
    await town.report("delete", "acme/app")
    assert await town.findings() == []


async def test_anonymous_pulls_are_covered_by_anonymous_tokens(town: Town) -> None:
    """What nobody pulled from a public project is covered by a token for nobody, and by no other."""
    await town.ask("repository:open/app:pull", by="")
    await town.report("pull", "open/app", actor="")
    assert await town.findings() == []
    await town.report("pull", "open/other", actor="")
    assert len(await town.findings()) == 1


async def test_a_mount_needs_both_repositories_in_one_token(town: Town) -> None:
    """A mount is a push that reads its source: two tokens with one right each do not make it."""
    await town.ask("repository:acme/to:pull,push")
    await town.ask("repository:acme/from:pull")
    target: Body = {"fromRepository": "acme/from"}
    alone = await town.report("mount", "acme/to", **target)
    assert [finding["seq"] for finding in await town.findings()] == [alone]
    await town.ask("repository:acme/to:pull,push", "repository:acme/from:pull")
    await town.report("mount", "acme/to", **target)
    assert len(await town.findings()) == 1


@pytest.mark.parametrize(
    ("after", "found"), [(TTL, 0), (TTL + 2 * MINUTE - timedelta(seconds=1), 0), (TTL + 3 * MINUTE, 1)]
)
async def test_a_token_ends(town: Town, after: timedelta, found: int) -> None:
    """A token covers until its end, a registry's leeway and a minute of difference between clocks; not later."""
    await town.ask("repository:acme/app:pull")
    town.clock.advance(after)
    await town.report("pull", "acme/app")
    assert len(await town.findings()) == found


async def test_a_token_covers_nothing_before_it(town: Town) -> None:
    """An operation of well before the token is found, though it was reported after."""
    town.clock.advance(timedelta(minutes=10))
    await town.ask("repository:acme/app:pull")
    await town.report("pull", "acme/app", ago=5 * MINUTE)
    assert len(await town.findings()) == 1


async def test_a_later_token_covers_no_earlier_report(town: Town) -> None:
    """A token that is logged after the report cannot have been shown to the registry, however near in time."""
    await town.report("pull", "acme/app")
    await town.ask("repository:acme/app:pull")
    await town.report("pull", "acme/app")
    (finding,) = await town.findings()
    assert finding["event"]["reported"]["id"] == "id-1"


async def test_a_report_may_be_late(town: Town) -> None:
    """It counts when the operation happened, not when the registry's queue got through."""
    await town.ask("repository:acme/app:pull")
    town.clock.advance(timedelta(hours=5))
    await town.report("pull", "acme/app", ago=timedelta(hours=5))
    assert await town.findings() == []


async def test_a_long_transfer_is_given_its_time(town: Town) -> None:
    """A registry looks at the token when a transfer begins and reports when it ends: 3 GB may take 50 minutes."""
    await town.ask("repository:acme/app:pull")
    town.clock.advance(50 * MINUTE)
    await town.report("pull", "acme/app", size=3 * 1024**3)
    assert await town.findings() == []
    await town.report("pull", "acme/app", size=1024)
    assert len(await town.findings()) == 1


async def test_no_transfer_takes_for_ever(town: Town) -> None:
    """A size that is made up lets no token cover what was done more than a day after it had ended."""
    await town.ask("repository:acme/app:pull")
    town.clock.advance(timedelta(days=1, minutes=10))
    await town.report("pull", "acme/app", size=2**53 - 1)
    assert len(await town.findings()) == 1


async def test_the_one_token_is_found_among_many(town: Town) -> None:
    """Coverage is looked for beyond the first page of an actor's tokens, and each operation is judged by itself."""
    await town.ask("repository:acme/app:pull,push")
    for _ in range(120):
        await town.ask("repository:acme/app:pull")
    await town.report("push", "acme/app")
    for n in range(5):
        await town.report("pull", "acme/app" if n % 2 else "acme/other")
    assert len(await town.findings()) == 3


async def test_each_operation_is_judged_once(town: Town, superuser_url: str) -> None:
    """The cursor goes on; what was found stays found once, and nothing is found again."""
    first = await town.report("pull", "acme/app")
    assert [finding["seq"] for finding in await town.findings()] == [first]
    second = await town.report("push", "acme/app")
    assert [finding["seq"] for finding in await town.findings()] == [second, first]
    assert len(await town.findings()) == 2
    with psycopg.connect(superuser_url) as connection:
        assert connection.execute("SELECT seq FROM cursors").fetchall() == [(second,)]


async def test_one_process_at_a_time(town: Town, superuser_url: str) -> None:
    """While somebody reconciles, another leaves it to him, and neither waits."""
    await town.report("pull", "acme/app")
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SELECT seq FROM cursors FOR UPDATE")
        assert await town.findings() == []
    assert len(await town.findings()) == 1


async def test_an_operation_whose_entry_is_gone_is_found(town: Town, superuser_url: str) -> None:
    """An id that leads to no readable event is not taken for covered, and stops nothing."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO reported (service, id, seq, received_at) VALUES (%s, 'x', 0, %s)",
            [SERVICE, town.clock() - timedelta(days=400)],
        )
    (finding,) = await town.findings()
    assert (finding["kind"], finding["seq"]) == ("uncovered", 0)


_FORGED = """
INSERT INTO log (seq, time, kind, outcome, actor, projects, repositories, actions, entry)
SELECT seq, time - interval '1 second', 'token.issued', 'allowed', 'alice', '{acme}', '{acme/app}', '{pull}', %s
FROM log ORDER BY seq DESC LIMIT 1
"""


@pytest.mark.parametrize("entry", [b"no JSON", b"[1]"])
async def test_a_row_that_cannot_be_read_covers_nothing(town: Town, superuser_url: str, entry: bytes) -> None:
    """What somebody put into the log's table covers no operation, and stops no judgement."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(_FORGED, [entry])
    seq = await town.report("pull", "acme/app")
    assert [finding["seq"] for finding in await town.findings()] == [seq]


async def test_work_that_fails_stops_no_other(town: Town, superuser_url: str) -> None:
    """A round does all that is due, though one of its works meets what it has never met."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("INSERT INTO last_uses (id, used_at) VALUES ('aaaaaaaaaaaaaaaa', now())")
        connection.execute("ALTER TABLE cursors RENAME TO other")
        await go_round(town.world.deps, 1)
        connection.execute("ALTER TABLE other RENAME TO cursors")
        assert connection.execute("SELECT FROM last_uses WHERE id = 'aaaaaaaaaaaaaaaa'").fetchall() == []


async def test_a_report_for_no_service_is_covered_by_any(town: Town) -> None:
    """Where the reporter named no service, a token for any of them covers, and nothing else does."""
    await town.world.bind("reporter", "user", "alice")
    await town.ask("repository:acme/app:pull", service="other.test")
    for id_, repository in (("1", "acme/app"), ("2", "acme/other")):
        event = {
            "id": id_,
            "action": "pull",
            "target": {"repository": repository},
            "actor": {"name": "alice"},
        }
        await town.world.api(
            "POST", "/events", {"events": [event]}, expect=200, by=("alice", password_of("alice"))
        )
    (finding,) = await town.findings()
    assert (finding["service"], finding["event"]["reported"]["repository"]) == ("", "acme/other")


async def test_a_silent_registry_is_found_once(town: Town) -> None:
    """A registry that reported, and does not while tokens for it are issued, is one finding for each silence."""
    await town.ask("repository:acme/app:pull")
    await town.report("pull", "acme/app")
    town.clock.advance(2 * MINUTE)
    for _ in range(3):
        await town.ask("repository:acme/app:pull")
    town.clock.advance(SILENT_AFTER)
    (finding,) = await town.findings()
    assert (finding["kind"], finding["service"]) == ("silent", SERVICE)
    assert finding["event"]["kind"] == "token.issued"
    town.clock.advance(SILENT_AFTER)
    assert len(await town.findings()) == 1
    await town.report("pull", "acme/app", ago=2 * SILENT_AFTER)
    assert len(await town.findings()) == 1


@pytest.mark.parametrize("scopes", [(), ("repository:elsewhere/app:pull",)])
async def test_a_registry_nobody_uses_is_not_silent(town: Town, scopes: tuple[str, ...]) -> None:
    """Without a token that grants something there is nothing to report."""
    await town.ask("repository:acme/app:pull")
    await town.report("pull", "acme/app")
    for _ in range(5):
        town.clock.advance(2 * MINUTE)
        await town.ask(*scopes)
        await town.ask("repository:acme/app:pull", service="other.test")
    town.clock.advance(SILENT_AFTER)
    assert await town.findings() == []


async def test_a_registry_that_never_reported_is_not_silent(town: Town) -> None:
    """Notifications are a choice: without them there is no silence."""
    for _ in range(5):
        await town.ask("repository:acme/app:pull")
    town.clock.advance(2 * SILENT_AFTER)
    assert await town.findings() == []


async def test_findings_are_pages_by_kind_and_service(town: Town) -> None:
    """Findings come newest first, in pages, and can be narrowed."""
    for n in range(5):
        await town.report("pull", f"acme/{n}")
    await reconcile(town.world.deps)
    seen: list[str] = []
    path = "/findings?limit=2&kind=uncovered"
    cursor: str | None = ""
    while cursor is not None:
        page = await town.world.api("GET", path + (f"&cursor={cursor}" if cursor else ""), expect=200)
        seen += [item["event"]["reported"]["repository"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [f"acme/{n}" for n in (4, 3, 2, 1, 0)]
    assert await town.findings(kind="silent") == []
    assert await town.findings(service="other.test") == []


async def test_findings_are_the_auditor_s(town: Town) -> None:
    """Reading them needs `audit:read` over the system, and is in the log."""
    await town.world.api("GET", "/findings", expect=403, by=("alice", password_of("alice")))
    await town.world.bind("auditor", "user", "alice")
    await town.world.api("GET", "/findings?kind=silent", expect=200, by=("alice", password_of("alice")))
    _, asked = (await town.world.events(kind="audit.queried"))[-1]
    assert asked["actor"]["name"] == "alice"
    assert asked["filter"] == {"findings": {"kind": "silent", "service": None}}


async def test_old_ids_are_forgotten(town: Town, superuser_url: str) -> None:
    """A month later the id of a report is gone, and its event is not."""
    await town.report("pull", "acme/app")
    for days, left in ((29, 1), (31, 0)):
        with psycopg.connect(superuser_url) as connection:  # its clock is not ours to advance
            connection.execute("UPDATE reported SET received_at = %s", [town.clock() - timedelta(days=days)])
        await forget_reported(town.world.deps)
        with psycopg.connect(superuser_url) as connection:
            assert connection.execute("SELECT count(*) FROM reported").fetchall() == [(left,)]
    assert len(await town.world.events(kind="registry.pull")) == 1
