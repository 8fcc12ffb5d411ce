"""Reading what reconciliation has found; as with every reading of the log, the question is logged first."""

from collections.abc import Mapping
from dataclasses import dataclass

from authsvc.adapters.postgres.audit_log import LogEntry
from authsvc.adapters.postgres.reconciliation import FindingRow, list_findings
from authsvc.core import canonical
from authsvc.core.canonical import Json
from authsvc.core.finding import Finding, FindingKind
from authsvc.operations.act import Actor
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked, Page, page_of
from authsvc.operations.query_audit import Found, demand_to_read_all, record_question


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding with the event that shows it, None where the log no longer has that."""

    number: int
    finding: Finding
    event: Found | None


async def page_findings(
    deps: Deps, actor: Actor, asked: Asked, *, kind: FindingKind | None, service: str | None
) -> Page[ShownFinding]:
    """Return findings, newest first; raises ForbiddenError unless the whole log may be read."""
    wanted: Mapping[str, Json] = {"findings": {"kind": kind, "service": service}}
    async with deps.database.read() as read:
        await demand_to_read_all(deps, read, actor)
        await record_question(deps, actor, wanted)

        async def list_after(after: str, limit: int) -> list[ShownFinding]:
            rows = await list_findings(
                read, kind=kind, service=service, after=int(after) if after else None, limit=limit
            )
            return [_show(row) for row in rows]

        return await page_of(asked, list_after, lambda shown: str(shown.number))


def _show(row: FindingRow) -> ShownFinding:
    event = None
    if row.entry is not None:
        event = Found(LogEntry(row.finding.seq, row.epoch, row.entry), canonical.decode(row.entry))
    return ShownFinding(row.number, row.finding, event)
