"""What administration leaves in the log, and what it must never leave anywhere."""

import asyncio
import json
import logging
from typing import Any

import httpx
import psycopg
import pytest
from structlog.testing import capture_logs

from authsvc.core.decide import RULE_VERSION
from authsvc.core.event import microseconds
from authsvc.operations.bootstrap import FirstStart, bootstrap
from tests.clock import Clock
from tests.world import ADMIN, ADMIN_PASSWORD, API, SERVICE, World

AUTH = (ADMIN, ADMIN_PASSWORD)


async def test_an_event_says_who_from_where_when_and_the_whole_new_state(world: World, clock: Clock) -> None:
    """The event of a change names actor, address, time and rule, and keeps everything the rule can depend on."""
    await world.add_project("acme")
    made = await world.bind(
        "developer", "user", ADMIN, "acme", repositories=["app"], services=["x"], cidrs=["10.0.0.0/8"],
        expires_at="2030-01-01T00:00:00Z", comment="private words",
    )  # fmt: skip
    seq, entry = (await world.events())[-1]
    admin = await world.api("GET", f"/users/{ADMIN}", expect=200)
    subject = {"kind": "user", "id": admin["id"], "name": ADMIN}
    assert entry.pop("nonce")
    assert entry == {
        "v": 1, "kind": "policy.binding.created", "time": microseconds(clock()), "outcome": "done", "rule": RULE_VERSION,
        "actor": subject, "address": "192.0.2.7", "agent": world.client.headers["user-agent"],
        "credential": {"kind": "password"}, "things": [["user", admin["id"]]],
        "state": {
            "id": made["id"], "role": "developer", "subject": subject, "project": "acme", "repositories": ["app"],
            "services": ["x"], "cidrs": ["10.0.0.0/8"], "not_before": None, "expires_at": 1893456000 * 10**6,
        },
    }  # fmt: skip
    assert await world.deps.memory.refresh() == seq


async def test_a_change_that_fails_halfway_changes_nothing(world: World) -> None:
    """When the second statement of a change violates a constraint, the first is gone too, and there is no event."""
    await world.api("POST", "/services", {"name": "one", "aliases": ["taken"]}, expect=201)
    before, size = await world.deps.memory.refresh(), len(await world.events())
    await world.api("POST", "/services", {"name": "two", "aliases": ["free", "taken"]}, expect=409)
    await world.api("PATCH", f"/services/{SERVICE}", {"aliases": ["taken"], "issuer": "other"}, expect=409)
    await world.api("DELETE", f"/users/{ADMIN}", expect=409)
    await world.api("GET", "/services/two", expect=404)
    assert (await world.api("GET", f"/services/{SERVICE}", expect=200))["issuer"] == "authsvc"
    assert (await world.deps.memory.refresh(), len(await world.events())) == (before, size)
    assert (await world.ask(service="free")).status_code == 400


async def test_a_change_whose_event_is_refused_is_undone(world: World, superuser_url: str) -> None:
    """When the log takes no entry the change is not made either."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("REVOKE INSERT ON log FROM authsvc_app")
        answer = await world.client.post(f"{API}/projects", json={"name": "acme"}, auth=AUTH)
        connection.execute("GRANT INSERT ON log TO authsvc_app")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    await world.api("GET", "/projects/acme", expect=404)


async def test_names_that_race_are_given_once(world: World) -> None:
    """Of many who create the same thing at once one succeeds, and there is one event."""
    answers = await asyncio.gather(
        *(world.client.post(f"{API}/projects", json={"name": "acme"}, auth=AUTH) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    kinds = [entry["kind"] for _, entry in await world.events()]
    assert kinds.count("policy.project.created") == 1


async def test_no_change_is_lost_when_versions_race(world: World) -> None:
    """Of many changes made with the same If-Match one succeeds."""
    await world.add_project("acme")
    answers = await asyncio.gather(*(
        world.client.patch(
            f"{API}/projects/acme", json={"description": str(n)}, auth=AUTH, headers={"if-match": '"1"'}
        )
        for n in range(6)
    ))  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5


async def test_bootstrap_repeats_and_races_without_a_trace(world: World) -> None:
    """A second start changes nothing, and makes no second administrator."""
    before = await world.deps.memory.refresh()
    again = FirstStart("intruder", ["another.registry"], "another-password")
    told = await asyncio.gather(*(bootstrap(world.deps, again) for _ in range(3)))
    assert await world.deps.memory.refresh() == before
    assert {one.new_password for one in told} == {None}
    await world.api("GET", "/users/intruder", expect=404)


class _Canaries:
    """Secrets to plant, and everything that is looked through for them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.planted: list[str] = []
        self.seen: list[str] = []

    def plant(self, text: str) -> str:
        self.planted.append(text)
        return text

    async def call(self, method: str, path: str, body: Any = None, auth: Any = AUTH) -> httpx.Response:
        answer = await self.world.client.request(method, path, json=body, auth=auth)
        self.seen.append(str(answer.headers))
        if answer.status_code >= 300 or method == "GET":
            self.seen.append(answer.text)
        return answer


