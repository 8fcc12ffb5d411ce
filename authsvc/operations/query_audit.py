"""Asking the log; asking is an event itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from authsvc.adapters.postgres.audit_log import list_events
from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.errors import Fault, InvalidInputError
from authsvc.core.event import Event, Kind, Requester
from authsvc.core.search import Filter
from authsvc.operations.deps import Deps
from authsvc.operations.page import MAX_LIMIT


@dataclass(frozen=True, slots=True)
class Found:
    """One event as the log has it."""

    seq: int
    entry: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Events in order, and the sequence number that the next page goes on from, None on the last."""

    items: tuple[Found, ...]
    next_after: int | None


async def query_audit(
    deps: Deps, by: Requester, wanted: Filter, *, after: int | None, limit: int, newest_first: bool
) -> FoundPage:
    """Return matching events, once the question itself is logged."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInputError(Fault("limit", f"must be 1 to {MAX_LIMIT}"))
    asked: dict[str, Json] = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(wanted).items()
        if value is not None
    }
    event = Event(Kind.AUDIT_QUERIED, deps.now(), deps.new_nonce(), by, body={"filter": asked})
    await deps.journal.record(event, revision=None)
    async with deps.database.read() as read:
        rows = await list_events(read, wanted, after=after, limit=limit + 1, newest_first=newest_first)
    items = tuple(Found(seq, canonical.decode(entry)) for seq, entry in rows[:limit])
    return FoundPage(items, items[-1].seq if len(rows) > limit else None)
