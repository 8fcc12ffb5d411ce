"""Metrics in Prometheus' form; labels come from closed vocabularies, so that no stranger can make new series."""

import os
from bisect import bisect_left
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from authsvc.core.errors import StartupError

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

TOKENS = Counter("authsvc_token_requests", "Token requests by how they ended.", ["result"])
LATENCY = Histogram("authsvc_token_seconds", "Time to answer a token request.", buckets=_SECONDS)
BATCH_SIZE = Histogram(
    "authsvc_journal_batch_entries",
    "Entries in one commit of the log.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
BATCH_SECONDS = Histogram(
    "authsvc_journal_commit_seconds", "Time to commit one batch of the log.", buckets=_SECONDS
)
JOURNAL_WAITING = Gauge(
    "authsvc_journal_waiting", "Events that wait for their batch.", multiprocess_mode="livesum"
)
HASHING_BUSY = Gauge(
    "authsvc_hashing_busy", "Password computations that run or wait.", multiprocess_mode="livesum"
)

REPORTED = Counter("authsvc_reported", "What registries reported, by what became of it.", ["result"])
OPERATIONS = Counter(
    "authsvc_operations", "Reported operations by whether a grant covers them: covered, uncovered.", ["grant"]
)
HEARD = Gauge(
    "authsvc_registry_heard_time_seconds",
    "When the registry of a service last reported, since 1970.",
    ["service"],
    multiprocess_mode="max",
)
SILENT = Gauge(
    "authsvc_registries_silent",
    "Registries that reported and do not, though tokens are issued.",
    multiprocess_mode="mostrecent",
)
LOG_BYTES = Gauge(
    "authsvc_log_bytes",
    "Bytes of the log, with indexes, batches and tiles.",
    multiprocess_mode="livemostrecent",
)
LOG_BYTES_PER_DAY = Gauge(
    "authsvc_log_bytes_per_day", "By how much the log grows a day.", multiprocess_mode="livemostrecent"
)
DISK_FREE = Gauge(
    "authsvc_disk_free_bytes",
    "Free bytes on the disk of the embedded database.",
    multiprocess_mode="livemostrecent",
)
UNTIL_FULL = Gauge(
    "authsvc_log_days_until_disk_full",
    "Days until the log fills the disk.",
    multiprocess_mode="livemostrecent",
)
UNTIL_PRUNABLE = Gauge(
    "authsvc_log_days_until_prunable",
    "Days until the log's oldest month may be pruned; negative when it may.",
    multiprocess_mode="livemostrecent",
)
CERTIFICATE_ENDS = Gauge(
    "authsvc_certificate_end_time_seconds",
    "When the certificate of a signing key in use ends, since 1970; service is empty for a shared key.",
    ["algorithm", "service"],
    multiprocess_mode="mostrecent",
)
KEYS_DUE = Gauge(
    "authsvc_signing_keys_due",
    "Shared signing keys that end soon and are not renewed yet.",
    multiprocess_mode="mostrecent",
)

_results: dict[str, int] = {}
_in_bucket = [0] * (len(_SECONDS) + 1)
_in_bucket_seconds = [0.0]


_FILES = ("counter", "histogram", "gauge_livesum", "gauge_livemostrecent", "gauge_mostrecent", "gauge_max")
_FILE_BYTES = 1 << 16
"""What the library gives a file at first, and ours never outgrow: series are of closed vocabularies."""


def reserve_metrics() -> None:
    """Take the disk's blocks for this worker's metrics: touching a mapped file that a full disk cannot fill kills the process.

    Raises StartupError when the disk is full already.
    """
    folder = Path(MultiProcessCollector(CollectorRegistry())._path)  # type: ignore[no-untyped-call]  # noqa: SLF001 - it alone reads it
    try:
        for name in _FILES:
            with (folder / f"{name}_{os.getpid()}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
    except OSError as error:
        raise StartupError(f"{folder} cannot be written: {error.strerror}; make room in DATA_DIR") from error


def observe_batch(entries: int, seconds: float) -> None:
    """Note one committed batch."""
    BATCH_SIZE.observe(entries)
    BATCH_SECONDS.observe(seconds)


def observe_queues(journal: int, hashing: int) -> None:
    """Note how long this process's queues are."""
    JOURNAL_WAITING.set(journal)
    HASHING_BUSY.set(hashing)


def observe_reported(recorded: int, repeated: int, ignored: int) -> None:
    """Note one envelope: how many of its events are new, were known, or are no operations."""
    for result, count in (("recorded", recorded), ("repeated", repeated), ("ignored", ignored)):
        REPORTED.labels(result).inc(count)


def observe_operations(covered: int, uncovered: int) -> None:
    """Note how many operations were held against grants."""
    OPERATIONS.labels("covered").inc(covered)
    OPERATIONS.labels("uncovered").inc(uncovered)


def observe_registries(heard: Mapping[str, datetime], silent: int) -> None:
    """Note when each registry was last heard, and how many have gone silent; the names are those of registered services."""
    for service, time in heard.items():
        HEARD.labels(service).set(time.timestamp())
    SILENT.set(silent)


def observe_growth(
    *,
    total: int,
    per_day: float | None,
    free: int | None,
    until_full: float | None,
    until_prunable: float | None,
) -> None:
    """Note how the log grows; what is not known is left as it was."""
    for gauge, value in (
        (LOG_BYTES, total), (LOG_BYTES_PER_DAY, per_day), (DISK_FREE, free), (UNTIL_FULL, until_full),
        (UNTIL_PRUNABLE, until_prunable),
    ):  # fmt: skip
        if value is not None:
            gauge.set(value)


def observe_certificates(ends: Mapping[tuple[str, str], datetime], *, due: int) -> None:
    """Note when signing certificates end, by algorithm and registered service, and how many are due to be renewed."""
    for (algorithm, service), end in ends.items():
        CERTIFICATE_ENDS.labels(algorithm, service).set(end.timestamp())
    KEYS_DUE.set(due)


def forget_process(pid: int, folder: str) -> None:
    """Take what a process that has died was doing out of `folder`; what it counted stays, as it happened."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]  # as above


def inherit_counts(dead: int, heir: int, folder: str) -> None:
    """Give the files of a process that has died to one that has not opened its own yet: it counts on from there.

    So files are as few as processes, and no count ever goes back, as a file is under one name or under the other.
    """
    for name in _FILES:
        with suppress(OSError):  # left where it is, it is counted too
            Path(folder, f"{name}_{dead}.db").rename(Path(folder, f"{name}_{heir}.db"))


def observe_token(result: str, seconds: float) -> None:
    """Note one answered token request, in this process's memory: `flush_tokens` writes the notes where scrapes find them."""
    _results[result] = _results.get(result, 0) + 1
    _in_bucket[bisect_left(_SECONDS, seconds)] += 1
    _in_bucket_seconds[0] += seconds


def flush_tokens() -> None:
    """Write the notes of `observe_token` to the shared files, which costs as much for one request as for a thousand."""
    for result, count in _results.items():
        TOKENS.labels(result).inc(count)
    _results.clear()
    # The library offers one observation at a time only; its buckets, one more than our bounds, count what falls into each alone.
    for at, count in enumerate(_in_bucket):
        if count:
            LATENCY._buckets[at].inc(count)  # noqa: SLF001 - as above
            _in_bucket[at] = 0
    LATENCY._sum.inc(_in_bucket_seconds[0])  # noqa: SLF001 - as above
    _in_bucket_seconds[0] = 0.0


def exposition() -> bytes:
    """Return all metrics of all workers.

    Read again when a file came, went or changed its name meanwhile, which is when a worker starts or dies: it could be missed.
    """
    while True:
        registry = CollectorRegistry()
        collector = MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it without types
        before = set(os.listdir(collector._path))  # noqa: SLF001, PTH208 - it alone reads it; names are all that is wanted
        with suppress(FileNotFoundError):
            text = generate_latest(registry)
            if set(os.listdir(collector._path)) == before:  # noqa: SLF001, PTH208 - as above
                return text