async def test_no_secret_is_anywhere_but_in_the_one_answer(
    world: World, superuser_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Planted passwords, tokens, secrets and typing errors are in no entry, metric, log line, error, or row."""
    caplog.set_level(logging.DEBUG)
    canary = _Canaries(world)
    with capture_logs() as logged:
        await _plant(canary)
        canary.seen.append((await world.client.get("/metrics")).text)
    canary.seen += [record.getMessage() for record in caplog.records if record.name != "httpx"]
    canary.seen.append(json.dumps(logged, default=repr))
    canary.seen += [json.dumps(entry) for _, entry in await world.events()]
    with psycopg.connect(superuser_url) as connection:
        for table in ("users", "credentials", "log", "batches", "bindings"):
            rows = connection.execute(f"SELECT t::text FROM {table} t").fetchall()
            canary.seen += [row[0] for row in rows]
    everything = "\n".join(canary.seen)
    assert len(canary.planted) > 12
    found = [text for text in canary.planted if text in everything or text.encode().hex() in everything]
    assert found == []


async def _plant(canary: _Canaries) -> None:
    world, plant, call = canary.world, canary.plant, canary.call
    password = plant("canary-password-a1")
    await call("POST", f"{API}/users", {"name": "alice", "password": password})
    await call("PUT", f"{API}/users/alice/password", {"password": (password := plant("canary-password-b2"))})
    alice = ("alice", password)
    for wrong in (
        {"password": plant("c3")},
        {"password": [plant("canary-list-d4")]},
        {"password": 5, "x": plant("canary-e5")},
    ):
        await call("PUT", f"{API}/users/alice/password", wrong)
        await call("POST", f"{API}/users", {"name": "bob", **wrong})
    canary.planted.remove("c3")  # too short to be looked for
    typed = [
        (plant("canary-typed-as-name-f6"), "x"),
        ("alice", plant("canary-wrong-g7")),
        (plant("canary h8"), plant("canary-i9")),
    ]
    for auth in typed:
        await call("GET", f"{API}/me", auth=auth)
        await call("GET", f"/token?service={SERVICE}&account={auth[0]}&scope=repository:a/b:pull", auth=auth)
    token = (await call("POST", f"{API}/users/alice/tokens", {"scopes": ["project:read"]}, alice)).json()
    await call("POST", f"{API}/projects", {"name": "acme"})
    await call("POST", f"{API}/projects/acme/robots", {"name": "ci"})
    secret = (await call("POST", f"{API}/projects/acme/robots/ci/secrets", {})).json()
    for name, text in (("alice", plant(token["token"])), ("acme+ci", plant(secret["secret"]))):
        assert (await call("GET", f"{API}/me", auth=(name, text))).status_code == 200
        assert (await world.ask(by=(name, text))).status_code == 200
        await call("GET", f"{API}/me", auth=(name, plant(text[:-1] + "x")))
        await call("GET", f"{API}/me", auth=("someone", text))
    refresh = await world.ask(by=alice, offline_token="true")
    text = plant(refresh.json()["refresh_token"])
    assert (await world.ask(by=("<token>", text))).status_code == 200
    await call("GET", f"{API}/me", auth=("<token>", text))
    for path in (
        "/users",
        "/users/alice/tokens",
        "/users/alice/sessions",
        "/projects/acme/robots/ci/secrets",
    ):
        assert (await call("GET", API + path)).status_code == 200
    await call("DELETE", f"{API}/users/alice/tokens/{token['id']}")
    await call("GET", f"{API}/users/alice", auth=alice)


async def test_errors_name_no_value(world: World) -> None:
    """What is wrong with a value is told without the value, as it may be a secret in the wrong place."""
    for body in (
        {
            "name": "x",
            "password": "canary-aaa",
            "disabled": "canary-bbb",
            "email": "canary-ccc",
            "display_name": 7,
        },
        {"name": "canary ddd!"},
        "canary-eee",
        ["canary-fff"],
    ):
        answer = await world.client.post(f"{API}/users", json=body, auth=AUTH)
        assert answer.status_code == 422
        assert "canary" not in answer.text
