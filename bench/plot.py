"""`make plot`: what an audited ES256 token costs as one thing after another grows, as ratios of one run, and a picture of it.

Each size is an installation of its own; all of an axis stand side by side, and are measured in turn. Prints a line a measurement,
and writes the figures to bench/results/. Nothing is pinned: servers, databases and load generator share the machine's cores.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.axes import Axis, Installation, choose_axes
from bench.chart import draw_chart
from bench.curve import Curve, read_curve
from bench.load import Load
from bench.measure import QUIET, Bench, describe_machine, run_load, warn_if_busy, write_result
from bench.population import populate
from bench.world import ES256, open_service

TITLE = "What an audited token costs as an installation grows"
WARM_SECONDS = 2.0
"""Of load before anything is measured: as often twice as long as it takes until everybody has asked."""


@dataclass(slots=True)
class Progress:
    """How far a run has come: of all installations to make and measurements to take, how many are done."""

    steps: int
    done: int = 0

    def tell(self, axis: Axis, size: int, what: str) -> None:
        """Say what was done."""
        self.done += 1
        print(f"  {self.done / self.steps:4.0%} {axis.label}, {size:,}: {what}", flush=True)


@dataclass(frozen=True, slots=True)
class _Server:
    """An installation that runs, and what is asked of it."""

    port: int
    requests: list[str]

    def rate(self, bench: Bench) -> float:
        return bench.rate(self.port, *self.requests)


def measure(axes: Sequence[Axis], bench: Bench) -> Iterator[dict[str, Any]]:
    """Measure along each axis; yield after each the results so far, so that what comes then cannot lose them."""
    machine = describe_machine()
    progress = Progress(steps=sum(len(axis.sizes) for axis in axes) * (1 + bench.pairs))
    curves = list[Curve]()
    for axis in axes:
        curves.append(_measure_curve(axis, bench, progress))
        print(curves[-1], flush=True)
        yield {
            "bench": asdict(bench),
            "machine": machine,
            "load_after": os.getloadavg(),
            "curves": [asdict(curve) for curve in curves],
        }


def _measure_curve(axis: Axis, bench: Bench, progress: Progress) -> Curve:
    """Measure every size in each round, in turns there and back, and the smallest before them."""
    with ExitStack() as stack:
        servers = []
        for size in axis.sizes:
            servers.append(stack.enter_context(_open(axis.at(size), bench)))
            progress.tell(axis, size, "made")
        reference = list[float]()
        rates = [list[float]() for _ in servers]
        for number in range(1, bench.pairs + 1):
            reference.append(servers[0].rate(bench))
            turn = list(zip(axis.sizes, servers, rates, strict=True))
            for size, server, measured in turn if number % 2 else reversed(turn):
                measured.append(server.rate(bench))
                beside = f"{measured[-1]:,.0f} tokens/s beside {reference[-1]:,.0f} at {axis.sizes[0]:,}"
                progress.tell(axis, size, f"{number}/{bench.pairs}: {beside}")
    return Curve(
        label=axis.label,
        note=axis.note,
        is_speed=axis.is_speed,
        sizes=axis.sizes,
        reference=tuple(reference),
        rates=tuple(map(tuple, rates)),
    )


@contextmanager
def _open(installation: Installation, bench: Bench) -> Iterator[_Server]:
    """Start an installation, fill it, and ask for everybody, so that each worker knows all who ask."""
    with open_service(installation.workers) as service:
        requests = populate(service.folder, installation.holds, service=ES256)
        load = Load(service.port, requests, bench.connections, WARM_SECONDS, in_order=True)
        while run_load(load).responses < installation.workers * len(requests):
            load = replace(load, seconds=2 * load.seconds)
        yield _Server(service.port, requests)


def draw(result: dict[str, Any]) -> str:
    """Return the picture of a run's results."""
    bench, machine = Bench(**result["bench"]), result["machine"]
    load = machine["load"][0]
    notes = (
        "dots: rounds; bars: from the least to the most;",
        "line and figures: medians. The smallest is",
        "measured against itself too: that is the noise.",
        "",
        f"{bench.pairs} rounds of {bench.seconds:g} s, {bench.connections} connections,",
        "requests by Zipf's law, all who ask are known;",
        "1,000 of everything else, and one worker.",
        f"{machine['cores']} cores, shared with Postgres and the load",
        "generator, so workers find few cores to spare.",
        f"Load average before the run: {load:.1f}",
        "A busy machine: this says little of the code." if load > QUIET else "",
    )
    return draw_chart([read_curve(each) for each in result["curves"]], title=TITLE, notes=notes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.plot", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.25, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of measurements at each size")
    parser.add_argument("--connections", type=int, default=256, help="that load a server")
    parser.add_argument("--full", action="store_true", help="up to 10^7 events, too")
    parser.add_argument(
        "--only",
        metavar="WORD",
        default="",
        help="the axes whose name holds it: users, projects, bindings, events, workers",
    )
    parser.add_argument("--most", type=int, help="the largest size to measure")
    parser.add_argument(
        "--again", metavar="FILE", type=Path, help="draw earlier results, and measure nothing"
    )
    parser.add_argument("--svg", type=Path, help="where the picture goes; otherwise beside the results")
    return parser.parse_args()


def _measure(given: argparse.Namespace) -> Path:
    """Measure what is asked for; return where the results are."""
    axes = list(choose_axes(only=given.only, most=given.most, full=given.full))
    if not axes:
        sys.exit("nothing to measure: no axis of that name has two sizes as small")
    warn_if_busy()
    started, path = datetime.now(UTC), Path()
    for result in measure(axes, Bench(given.seconds, given.rounds, given.connections)):
        path = write_result(started, result, name="plot-")
    print(f"written: {path}")
    return path


def main() -> None:
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    path = given.again or _measure(given)
    picture = given.svg or path.with_suffix(".svg")
    picture.write_text(draw(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    print(f"drawn: {picture}")


if __name__ == "__main__":
    main()
