"""`make soak`: a real `authsvc serve` under mixed load for half an hour, while policy changes and its parts are killed.

Memory must stay flat, no answer may be wrong but for the 503s and lost connections of seconds after a kill, and in the end the
log must hold what was acknowledged and prove itself. Prints a table, and writes everything to bench/results/. Exit code 1: it did
not hold.
"""

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import uvloop

from bench.answers import Error
from bench.endure import GRACE, Plan, Report, endure
from bench.measure import describe_machine, write_result
from bench.samples import FLAT

SHOWN = 20
"""Errors that are shown one by one."""


def holds(report: Report) -> bool:
    """Say whether the run was as it should be."""
    return not report.faults and not report.missing and all(growth.is_flat for growth in report.growths)


def describe(report: Report) -> Iterator[str]:
    """Return the table's lines."""
    answers, grace, verified = report.answers, report.plan.grace, report.verified
    seconds = report.plan.seconds
    yield f"\n{report.rate:,.0f} requests a second for {seconds:,.0f} s, of a top rate of {report.top:,.0f} (0: not measured)"
    statuses = Counter[str]()
    for (_, kind, status), count in answers.counts.items():
        statuses[f"{kind} {status}"] += count
    yield "answers: " + ", ".join(f"{what}: {count:,}" for what, count in sorted(statuses.items()))
    yield f"policy: {report.changed:,} changes; {answers.reopened} requests sent again as a kept connection had been closed"
    for restart, recoveries in answers.recoveries(grace).items():
        worst = f"{max(recoveries):.1f} s" if recoveries else "-"
        yield f"{restart:<22} {len(recoveries):2} times, the last error after {worst} at the most"
    yield "errors by minute: " + ", ".join(_by_minute(answers.errors))
    yield from (str(growth) for growth in report.growths)
    yield "most open files: " + str(max(max(sample.files.values()) for sample in report.samples))
    yield f"journal queue, most seen: {max((sample.waiting or 0) for sample in report.samples):.0f}"
    yield (
        f"log: {verified.size:,} entries in {verified.batches:,} batches proved, {verified.decisions:,} decisions made again;"
        f" {report.sampled - report.missing:,} of {report.sampled:,} sampled tokens are in it as they were given"
    )
    yield f"unexcused answers: {len(report.faults)}"
    yield from (str(fault) for fault in report.faults[:SHOWN])
    bound = f"memory flat within {FLAT:.0%}, errors within {grace:.0f} s of a kill, every token in the log"
    yield f"{'HELD' if holds(report) else 'DID NOT HOLD'}: {bound}"


def _by_minute(errors: list[Error]) -> list[str]:
    minutes = Counter((int(error.answered // 60), error.status) for error in errors)
    return [f"{minute}: {count} × {status}" for (minute, status), count in sorted(minutes.items())]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of load")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="requests a second; 0: half of what is answered at most"
    )
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument(
        "--grace", type=float, default=GRACE, help="seconds after a kill in which errors are its own"
    )
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the service is stopped
    started, machine = datetime.now(UTC), describe_machine()
    plan = Plan(arguments.minutes * 60, arguments.rate, arguments.seed, grace=arguments.grace)
    report = uvloop.run(endure(plan))
    lines = list(describe(report))
    print(*lines, sep="\n")
    counts = [[*key, count] for key, count in sorted(report.answers.counts.items())]
    result: dict[str, object] = {
        "plan": asdict(plan),
        "machine": machine,
        "load_after": os.getloadavg(),
        "table": lines,
        "answers": counts,
        "errors": [asdict(error) for error in report.answers.errors],
        "restarts": report.answers.restarts,
        "growths": [asdict(growth) for growth in report.growths],
        "samples": [asdict(sample) for sample in report.samples],
    }
    print(f"written: {write_result(started, result, name='soak-')}")
    return 0 if holds(report) else 1


if __name__ == "__main__":
    sys.exit(main())
