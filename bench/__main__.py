"""`make bench`: the numbers of DESIGN 11 that are ratios of one run, each of two things measured in alternation.

Prints a line a pair and a table, and writes everything to bench/results/. Nothing is pinned: servers, database and load generator
share the machine's cores, which the report states.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.load import Load, Tally
from bench.world import ES256, RS256, LogSize, World, open_world

RESULTS = Path(__file__).parent / "results"
QUIET = 0.7
"""The load average above which somebody else is using the two cores that the servers and the generator need."""
PACKAGES = ("cryptography", "fastapi", "httptools", "psycopg", "uvicorn", "uvloop")

Measure = Callable[[], float]
"""Measures once, and returns how many a second."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number of DESIGN 11: its name, what it is to reach, and the rates of both sides, pair by pair."""

    name: str
    least: float
    goal: float
    over: tuple[float, ...]
    under: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Return each pair's ratio."""
        return tuple(over / under for over, under in zip(self.over, self.under, strict=True))

    def __str__(self) -> str:
        ratios = self.ratios
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        rates = f"{statistics.median(self.over):>7,.0f} ÷ {statistics.median(self.under):<7,.0f}"
        return (
            f"{self.name:<42} {statistics.median(ratios):>5.2f}  {spread:<10} {rates}"
            f" {self.least:>5.2f} {self.goal:>5.2f}"
        )


@dataclass(frozen=True, slots=True)
class Bench:
    """How to measure: `seconds` a measurement, `pairs` of them, `connections` that load a server."""

    seconds: float
    pairs: int
    connections: int

    def rate(self, port: int, request: str) -> float:
        """Return the responses a second of one server; raises RuntimeError when one of them is no 200."""
        load = Load(port, request, self.connections, self.seconds)
        tally = Tally(**json.loads(_run("bench.load", stdin=json.dumps(asdict(load)))))
        if tally.refused or tally.broken or not tally.responses:
            raise RuntimeError(f"the load was not answered as it should be: {tally}")
        return tally.responses / tally.seconds

    def compare(self, name: str, over: Measure, under: Measure, *, least: float, goal: float) -> Row:
        """Measure two things in alternation."""
        pairs = []
        for number in range(1, self.pairs + 1):
            pair = over(), under()
            pairs.append(pair)
            print(
                f"  {name}: {number}/{self.pairs}: {pair[0]:,.0f} ÷ {pair[1]:,.0f} = {pair[0] / pair[1]:.2f}",
                flush=True,
            )
        return Row(name, least, goal, tuple(over for over, _ in pairs), tuple(under for _, under in pairs))


def measure(bench: Bench, world: World) -> list[Row]:
    """Return the rows, in DESIGN's order."""

    def audited() -> float:
        return bench.rate(world.audited, world.ask(ES256))

    return [
        bench.compare(
            "audited tokens ÷ empty FastAPI route",
            audited,
            lambda: bench.rate(world.empty, world.request("/")),
            least=0.5,
            goal=1.0,
        ),
        bench.compare(
            "audited tokens ÷ tokens without audit",
            audited,
            lambda: bench.rate(world.unaudited, world.ask(ES256)),
            least=0.65,
            goal=0.85,
        ),
        bench.compare(
            "audited RS256 tokens ÷ bare signatures",
            lambda: bench.rate(world.audited, world.ask(RS256)),
            lambda: float(_run("bench.signatures", str(world.keys), str(bench.seconds))),
            least=0.7,
            goal=1.0,
        ),
    ]


def _run(module: str, *arguments: str, stdin: str = "") -> str:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, input=stdin, text=True, stdout=subprocess.PIPE, check=True).stdout


def _describe_disk(before: LogSize, after: LogSize) -> str:
    entries = after.entries - before.entries
    return (
        f"log: {(after.disk - before.disk) / entries:,.0f} bytes of disk an event, indexes and batches included,"
        f" at {entries / (after.batches - before.batches):.1f} events a commit"
    )


def _machine() -> dict[str, object]:
    packages = {name: version(name) for name in PACKAGES}
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "packages": packages,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--pairs", type=int, default=5, help="of measurements for each row")
    parser.add_argument("--connections", type=int, default=256, help="that load a server")
    bench = Bench(**vars(parser.parse_args()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    started, machine = datetime.now(UTC), _machine()
    print(f"{machine['cores']} cores, load average {os.getloadavg()[0]:.2f}; {bench}", flush=True)
    if os.getloadavg()[0] > QUIET:
        print(
            "the machine is busy with something else: these ratios will say little about the code", flush=True
        )
    with open_world() as world:
        before = world.measure_log()
        rows = measure(bench, world)
        disk = _describe_disk(before, world.measure_log())
    print(f"\n{'':<42} ratio  min–max       a second (medians)  least  goal", *rows, disk, sep="\n")
    RESULTS.mkdir(exist_ok=True)
    result = {
        "bench": asdict(bench),
        "machine": machine,
        "load_after": os.getloadavg(),
        "rows": [asdict(row) for row in rows],
        "disk": disk,
    }
    path = RESULTS / f"{started:%Y-%m-%dT%H%M%SZ}.json"
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
