"""`make bench`: the numbers of DESIGN 11 that are ratios of one run, each of two things measured in alternation.

Prints a line a pair and a table, and writes everything to bench/results/. Nothing is pinned: servers, database and load generator
share the machine's cores, which the report states.
"""

import argparse
import os
import signal
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from bench.measure import Bench, Figure, Row, describe_machine, warn_if_busy, write_result
from bench.rows import FULL, LARGE, REALM, large_installation
from bench.verification import BATCH, verification
from bench.world import open_world

VERIFIED, VERIFIED_FULL = 100_000, 1_000_000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--pairs", type=int, default=5, help="of measurements for each row")
    parser.add_argument("--connections", type=int, default=256, help="that load a server")
    parser.add_argument(
        "--full", action="store_true", help="the sizes that DESIGN 11 names: takes half an hour"
    )
    parser.add_argument(
        "--batch", type=int, default=BATCH, help="events a commit of the log that is verified"
    )
    parser.add_argument(
        "--only", metavar="WORD", default="", help="the rows whose function's name holds this word"
    )
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    bench = Bench(arguments.seconds, arguments.pairs, arguments.connections)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    started, machine = datetime.now(UTC), describe_machine()
    print(f"{machine['cores']} cores, load average {os.getloadavg()[0]:.2f}; {bench}", flush=True)
    warn_if_busy()
    rows: list[Row | Figure] = []
    chosen = [measure for measure in REALM if arguments.only in measure.__name__]
    if chosen:
        with open_world() as world:
            rows += [measure(bench, world) for measure in chosen]
    if arguments.only in large_installation.__name__:
        rows += large_installation(bench, FULL if arguments.full else LARGE)
    if arguments.only in verification.__name__:
        rows += verification(VERIFIED_FULL if arguments.full else VERIFIED, arguments.batch)
    print(f"\n{'':<52} ratio  min–max    a second (medians) bound goal", *rows, sep="\n")
    result = {
        "bench": asdict(bench),
        "machine": machine,
        "load_after": os.getloadavg(),
        "rows": [asdict(row) for row in rows],
    }
    print(f"written: {write_result(started, result)}")


if __name__ == "__main__":
    main()
