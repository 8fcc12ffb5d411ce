"""Exporting the log: every matching event, oldest first, in a form for others; exporting is an event itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum

from authsvc.adapters.postgres.audit_log import LogEntry, list_events, read_size
from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.errors import UnavailableError
from authsvc.core.event import Event
from authsvc.core.kind import Kind
from authsvc.core.ocsf import to_ocsf
from authsvc.core.recorded import Recorded
from authsvc.core.search import Filter
from authsvc.core.spreadsheet import encode_row
from authsvc.operations.act import Actor
from authsvc.operations.deps import Deps
from authsvc.operations.query_audit import Search, demand_to_read_all, show_event

PAGE = 500
WINDOW = 20_000
"""Entries looked at in one transaction, so that none is long, however little is found."""
POLL_SECONDS = 1.0


class ExportForm(StrEnum):
    """`ndjson` is the entries as they were hashed, one a line; `ocsf` one event a line; `csv` is for spreadsheets."""

    NDJSON = "ndjson"
    OCSF = "ocsf"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Exported:
    """Lines of a form, and the sequence number that whoever has them goes on from."""

    lines: bytes
    next_seq: int


_COLUMNS = (
    "seq", "time", "kind", "outcome", "actor_kind", "actor", "address", "service", "about", "reason", "jti", "entry",
)  # fmt: skip


async def export_audit(
    deps: Deps, actor: Actor, wanted: Filter, form: ExportForm, *, start: int = 0
) -> AsyncIterator[Exported]:
    """Return all matching events from `start` on that the log had when the export was logged, in parts.

    Raises ForbiddenError before the first part.
    """
    end = await _record(deps, actor, wanted, form)
    return _parts(deps, actor, wanted, form, start=start, end=end)


async def follow_audit(
    deps: Deps, actor: Actor, wanted: Filter, form: ExportForm, *, start: int
) -> AsyncIterator[Exported]:
    """Return matching events from `start` on in parts, and go on with every new one, without end.

    Sequence numbers are in the order of commits, so that what is not yet there comes later than all that is.
    """
    await _record(deps, actor, wanted, form)

    async def follow() -> AsyncIterator[Exported]:
        at = start
        while True:
            async for part in _parts(deps, actor, wanted, form, start=at, end=None):
                yield part
                at = part.next_seq
            await asyncio.sleep(POLL_SECONDS)

    return follow()


async def _record(deps: Deps, actor: Actor, wanted: Filter, form: ExportForm) -> int:
    """Log the export, and return where it ends: before its own event."""
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
    body: dict[str, Json] = {"filter": Search(wanted).describe(), "format": form}
    recorded = await deps.journal.record(
        Event(Kind.AUDIT_EXPORTED, deps.now(), deps.new_nonce(), actor.by, body=body), revision=None
    )
    if not isinstance(recorded, Recorded):
        raise UnavailableError("the export could not be logged")
    return recorded.seq


async def _parts(
    deps: Deps, actor: Actor, wanted: Filter, form: ExportForm, *, start: int, end: int | None
) -> AsyncIterator[Exported]:
    """Yield part after part, each read in a transaction of its own; a part may be empty.

    INVARIANT: each asks anew whether the actor may: a slow reader could otherwise go on for days after it was revoked.
    """
    encode = _ENCODERS[form]
    at = start
    if form is ExportForm.CSV and start == 0:
        yield Exported(encode_row(_COLUMNS), 0)
    while True:
        async with deps.database.read() as read:
            await demand_to_read_all(deps, read, actor)
            size = await read_size(read)
            last = min(size if end is None else end, at + WINDOW)
            if at >= last:
                return
            rows = await list_events(read, wanted, after=at - 1, end=last, limit=PAGE, newest_first=False)
        at = rows[-1].seq + 1 if len(rows) == PAGE else last
        yield Exported(b"".join(encode(row) for row in rows), at)


def _encode_ocsf(row: LogEntry) -> bytes:
    event = to_ocsf(canonical.decode(row.entry), seq=row.seq, entry=row.entry.decode())
    return canonical.encode(event) + b"\n"


def _encode_csv(row: LogEntry) -> bytes:
    event = show_event(row)
    fields = event.fields
    actor = fields.get("actor")
    who = actor if isinstance(actor, dict) else {}
    return encode_row(
        [
            event.seq,
            event.time,
            str(fields["kind"]),
            str(fields["outcome"]),
            str(who.get("kind", "")),
            str(who.get("name", "")),
            str(fields.get("address", "")),
            str(fields.get("service", "")),
            event.about,
            str(fields.get("reason", "")),
            event.jti or "",
            row.entry.decode(),
        ]
    )


_ENCODERS: dict[ExportForm, Callable[[LogEntry], bytes]] = {
    ExportForm.NDJSON: lambda row: row.entry + b"\n",
    ExportForm.OCSF: _encode_ocsf,
    ExportForm.CSV: _encode_csv,
}
