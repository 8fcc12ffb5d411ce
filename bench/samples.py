"""What a service's processes hold, looked at again and again, and whether it grows."""

import statistics
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.crash.running import Service

MB = 1_048_576
FLAT = 0.05
"""Of a process's mean memory: what it may grow by, as fitted, over the last two thirds of a run."""
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
    """A line through one process's memory: how much it grew over `seconds`, the mean, in megabytes, of so many samples."""

    name: str
    seconds: float
    grew: float
    mean: float
    least: float
    most: float
    samples: int

    @property
    def is_flat(self) -> bool:
        """Say whether it grew by less than `FLAT`."""
        return self.grew <= FLAT * self.mean

    def __str__(self) -> str:
        return (
            f"{self.name:<22} {self.mean:7.1f} MB ({self.least:.1f}–{self.most:.1f})"
            f"  {self.grew:+6.2f} MB in {self.seconds:,.0f} s ({self.grew / self.mean:+.1%}), {self.samples} samples"
            f"  {'flat' if self.is_flat else 'GROWS'}"
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


def growths(samples: Sequence[Sample], parent: int, whole: float) -> list[Growth]:
    """Return how the parent, the workers that lived through the last two thirds of `whole` seconds, and Postgres have grown."""
    late = [sample for sample in samples if sample.at >= whole * SETTLING]
    steady = set.intersection(*(set(sample.memory) for sample in late)) - {parent}

    def of(name: str, get: Callable[[Sample], float]) -> Growth:
        times, values = [s.at for s in late], [get(s) for s in late]
        slope = statistics.linear_regression(times, values).slope
        seconds = times[-1] - times[0]
        return Growth(
            name,
            seconds,
            slope * seconds,
            statistics.fmean(values),
            min(values),
            max(values),
            len(values),
        )

    return [
        of("parent", lambda s: s.memory[parent]),
        *(of(f"worker {pid}", lambda s, pid=pid: s.memory[pid]) for pid in sorted(steady)),  # type: ignore[misc]
        of("Postgres, private", lambda s: s.postgres),
    ]


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
