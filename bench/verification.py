"""How many rows of a log one process verifies a second, without and with replay (DESIGN 11).

The rate is over processor time, which is that of a core: Postgres reads on another.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from authsvc.adapters.embedded.cluster import ClusterRole
from authsvc.adapters.embedded.server import EmbeddedServer
from authsvc.adapters.keys.folder import KeyFolder
from authsvc.adapters.postgres.migrate import upgrade
from authsvc.core.service import Algorithm
from authsvc.operations.read_checkpoint import Trust
from authsvc.operations.verify_audit import verify_database
from bench.generate_log import Shape, generate_log
from bench.measure import Figure

PRINCIPALS = 10_000
BATCH = 32
"""Events a commit."""


@contextmanager
def open_generated_log(events: int, batch: int) -> Iterator[tuple[str, Trust]]:
    """Generate a log of so many events, `batch` a commit, and give where it is read and what an auditor trusts."""
    with tempfile.TemporaryDirectory(prefix="authsvc-bench-") as name:
        data, keys = Path(name, "data"), Path(name, "keys")
        data.mkdir()
        keys.mkdir()
        with EmbeddedServer(data, fast_unsafe=True) as server:
            upgrade(server.cluster.url(ClusterRole.OWNER))
            folder = KeyFolder(keys)
            folder.create_missing(algorithms={Algorithm.ES256}, now=datetime.now(UTC))
            dsn = server.cluster.url(ClusterRole.APP)
            print(f"  generating {events:,} events", flush=True)
            generate_log(dsn, keys, Shape(events, batch=batch, principals=PRINCIPALS))
            yield dsn, Trust(folder.load().audit.public_bytes)


def verification(events: int, batch: int) -> list[Figure]:
    """Generate a log of so many events, `batch` a commit, and verify it twice."""
    with open_generated_log(events, batch) as (dsn, trust):
        alone, whole = _rate(dsn, trust, replay=False), _rate(dsn, trust, replay=True)
    unit = "rows/s a core"
    return [
        Figure("verification: hashes, signatures, columns", unit, 100_000, 300_000, (alone,)),
        Figure("verification with replay", unit, 20_000, 60_000, (whole,)),
    ]


def _rate(dsn: str, trust: Trust, *, replay: bool) -> float:
    started = time.process_time()
    proved = verify_database(dsn, trust, replay=replay)
    return proved.size / (time.process_time() - started)
