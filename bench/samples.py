"""What a service's processes hold, looked at again and again, and whether it grows."""

import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, linear_regression

from bench.running import Service

MB = 1_048_576
FLAT = 0.05
"""Of a process's mean memory: what it may grow by in the last two thirds of a run, as fitted to the stretches between outages."""
MOST = 400.0
"""Megabytes that no process may reach."""
UNSETTLED = 45.0
"""Seconds from the beginning of an outage that are part of no stretch: what waits then sets a new high-water mark."""
SETTLING = 1 / 3
"""Of a run, in which caches fill."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The service at `at` seconds: megabytes and open files of the parent and of each worker by pid, and of Postgres in all.

    Postgres' is what is private to its processes: buffers that they share fill up to their setting as the log grows.
    `waiting` and `hashing` are the queues of the journals and of passwords.
    """

    at: float
    memory: dict[int, float]
    files: dict[int, int]
    postgres: float
    waiting: float | None
    hashing: float | None


@dataclass(frozen=True, slots=True)
class Growth:
    """Parallel lines through the stretches of one process's memory: the growth over `seconds`, the mean, in megabytes.

    `first` and `last` are the means of the first and the last stretch, with what outages added in between.
    """

    name: str
    seconds: float
    grew: float
    mean: float
    first: float
    last: float
    most: float
    samples: int

    @property
    def is_flat(self) -> bool:
        """Say whether it grew by less than `FLAT`, and never reached `MOST`."""
        return self.grew <= FLAT * self.mean and self.most < MOST

    def __str__(self) -> str:
        return (
            f"{self.name:<22} {self.mean:7.1f} MB ({self.first:.1f} at first, {self.last:.1f} at last, {self.most:.1f} at most)"
            f"  {self.grew:+.2f} MB in {self.seconds:,.0f} s between outages ({self.grew / self.mean:+.1%}),"
            f" {self.samples} samples  {'flat' if self.is_flat else 'GROWS'}"
        )


def take_sample(service: Service, at: float) -> Sample:
    """Look at every process of the service."""
    assert service.process is not None
    pids = [service.process.pid, *service.worker_pids()]
    postgres = service.postmaster_pid()
    family = [] if postgres is None else [postgres, *_children(postgres)]
    metrics = _metrics(service.port)
    return Sample(
        at,
        memory={pid: _kilobytes(pid, "status", "VmRSS:") / 1024 for pid in pids},
        files={pid: _count_files(pid) for pid in pids},
        postgres=sum(_kilobytes(pid, "smaps_rollup", "Pss_Anon:") for pid in family) / 1024,
        waiting=metrics.get("authsvc_journal_waiting"),
        hashing=metrics.get("authsvc_hashing_busy"),
    )


def growths(
    samples: Sequence[Sample], outages: Sequence[float], *, parent: int, whole: float
) -> list[Growth]:
    """Return how the parent, the workers that lived through the last two thirds of `whole` seconds, and Postgres have grown.

    Without three samples in any stretch, as in a short run, nothing can be said.
    """
    late = [sample for sample in samples if sample.at >= whole * SETTLING]
    edges = [-UNSETTLED, *outages, whole]
    found = ([s for s in late if a + UNSETTLED <= s.at < b] for a, b in pairwise(edges))
    stretches = [stretch for stretch in found if len(stretch) > 2]
    steady = set.intersection(*(set(sample.memory) for sample in late)) - {parent} if late else set()
    if not stretches:
        return []

    def of_process(pid: int) -> Callable[[Sample], float]:
        return lambda sample: sample.memory[pid]

    return [
        _fit("parent", stretches, of_process(parent)),
        *(_fit(f"worker {pid}", stretches, of_process(pid)) for pid in sorted(steady)),
        _fit("Postgres, private", [late], lambda sample: sample.postgres),  # each outage is its new beginning
    ]


def _fit(name: str, stretches: Sequence[Sequence[Sample]], get: Callable[[Sample], float]) -> Growth:
    """Fit one slope to all stretches, each with a height of its own."""
    times, values, means = list[float](), list[float](), list[float]()
    for stretch in stretches:
        middle, mean = fmean(s.at for s in stretch), fmean(get(s) for s in stretch)
        means.append(mean)
        times += [s.at - middle for s in stretch]
        values += [get(s) - mean for s in stretch]
    seconds = stretches[-1][-1].at - stretches[0][0].at
    seen = [get(sample) for stretch in stretches for sample in stretch]
    return Growth(
        name=name,
        seconds=seconds,
        grew=linear_regression(times, values).slope * seconds,
        mean=fmean(seen),
        first=means[0],
        last=means[-1],
        most=max(seen),
        samples=len(seen),
    )


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _kilobytes(pid: int, file: str, name: str) -> int:
    """Return a figure of a process, 0 when it has just ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0


def _count_files(pid: int) -> int:
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def _metrics(port: int) -> dict[str, float]:
    """Return the gauges without labels; nothing when nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except (OSError, urllib.error.URLError):
        return {}
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines if "{" not in name}
