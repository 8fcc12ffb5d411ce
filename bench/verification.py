"""`python -m bench.verification`: how many rows a second one process verifies, without and with replay (DESIGN 11).

Generates a log in a Postgres of its own; `--events 1000000` for the full size. The rate over processor time is the one of a core:
Postgres reads on another.
"""

import argparse
import os
import tempfile
import time
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


def measure(dsn: str, trust: Trust, *, replay: bool) -> str:
    """Verify once in this process, and describe how fast that was."""
    wall, processor = time.perf_counter(), time.process_time()
    proved = verify_database(dsn, trust, replay=replay)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    what = "with replay" if replay else "hashes, signatures, columns"
    return (
        f"{what:<28} {proved.size / wall:>9,.0f} rows/s, {proved.size / processor:>9,.0f} of processor time"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.verification", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=32, help="events a commit")
    parser.add_argument("--principals", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="authsvc-bench-") as name:
        data, keys = Path(name, "data"), Path(name, "keys")
        data.mkdir()
        keys.mkdir()
        with EmbeddedServer(data, fast_unsafe=True) as server:
            upgrade(server.cluster.url(ClusterRole.OWNER))
            folder = KeyFolder(keys)
            folder.create_missing(algorithms={Algorithm.ES256}, now=datetime.now(UTC))
            shape = Shape(given.events, batch=given.batch, principals=given.principals)
            dsn = server.cluster.url(ClusterRole.APP)
            print(
                f"{generate_log(dsn, keys, shape):,} events, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
            )
            trust = Trust(folder.load().audit.public_bytes)
            for replay in (False, True):
                print(measure(dsn, trust, replay=replay), flush=True)


if __name__ == "__main__":
    main()
