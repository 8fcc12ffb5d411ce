"""The route that exports the log."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from authsvc.faces.admin.audit import FilterDep
from authsvc.faces.admin.exchange import ActorDep, DepsDep
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.operations.export_audit import Exported, ExportForm, export_audit

router = APIRouter(tags=["audit"], route_class=StrictRoute)

_MEDIA_TYPES = {
    ExportForm.NDJSON: "application/x-ndjson",
    ExportForm.OCSF: "application/x-ndjson",
    ExportForm.CSV: "text/csv; charset=utf-8",
}
_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in _MEDIA_TYPES.values()}
    }
}
_NAMES = {
    ExportForm.NDJSON: "audit.ndjson",
    ExportForm.OCSF: "audit.ocsf.ndjson",
    ExportForm.CSV: "audit.csv",
}


@router.get("/audit/export", name="export_audit", response_class=StreamingResponse, responses=_LINES)
async def export(
    deps: DepsDep,
    actor: ActorDep,
    wanted: FilterDep,
    form: Annotated[
        ExportForm, Query(alias="format", description="The entries as hashed, OCSF events, or a spreadsheet.")
    ] = ExportForm.NDJSON,
) -> StreamingResponse:
    """Export all matching events, oldest first; the export is an event itself. An answer that breaks off is not complete."""
    headers = {
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-disposition": f'attachment; filename="{_NAMES[form]}"',
    }
    parts = await export_audit(deps, actor, wanted, form)
    return StreamingResponse(_lines(parts), media_type=_MEDIA_TYPES[form], headers=headers)


async def _lines(parts: AsyncIterator[Exported]) -> AsyncIterator[bytes]:
    async for part in parts:
        if part.lines:
            yield part.lines
