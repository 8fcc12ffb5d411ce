"""The route of what reconciliation has found."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from authsvc.core.finding import FindingKind
from authsvc.faces.admin.exchange import ActorDep, DepsDep, answer_page, asked_of
from authsvc.faces.admin.queries import PageQuery, Text
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.faces.answers import FindingView, PageView
from authsvc.faces.finding_views import view_finding
from authsvc.operations.list_findings import page_findings


class FindingQuery(PageQuery):
    """Findings."""

    kind: Annotated[
        FindingKind | None, Field(description="`uncovered` operations, or `silent` registries.")
    ] = None
    service: Annotated[Text | None, Field(description="Of which service's registry.")] = None


router = APIRouter(tags=["findings"], route_class=StrictRoute)


@router.get("/findings", response_model=PageView[FindingView])
async def list_findings(
    request: Request, deps: DepsDep, actor: ActorDep, query: Annotated[FindingQuery, Query()]
) -> JSONResponse:
    """List operations that no grant covers, and registries that no longer report, newest first; the question is logged."""
    page = await page_findings(deps, actor, asked_of(request, query), kind=query.kind, service=query.service)
    return answer_page(request, page, view_finding)
