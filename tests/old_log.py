"""A log that began long ago: the partitions of its months, and its pruning."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from authsvc.config import Settings
from authsvc.operations.deps import Deps
from authsvc.operations.prune_audit import Pruning, prune_audit
from authsvc.operations.read_checkpoint import Trust
from authsvc.wiring import audit_public_key

DAYS = 400


def month(ago: int) -> datetime:
    """Return the beginning of a month of the past, in UTC."""
    now = datetime.now(UTC)
    months = now.year * 12 + now.month - 1 - ago
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


EDGE = (datetime.now(UTC) - timedelta(days=DAYS)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
"""Where the youngest month ends that is wholly older than the retention."""


def add_old_months(settings: Settings) -> None:
    """Give the log the partitions that a service of two years would have."""
    assert settings.owner_database_url is not None
    with psycopg.connect(settings.owner_database_url.get_secret_value()) as owner:
        for ago in range(2, 21):
            name = f"log_{month(ago):%Y_%m}"
            owner.execute(
                f"CREATE TABLE {name} PARTITION OF log FOR VALUES FROM ('{month(ago)}') TO ('{month(ago - 1)}')".encode()
            )
            owner.execute("SELECT guard_table(%s::regclass, false)", [name])


async def prune(deps: Deps, settings: Settings, archive: Path, *, keep: bool = False) -> Pruning | None:
    """Prune as the command does."""
    assert settings.owner_database_url is not None
    url, trust = settings.owner_database_url.get_secret_value(), Trust(audit_public_key(settings))
    return await prune_audit(
        deps, owner_url=lambda: url, archive=archive, trust=trust, retention_days=DAYS, keep=keep
    )
