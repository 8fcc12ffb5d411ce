"""How the log grows: what it takes a day, when the disk is full, and when its oldest month may go.

A log that cannot grow stops tokens, so nobody may be surprised by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from authsvc.adapters.kept_checkpoints import Published
from authsvc.adapters.metrics import observe_growth
from authsvc.adapters.postgres.growth import Extent, read_extent
from authsvc.operations.deps import Deps

DAY = timedelta(days=1)
SHORTEST = timedelta(minutes=10)
"""What is measured over less says nothing of a day."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes, and days from now on; None is what is not known (yet): a rate, or the disk of a database elsewhere."""

    bytes: int
    bytes_per_day: float | None
    free: int | None
    days_until_full: float | None
    days_until_prunable: float | None


def estimate_growth(
    extent: Extent,
    published: Sequence[Published],
    *,
    free: int | None,
    retention_days: int,
    now: datetime,
) -> Growth:
    """Return what follows from the log's extent and the sizes that were published over the last day, oldest first."""
    entries = extent.size - extent.first
    each = extent.bytes / entries if entries else 0.0
    rate = _entries_per_day(published, extent.size, now)
    per_day = None if rate is None else rate * each
    prunable = None
    if extent.oldest_ends is not None:
        prunable = (extent.oldest_ends + timedelta(days=retention_days) - now) / DAY
    return Growth(
        bytes=extent.bytes,
        bytes_per_day=per_day,
        free=free,
        days_until_full=free / per_day if free is not None and per_day else None,
        days_until_prunable=prunable,
    )


def _entries_per_day(published: Sequence[Published], size: int, now: datetime) -> float | None:
    past = [one for one in published if now - one.time >= SHORTEST and one.place[1] <= size]
    if not past:
        return None
    since = min(past, key=lambda one: abs(now - one.time - DAY))
    return (size - since.place[1]) / ((now - since.time) / DAY)


async def measure_growth(deps: Deps) -> Growth:
    """Measure, show it in the metrics, and return it."""
    async with deps.database.hot_read() as connection:
        extent = await read_extent(connection)
    growth = estimate_growth(
        extent,
        deps.kept.published(),
        free=None if deps.free_disk is None else deps.free_disk(),
        retention_days=deps.retention_days,
        now=deps.now(),
    )
    observe_growth(
        total=growth.bytes,
        per_day=growth.bytes_per_day,
        free=growth.free,
        until_full=growth.days_until_full,
        until_prunable=growth.days_until_prunable,
    )
    return growth
