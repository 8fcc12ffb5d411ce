"""Metrics that are noted in memory and written by the second."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from authsvc.adapters.metrics import (
    exposition,
    flush_tokens,
    forget_process,
    inherit_counts,
    observe_token,
    reserve_metrics,
)
from authsvc.adapters.shared_memory import create_shared


def _samples() -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("le", sample.labels.get("result", ""))): sample.value
        for family in text_string_to_metric_families(exposition().decode())
        for sample in family.samples
    }


def test_noted_requests_are_shown_as_the_library_would() -> None:
    """Counts, cumulated buckets, their bounds included, and the sum are what single observations give."""
    flush_tokens()
    before = _samples()
    for seconds in (0.0005, 0.001, 0.002, 0.3, 9.0):
        observe_token("issued", seconds)
    observe_token("throttled", 0.04)
    flush_tokens()
    flush_tokens()
    after = _samples()

    def grown(name: str, label: str = "") -> float:
        return round(after[name, label] - before.get((name, label), 0.0), 6)

    assert grown("authsvc_token_requests_total", "issued") == 5
    assert grown("authsvc_token_requests_total", "throttled") == 1
    assert grown("authsvc_token_seconds_bucket", "0.001") == 2
    assert grown("authsvc_token_seconds_bucket", "0.0025") == 3
    assert grown("authsvc_token_seconds_bucket", "0.05") == 4
    assert grown("authsvc_token_seconds_bucket", "0.5") == 5
    assert grown("authsvc_token_seconds_bucket", "5.0") == 5
    assert grown("authsvc_token_seconds_bucket", "+Inf") == 6
    assert grown("authsvc_token_seconds_count") == 6
    assert grown("authsvc_token_seconds_sum") == 9.3435


def test_mapped_files_have_their_blocks(tmp_path: Path) -> None:
    """What workers map is not sparse: a disk that fills up later must not kill them when they count."""
    reserve_metrics()
    shared = tmp_path / "shared"
    create_shared(shared, 1 << 16)
    folder = Path(MultiProcessCollector(CollectorRegistry())._path)  # type: ignore[no-untyped-call]
    files = [*folder.glob(f"*_{os.getpid()}.db"), shared]
    assert len(files) >= 6
    assert all(path.stat().st_blocks * 512 >= 1 << 16 for path in files)
    assert exposition()


_WORKER = """
import os, sys
from authsvc.adapters.metrics import exposition, flush_tokens, inherit_counts, observe_queues, observe_token, reserve_metrics
reserve_metrics()
observe_queues(7, 0)
for _ in range(3):
    observe_token("issued", 0.002)
flush_tokens()
sys.stdout.buffer.write(exposition())
"""


def _inherit(dead: int, folder: str) -> None:
    inherit_counts(dead, os.getpid(), folder)


def test_a_worker_counts_on_from_the_one_that_died(tmp_path: Path) -> None:
    """Of workers that die one after another the counts add up, one set of files stays, and nobody's queue outlives him."""
    folder, dead, told = str(tmp_path), 0, b""
    for _ in range(3):
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder},
            stdout=subprocess.PIPE,
            preexec_fn=partial(_inherit, dead, folder),  # noqa: PLW1509 - this process has no other thread here
        )
        told, _ = worker.communicate()
        dead = worker.pid
        forget_process(dead, folder)
    assert b'authsvc_token_requests_total{result="issued"} 9.0' in told
    assert b"authsvc_token_seconds_count 9.0" in told
    assert b"authsvc_journal_waiting 7.0" in told
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        f"{kind}_{dead}.db" for kind in ("counter", "histogram", "gauge_mostrecent", "gauge_max")
    }
