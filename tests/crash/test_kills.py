"""The whole service, its parts killed at random moments: whatever was acknowledged is in the log, and the log proves itself."""

import asyncio
import json
import os
import shutil
import tempfile
import time
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from authsvc.adapters.embedded.cluster import ClusterRole
from authsvc.adapters.keys.folder import KeyFolder
from authsvc.core import canonical
from authsvc.core.claims import payload_of
from authsvc.operations.verify_audit import verify_audit
from bench.running import PASSWORD, Client, Service, basic

FULL = os.environ.get("CAMPAIGN") == "full"
KILLS = 1_000 if FULL else 12
TOKEN = "/token?service=registry.localhost&scope=repository:acme/app:pull,push"
LOST = (OSError, EOFError, TimeoutError, ValueError)
ADMIN = basic("admin", PASSWORD)


@pytest.fixture
def service() -> Iterator[Service]:
    """Run a service, and end it whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="authsvc-crash-"))
    made = Service(folder)
    made.start()
    try:
        yield made
    finally:
        if made.is_alive():
            made.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Load:
    """Clients that go on whatever happens, and keep what they were given."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.tokens: list[str] = []
        self.changes: dict[str, str] = {}
        self.statuses: Counter[int | str] = Counter()
        self.done = False

    async def fetch_tokens(self, authorization: str, pause: float) -> None:
        """Ask for tokens until done."""
        client = Client(self.service.port)
        while not self.done:
            await asyncio.sleep(pause)
            try:
                status, body = await client.ask("GET", TOKEN, authorization)
            except LOST:
                self.statuses["lost"] += 1
                await asyncio.sleep(0.05)
                continue
            self.statuses[status] += 1
            assert status in (200, 429, 503), (status, body)
            if status == 200:
                self.tokens.append(body["token"])
            else:
                await asyncio.sleep(0.05)
        client.close()

    async def change_policy(self, pause: float) -> None:
        """Create users until done."""
        client, number = Client(self.service.port), 0
        while not self.done:
            await asyncio.sleep(pause)
            number += 1
            name = f"user{number}"
            try:
                status, body = await client.ask("POST", "/api/v1/users", ADMIN, {"name": name})
            except LOST:
                self.statuses["change lost"] += 1
                continue
            assert status in (201, 409, 429, 503), (status, body)
            if status == 201:
                self.changes[name] = body["id"]
        client.close()


async def _prepare(service: Service) -> str:
    """Make a project with a robot that may push, and return the robot's Authorization."""
    client = Client(service.port)

    async def make(path: str, body: dict[str, Any]) -> Any:
        status, answer = await client.ask("POST", f"/api/v1{path}", ADMIN, body)
        assert status == 201, answer
        return answer

    await make("/projects", {"name": "acme"})
    await make("/projects/acme/robots", {"name": "ci"})
    secret = (await make("/projects/acme/robots/ci/secrets", {}))["secret"]
    subject = {"kind": "robot", "name": "acme+ci"}
    await make("/projects/acme/bindings", {"role": "developer", "subject": subject})
    client.close()
    return basic("acme+ci", secret)


async def _kill_something(service: Service, random: Random) -> str:
    """Kill the parent, a worker or Postgres; only a dead parent is started again from outside."""
    what = random.choice(["parent", "worker", "worker", "postgres", "postgres"])
    if what == "parent":
        service.kill_parent()
        service.start()
        await service.until_ready()
    elif what == "worker":
        pids = service.worker_pids()
        service.kill(random.choice(pids) if pids else None)
    else:
        service.kill(service.postmaster_pid())
    return what


def _payload(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


def _check(service: Service, load: Load) -> int:
    """Hold every acknowledged token and change against the log, and the log against its signatures; return its size."""
    keys = KeyFolder(service.folder / "data" / "keys").load()
    verified = verify_audit(service.url(ClusterRole.AUDITOR), public=keys.audit.public_bytes)
    with psycopg.connect(service.url(ClusterRole.AUDITOR)) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        entries: dict[int, bytes] = dict(connection.execute("SELECT seq, entry FROM log").fetchall())
        users: dict[str, str] = dict(connection.execute("SELECT name, id FROM users").fetchall())
    assert sorted(entries) == list(range(len(entries)))
    assert len(entries) >= verified.size  # a worker that started meanwhile has said so
    nonces: Counter[str] = Counter(json.loads(entry)["nonce"] for entry in entries.values())
    assert set(nonces.values()) == {1}
    seen = set()
    for token in load.tokens:
        payload = _payload(token)
        epoch, seq, nonce = payload["jti"].split(".", 2)
        entry = canonical.decode(bytes(entries[int(seq)]))
        assert (epoch, nonce) == ("1", entry["nonce"])
        assert payload_of(entry, payload["jti"]) == payload
        seen.add(payload["jti"])
    assert len(seen) == len(load.tokens)
    created = {
        state["id"]
        for entry in map(json.loads, entries.values())
        if entry["kind"] == "policy.user.created" and (state := entry["state"])
    }
    assert created == set(users.values())
    assert all(users[name] == id_ for name, id_ in load.changes.items())
    return verified.size


@pytest.mark.timeout(7200 if FULL else 180)
async def test_kills_lose_nothing_acknowledged(service: Service) -> None:
    """Every token and change that was acknowledged is in the log as it was acknowledged; no gap, every root right."""
    await service.until_ready()
    robot = await _prepare(service)
    random, load, killed = Random(23), Load(service), Counter[str]()
    started = time.monotonic()
    clients = [asyncio.create_task(load.fetch_tokens(robot, 0.0)) for _ in range(6)]
    clients += [asyncio.create_task(load.fetch_tokens(ADMIN, 0.05)) for _ in range(2)]
    clients.append(asyncio.create_task(load.change_policy(0.05)))
    for _ in range(KILLS):
        await asyncio.sleep(random.random() * 1.5)
        if random.random() < 0.5:
            await service.until_ready()
        killed[await _kill_something(service, random)] += 1
        assert service.is_alive(), service.output()[-3000:]
        assert not any(client.done() for client in clients)
    await service.until_ready()
    await asyncio.sleep(0.5)
    load.done = True
    await asyncio.gather(*clients)
    size = await asyncio.to_thread(_check, service, load)
    print(  # noqa: T201 - the figures of the campaign
        f"\n{sum(killed.values())} kills {dict(killed)}, {len(load.tokens)} acknowledged tokens,"
        f" {len(load.changes)} acknowledged changes, {size} events, answers {dict(load.statuses)},"
        f" {time.monotonic() - started:.0f} s"
    )
    assert len(load.tokens) > KILLS * 5
    assert service.stop() == 0
