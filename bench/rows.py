"""The rows of DESIGN 11 that the realm has, each a function that measures one."""

from collections.abc import Iterator

from bench.load import Load
from bench.measure import Bench, Figure, Row, load_beside, run_load, run_module
from bench.population import Population, populate
from bench.world import EMPTY, ES256, RS256, World, ask_api, open_service

FLOOD_RATE = 50.0
FLOOD_SOURCES = 200
LOGIN_RATE = 200.0
CHANGE_RATE = 10.0
AHEAD = 1.5
"""Seconds by which what runs beside a measurement begins earlier and ends later."""
QUESTIONS = 500
SIXTEEN_A_COMMIT = 40
WARM_UP = 15.0
"""Seconds of load in which a hot set becomes hot; what a cold start costs is another question."""
SMALL = Population(users=10, projects=10, events=10, asking=10)
LARGE = Population(users=100_000, projects=10_000, events=1_000_000, asking=10_000)
FULL = Population(users=1_000_000, projects=100_000, events=10_000_000, asking=10_000)


def empty_route(bench: Bench, world: World) -> Row:
    """What a token costs, in requests that do nothing."""
    return bench.compare(
        "audited tokens ÷ empty FastAPI route",
        lambda: bench.rate(world.audited, world.ask(ES256)),
        lambda: bench.rate(world.empty, EMPTY),
        bound=0.5,
        goal=1.0,
    )


def without_audit(bench: Bench, world: World) -> Row:
    """What the log costs."""
    return bench.compare(
        "audited tokens ÷ tokens without audit",
        lambda: bench.rate(world.audited, world.ask(ES256)),
        lambda: bench.rate(world.unaudited, world.ask(ES256)),
        bound=0.65,
        goal=0.85,
    )


def bare_signatures(bench: Bench, world: World) -> Row:
    """How much of an RS256 token is its signature."""
    return bench.compare(
        "audited RS256 tokens ÷ bare signatures",
        lambda: bench.rate(world.audited, world.ask(RS256)),
        lambda: float(run_module("bench.signatures", str(world.keys), str(bench.seconds))),
        bound=0.7,
        goal=1.0,
    )


def warm_passwords(bench: Bench, world: World) -> Row:
    """What a remembered password costs beside a robot's secret."""
    return bench.compare(
        "password logins, warm ÷ robot secret logins",
        lambda: bench.rate(world.audited, world.ask_by_password()),
        lambda: bench.rate(world.audited, world.ask(ES256)),
        bound=0.9,
        goal=1.0,
    )


def flood(bench: Bench, world: World) -> Row:
    """What a robot notices of a flood of wrong passwords, for accounts and from addresses that stay below what is throttled."""
    seconds = bench.seconds + AHEAD

    def flooded() -> float:
        guesses = Load(
            world.audited,
            world.guess(int(2 * FLOOD_RATE * (seconds + AHEAD))),
            connections=FLOOD_SOURCES,
            seconds=seconds,
            rate=FLOOD_RATE,
            warm=AHEAD,
            expect=[401],
            sources=FLOOD_SOURCES,
            in_order=True,
        )
        with load_beside(guesses):
            return _p99(bench, world)

    return bench.compare(
        "p99 of robots under wrong passwords ÷ without",
        flooded,
        lambda: _p99(bench, world),
        bound=3.0,
        goal=1.5,
        at_most=True,
    )


def _p99(bench: Bench, world: World) -> float:
    load = Load(world.audited, [world.ask(ES256)], 32, bench.seconds, rate=LOGIN_RATE, warm=AHEAD)
    return run_load(load).p99


def policy_changes(bench: Bench, world: World) -> Row:
    """What ten changes of policy a second cost everybody else."""
    changes = Load(
        world.audited,
        [world.change_policy()],
        connections=2,
        seconds=bench.seconds,
        rate=CHANGE_RATE,
        expect=[201],
    )

    def changing() -> float:
        with load_beside(changes):
            return bench.rate(world.audited, world.ask(ES256))

    return bench.compare(
        "tokens with 10 policy changes a second ÷ without",
        changing,
        lambda: bench.rate(world.audited, world.ask(ES256)),
        bound=0.8,
        goal=0.95,
    )


def disk(bench: Bench, world: World) -> Figure:
    """What an event takes of the disk, at about sixteen a commit: with so many clients, half of them wait for the one before."""
    sizes = []
    for _ in range(bench.pairs):
        before = world.measure_log()
        run_load(Load(world.audited, [world.ask(ES256)], SIXTEEN_A_COMMIT, bench.seconds))
        after = world.measure_log()
        entries, batches = after.entries - before.entries, after.batches - before.batches
        print(
            f"  disk: {(after.disk - before.disk) / entries:,.0f} bytes at {entries / batches:.1f} events a commit"
        )
        sizes.append((after.disk - before.disk) / entries)
    return Figure(
        "disk an event, indexes and batches included", "bytes", 1100, 600, tuple(sizes), at_most=True
    )


def large_installation(bench: Bench, size: Population) -> list[Row | Figure]:
    """What the size of everything costs; requests come from a hot set, by Zipf's law."""
    with open_service() as large, open_service() as small:
        print(f"  loading {size}", flush=True)
        many = populate(large.folder, size, service=ES256)
        few = populate(small.folder, SMALL, service=ES256)
        queries = [_ask_audit(large.port, bench, question) for question in _questions(size)]
        for service, requests in ((large, many), (small, few)):
            run_load(Load(service.port, requests, bench.connections, WARM_UP))
        row = bench.compare(
            f"tokens among {size.users:,} users, {size.events:,} events ÷ among 10",
            lambda: bench.rate(large.port, *many),
            lambda: bench.rate(small.port, *few),
            bound=0.8,
            goal=1.0,
        )
        return [row, *queries]


def _questions(size: Population) -> Iterator[tuple[str, list[str]]]:
    """Yield what an auditor asks by, with many examples each."""
    chosen = [number * 7919 % size.users for number in range(QUESTIONS)]
    yield f"audit query by actor, {size.events:,} events, p99", [f"actor=u{user}" for user in chosen]
    names = [f"repository=p{user % size.projects}/app" for user in chosen]
    yield f"audit query by repository, {size.events:,} events, p99", names
    found = [f"jti=1.{number * (size.events // QUESTIONS) + 500}.x" for number in range(QUESTIONS)]
    yield f"audit query by jti, {size.events:,} events, p99", found


def _ask_audit(port: int, bench: Bench, question: tuple[str, list[str]]) -> Figure:
    name, queries = question
    requests = [ask_api(f"/audit?{query}") for query in queries]
    values = []
    for _ in range(bench.pairs):
        values.append(run_load(Load(port, requests, 1, bench.seconds)).p99 * 1000)
        print(f"  {name}: {values[-1]:.1f} ms", flush=True)
    return Figure(name, "ms", 50, 10, tuple(values), at_most=True)


REALM = (empty_route, without_audit, bare_signatures, warm_passwords, flood, policy_changes, disk)
