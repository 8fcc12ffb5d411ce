"""Revocation races over three processes on one Postgres: what is taken away at one node is granted by none from then on."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import psycopg
import pytest

from authsvc.adapters.workers import listen
from authsvc.config import Settings
from authsvc.core.kind import Kind
from authsvc.operations.bootstrap import FirstStart, bootstrap
from authsvc.wiring import open_deps
from tests.races.lanes import KINDS, Lane, Node, UnavailableError
from tests.world import ADMIN, ADMIN_PASSWORD, SERVICE

FULL = os.environ.get("CAMPAIGN") == "full"
ROUNDS = 100_000 if FULL else 210
LANES = 28 if FULL else 7
NODES = 3
SEED = 7
PAUSED_ONE_IN = 200 if FULL else 8
MAKES_CHANGES = (200, 200, 1) if FULL else (1, 1, 1)
"""How often each node makes a change: while one that holds the lock of policy is paused, nobody goes on for a second."""
MAX_PAUSE = 0.02
STILL_SECONDS = 60.0

_ISSUED_OUT_OF_ORDER = """
SELECT count(*) FILTER (WHERE kind = 'token.issued'), count(*) FILTER (WHERE kind = 'token.issued' AND rests_on <> newest)
FROM (
    SELECT kind, (convert_from(entry, 'UTF8')::json ->> 'revision')::bigint AS rests_on,
           max(seq) FILTER (WHERE kind = ANY(%s)) OVER (ORDER BY seq) AS newest
    FROM log
) AS entries
"""


@dataclass(slots=True)
class Tally:
    """What was raced; `stale` are grants that were asked for after the revocation had returned.

    `built` are the lanes that were made: a new one whenever a node could not say what became of a change.
    """

    rounds: int = 0
    built: int = 0
    paused: int = 0
    stale: list[str] = field(default_factory=list)
    first_stale: int | None = None
    kinds: Counter[str] = field(default_factory=Counter)


@contextmanager
def _nodes(settings: Settings, *, blind: bool) -> Iterator[list[Node]]:
    """Run the nodes, each a process with a port, keys from the same folder, and caches and a journal of its own."""
    assert settings.database_url is not None
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "AUTHSVC_DATABASE_URL": settings.database_url.get_secret_value(),
        "AUTHSVC_DATA_DIR": str(settings.data_dir),
        "AUTHSVC_KEYS_DIR": str(settings.keys_path),
        "AUTHSVC_TRUSTED_PROXIES": "127.0.0.1/32",
    } | ({"RACES_BLIND": "1"} if blind else {})
    with ExitStack() as stack:
        nodes: list[Node] = []
        for _ in range(NODES):
            with listen("127.0.0.1", 0) as listening:
                port, descriptor = int(listening.getsockname()[1]), listening.fileno()
                command = [sys.executable, "-m", "tests.races.node", str(descriptor)]
                process = subprocess.Popen(command, env=environment, pass_fds=[descriptor])
            stack.callback(process.wait)
            stack.callback(process.terminate)
            stack.callback(process.send_signal, signal.SIGCONT)
            nodes.append(Node(port, process.pid))
            stack.callback(nodes[-1].close)
        yield nodes


async def _until_ready(node: Node) -> None:
    async with asyncio.timeout(STILL_SECONDS):
        while True:
            with suppress(UnavailableError, ValueError):
                status, _ = await node.ask("GET", "/readyz", by="", address="10.0.0.1")
                if status == 200:
                    return
            await asyncio.sleep(0.1)


async def _race(
    lane: Lane, nodes: list[Node], *, random: Random, address: str, blind: bool
) -> tuple[bool, list[bool]]:
    """Warm every node, take the right away at one of them, and ask all; say whether one was paused, and what was granted."""
    giver, taker = random.choices(nodes, MAKES_CHANGES, k=2)
    paused = None
    await lane.give(giver)
    for granted in await asyncio.gather(*(lane.is_granted(node, address) for node in nodes)):
        assert granted or blind or not lane.is_given(), f"{type(lane).__name__}: a new right is not seen"
    under_way: list[asyncio.Task[bool]] = []
    if random.randrange(PAUSED_ONE_IN) == 0:
        paused = nodes[-1] if taker is not nodes[-1] else nodes[0]
        # What is on its way may be granted still, if the log has it before the revocation: the log is asked at the end.
        under_way = [asyncio.create_task(lane.is_granted(paused, address)) for _ in range(3)]
        await asyncio.sleep(random.random() * 0.004)
        os.kill(paused.pid, signal.SIGSTOP)
    try:
        await lane.take(taker)
        if paused is not None:
            await asyncio.sleep(random.random() * MAX_PAUSE)
    finally:
        if paused is not None:
            os.kill(paused.pid, signal.SIGCONT)
    answers = await asyncio.gather(*(lane.is_granted(node, address) for node in nodes))
    await asyncio.gather(*under_way)
    return paused is not None, list(answers)


async def _run_lane(
    kind: type[Lane], nodes: list[Node], tally: Tally, *, random: Random, blind: bool
) -> None:
    lane = await _build(kind, nodes[0], tally)
    while tally.rounds < ROUNDS and not (blind and tally.stale):
        tally.rounds += 1
        number = tally.rounds
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        try:
            paused, granted = await _race(lane, nodes, random=random, address=address, blind=blind)
        except UnavailableError:
            tally.rounds -= 1
            lane = await _build(kind, nodes[0], tally)  # nobody knows what the old one has been left with
            continue
        tally.paused += paused
        tally.kinds[kind.__name__] += 1
        if any(granted):
            tally.stale.append(f"{kind.__name__} in round {number}: {granted}")
            tally.first_stale = tally.first_stale or number


async def _build(kind: type[Lane], node: Node, tally: Tally) -> Lane:
    """Make a lane under a name that none has had, however long it takes."""
    while True:
        tally.built += 1
        lane = kind(f"lane{tally.built}")
        with suppress(UnavailableError):
            await lane.build(node)
            return lane


async def _run(settings: Settings, *, blind: bool) -> Tally:
    tally, random = Tally(), Random(SEED)
    async with open_deps(settings, durable=False) as deps:
        await bootstrap(deps, FirstStart(ADMIN, [SERVICE], ADMIN_PASSWORD))
    with _nodes(settings, blind=blind) as nodes:
        for node in nodes:
            await _until_ready(node)
        async with asyncio.TaskGroup() as running:
            for number in range(LANES):
                kind, own = KINDS[number % len(KINDS)], Random(random.random())
                running.create_task(_run_lane(kind, nodes, tally, random=own, blind=blind))
    told = ("rounds", "paused", "built", "first_stale", "kinds")
    sys.stdout.write(json.dumps({"blind": blind} | {name: getattr(tally, name) for name in told}) + "\n")
    return tally


@pytest.mark.timeout(4 * 3600 if FULL else 300)
async def test_no_grant_is_stale(settings: Settings, superuser_url: str) -> None:
    """After a revocation has returned no node grants what it took, however it was taken, whichever node was paused meanwhile."""
    tally = await _run(settings, blind=False)
    assert tally.stale == []
    assert tally.rounds == ROUNDS
    assert len(tally.kinds) == len(KINDS)
    assert tally.built < LANES + ROUNDS // 4, "most changes are not answered"
    assert tally.paused > ROUNDS // PAUSED_ONE_IN // 2
    with closing(psycopg.connect(superuser_url)) as connection:
        kinds = [kind.value for kind in Kind if kind.moves_policy]
        row = connection.execute(_ISSUED_OUT_OF_ORDER, [kinds]).fetchone()
    assert row is not None
    issued, out_of_order = row
    assert issued > ROUNDS * NODES
    assert out_of_order == 0, "a token rests on another policy than the newest below it"


@pytest.mark.timeout(300)
async def test_without_the_comparison_grants_are_stale(settings: Settings) -> None:
    """The races would find a stale grant: with the comparison of revisions switched off they do, in a few rounds."""
    tally = await _run(settings, blind=True)
    assert tally.first_stale is not None
