"""What the steps of verifying a row of the log cost, in microseconds of a core, each alone over the rows of one log.

Beside the steps stand the calls of libraries that no verifier can do without: their sum is what is left when all else is free.
"""

import argparse
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TypeVar

from authsvc.adapters.canonical_json import decode
from authsvc.adapters.keys.audit_key import verify
from authsvc.adapters.postgres.audit_rows import open_audit_rows
from authsvc.adapters.postgres.stored_columns import STORED
from authsvc.core.entry_reader import EntryReader, LogRow
from authsvc.core.merkle import EMPTY, leaf_hashes
from authsvc.core.note import parse_note
from authsvc.core.verified import Verified
from authsvc.core.verify import Verifier
from authsvc.operations.read_checkpoint import CheckpointReader, Trust
from bench.verification import BATCH, open_generated_log

EVENTS = 1_000_000
ROUNDS = 3

_T = TypeVar("_T")


def _measure(name: str, rows: int, step: Callable[[], _T], *, rounds: int = ROUNDS) -> _T:
    """Print the least of several rounds, and return what the last gave."""
    taken, results = list[float](), list[_T]()
    for _ in range(rounds):
        results.clear()
        started = time.process_time()
        results.append(step())
        taken.append(time.process_time() - started)
    print(f"{name:<66} {min(taken) / rows * 1e6:6.2f}", flush=True)
    return results[0]


def profile(dsn: str, trust: Trust, events: int) -> None:
    """Print the table of one log."""
    with open_audit_rows(dsn) as log:
        read_checkpoint, batches = CheckpointReader.of(trust, log.epochs()), list(log.batches())
        rows = _measure("fetch the rows", events, lambda: list(log.rows(0, events)))
    commits = [rows[batch.prev : batch.size] for batch in batches]
    reader = EntryReader(decode, STORED)
    verifier, found = Verifier(read_checkpoint, reader), Verified()

    def read() -> None:
        for commit in commits:
            verifier.read(commit, found)

    def grow(leaves: Sequence[list[bytes]]) -> None:
        tree = EMPTY
        for each in leaves:
            tree = tree.append(each)
            assert tree.root

    _measure("read entries and compare columns, nothing being known yet", events, read, rounds=1)
    _measure("  the same with every template known", events, read)
    leaves = _measure("hash the leaves", events, lambda: list(_hash(commits)))
    _measure("grow the tree, with a root a commit", events, lambda: grow(leaves))
    _measure("read the checkpoints and verify their signatures", events, lambda: [
        read_checkpoint(batch.checkpoint, batch.epoch) for batch in batches
    ])  # fmt: skip
    print("calls of libraries alone:")
    entries = [row[1] for row in rows]
    _measure("  SHA-256 of an entry", events, lambda: [sha256(entry).digest() for entry in entries])
    pair = bytes(65)
    _measure("  SHA-256 of two hashes, once a row", events, lambda: [sha256(pair).digest() for _ in entries])
    notes = [parse_note(batch.checkpoint) for batch in batches]
    signed = [(note.text.encode(), note.signatures[0].value) for note in notes]
    _measure("  Ed25519, once a commit", events, lambda: [verify(trust.public, *each) for each in signed])


def _hash(commits: Sequence[Sequence[LogRow]]) -> Iterator[list[bytes]]:
    return (leaf_hashes([row[1] for row in commit]) for commit in commits)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.profile_verification", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--batch", type=int, default=BATCH, help="events a commit")
    given = parser.parse_args()
    with open_generated_log(given.events, given.batch) as (dsn, trust):
        gc.disable()  # as verification does
        print(f"microseconds a row, {given.events:,} rows, {given.batch} a commit")
        profile(dsn, trust, given.events)


if __name__ == "__main__":
    main()
