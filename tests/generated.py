"""A small log as the service would have written it, in memory and in a test's database."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg

from authsvc.adapters.canonical_json import decode
from authsvc.adapters.keys.folder import KeyFolder
from authsvc.adapters.postgres.log import Batch, Epoch, open_epoch
from authsvc.config import Settings
from authsvc.core.entry_reader import EntryReader, LogRow
from authsvc.core.event import microseconds
from authsvc.core.note import VerifierKey
from authsvc.core.replay_decision import Replay
from authsvc.core.verified import Verified
from authsvc.core.verify import START, BatchRow, Verifier
from authsvc.operations.read_checkpoint import CheckpointReader, Trust
from authsvc.wiring import make_seal
from bench.generate_log import Shape, compose_batches, generate_events, write_batches

SMALL = Shape(600, principals=12, projects=4, batch=16, policy_every=60)


class Row(NamedTuple):
    """A row of the log as the verifier takes it, with names."""

    seq: int
    entry: bytes
    columns: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Generated:
    """A log, and what verifies it."""

    epoch: Epoch
    trust: Trust
    batches: list[Batch]

    def log_rows(self) -> list[Row]:
        """Return its rows."""
        return [
            Row(seq, line.entry, (microseconds(line.index.time), *line.index[1:]))
            for batch in self.batches
            for seq, line in enumerate(batch.lines, start=batch.prev)
        ]

    def batch_rows(self) -> list[BatchRow]:
        """Return its batches' rows."""
        return [
            BatchRow(
                batch.prev,
                batch.after.size,
                len(batch.lines),
                batch.root,
                batch.after.frontier.to_bytes(),
                batch.after.revision,
                self.epoch.number,
                batch.checkpoint,
            )
            for batch in self.batches
        ]

    def verify(
        self, batches: list[BatchRow], rows: Sequence[LogRow], known: dict[int, list[bytes]] | None = None
    ) -> Verified:
        """Verify rows as if they were its own; raises TamperedError."""
        key = VerifierKey(self.epoch.origin, self.trust.public)
        reader = CheckpointReader({self.epoch.number: key})
        verifier = Verifier(reader, EntryReader(decode), Replay(), known or {})
        return verifier.verify(START, batches, rows)[1]


def generate(
    keys: Path, shape: Shape = SMALL, epoch: Epoch | None = None, *, start: datetime | None = None
) -> Generated:
    """Return a log that is signed with the audit key of a folder; its entries are of four weeks, by default the last."""
    loaded = KeyFolder(keys).load()
    epoch = epoch or Epoch(1, "test/audit/1")
    events = generate_events(shape, start=start or datetime.now(UTC) - timedelta(days=28))
    batches = list(compose_batches(events, size=shape.batch, epoch=epoch, seal=make_seal(loaded)))
    return Generated(epoch, Trust(loaded.audit.public_bytes), batches)


async def fill(settings: Settings, shape: Shape = SMALL, *, start: datetime | None = None) -> Generated:
    """Write such a log into a test's database."""
    assert settings.database_url is not None
    url, keys = settings.database_url.get_secret_value(), settings.keys_path
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with connection:
        public = KeyFolder(keys).load().audit.public_bytes
        epoch = await open_epoch(connection, public=public, name="test")
    made = generate(keys, shape, epoch, start=start)
    await asyncio.to_thread(write_batches, url, made.batches, epoch)
    return made
