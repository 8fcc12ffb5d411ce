"""Measuring two things in alternation, in one run, and what is said of the pair."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from bench.load import Load, Tally

RESULTS = Path(__file__).parent / "results"
QUIET = 0.7
"""The load average above which somebody else is using the two cores that the servers and the generator need."""
PACKAGES = ("cryptography", "fastapi", "httptools", "psycopg", "uvicorn", "uvloop")

Measure = Callable[[], float]
"""Measures once, and returns the figure."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number of DESIGN 11: its name, what it is to reach, and both sides' figures, pair by pair.

    Where `at_most` is set, smaller is better.
    """

    name: str
    bound: float
    goal: float
    over: tuple[float, ...]
    under: tuple[float, ...]
    at_most: bool = False

    @property
    def ratios(self) -> tuple[float, ...]:
        """Return each pair's ratio."""
        return tuple(over / under for over, under in zip(self.over, self.under, strict=True))

    @property
    def is_reached(self) -> bool:
        """Say whether the median ratio is within its bound."""
        ratio = statistics.median(self.ratios)
        return ratio <= self.bound if self.at_most else ratio >= self.bound

    def __str__(self) -> str:
        ratios = self.ratios
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        sides = f"{_figure(statistics.median(self.over))} ÷ {_figure(statistics.median(self.under))}"
        sign = "≤" if self.at_most else "≥"
        return (
            f"{self.name:<52} {statistics.median(ratios):>5.2f}  {spread:<10} {sides:<17}"
            f" {sign}{self.bound:<4g} {sign}{self.goal:<4g} {'' if self.is_reached else 'MISSED'}"
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of DESIGN 11 that is no ratio, as often as it was measured."""

    name: str
    unit: str
    bound: float
    goal: float
    values: tuple[float, ...]
    at_most: bool = False

    @property
    def is_reached(self) -> bool:
        """Say whether the median is within its bound."""
        value = statistics.median(self.values)
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        value, sign = statistics.median(self.values), "≤" if self.at_most else "≥"
        spread = f"({min(self.values):,.4g}–{max(self.values):,.4g})"
        return (
            f"{self.name:<52} {value:,.4g} {self.unit} {spread}  {sign}{self.bound:,g} {sign}{self.goal:,g}"
            f" {'' if self.is_reached else 'MISSED'}"
        )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value * 1000:.1f} ms"


@dataclass(frozen=True, slots=True)
class Bench:
    """How to measure: `seconds` a measurement, `pairs` of them, `connections` that load a server."""

    seconds: float
    pairs: int
    connections: int

    def rate(self, port: int, *requests: str) -> float:
        """Return the responses a second of one server; raises RuntimeError when one of them is no 200."""
        tally = run_load(Load(port, list(requests), self.connections, self.seconds))
        return tally.responses / tally.seconds

    def compare(
        self, name: str, over: Measure, under: Measure, *, bound: float, goal: float, at_most: bool = False
    ) -> Row:
        """Measure two things in alternation."""
        pairs = []
        for number in range(1, self.pairs + 1):
            pair = over(), under()
            pairs.append(pair)
            figures = f"{_figure(pair[0])} ÷ {_figure(pair[1])} = {pair[0] / pair[1]:.2f}"
            print(f"  {name}: {number}/{self.pairs}: {figures}", flush=True)
        overs, unders = zip(*pairs, strict=True)
        return Row(name, bound, goal, overs, unders, at_most)


def run_load(load: Load) -> Tally:
    """Return what came back of a load; raises RuntimeError unless all of it was answered as expected."""
    return _tally_of(run_module("bench.load", stdin=json.dumps(asdict(load))))


@contextmanager
def load_beside(load: Load) -> Iterator[None]:
    """Keep a load up in a process of its own while something else is measured; raises RuntimeError as `run_load` does."""
    command = [sys.executable, "-m", "bench.load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(load)))
        process.stdin.close()
        yield
        _tally_of(process.stdout.read())


def _tally_of(text: str) -> Tally:
    tally = Tally(**json.loads(text))
    if tally.refused or tally.broken or not tally.responses:
        raise RuntimeError(f"the load was not answered as it should be: {tally}")
    return tally


def run_module(module: str, *arguments: str, stdin: str = "") -> str:
    """Return what a module of the bench prints, run as a process of its own."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, input=stdin, text=True, stdout=subprocess.PIPE, check=True).stdout


def describe_machine() -> dict[str, object]:
    """Return what figures depend on beside the code."""
    packages = {name: version(name) for name in PACKAGES}
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "packages": packages,
    }


def warn_if_busy() -> None:
    """Say so when something else has the machine."""
    if os.getloadavg()[0] > QUIET:
        print(
            "the machine is busy with something else: these ratios will say little about the code", flush=True
        )


def write_result(started: datetime, result: Mapping[str, object], *, name: str = "") -> Path:
    """Write a run's results beside those of the others, and return where."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}{started:%Y-%m-%dT%H%M%SZ}.json"
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return path
