"""The route of what expires soon."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field, StrictInt

from authsvc.faces.admin.exchange import ActorDep, DepsDep, answer_page, asked_of
from authsvc.faces.admin.queries import FROM_TEXT, PageQuery
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.faces.answers import ExpiringView, PageView
from authsvc.faces.views import view_expiring
from authsvc.operations.list_expiring import list_expiring

MAX_DAYS = 3660


class ExpiringQuery(PageQuery):
    """What ends soon."""

    days: Annotated[
        StrictInt, Field(ge=1, le=MAX_DAYS, description="Within how many days it ends."), FROM_TEXT
    ] = 30


router = APIRouter(route_class=StrictRoute)


@router.get("/expiring", response_model=PageView[ExpiringView], tags=["expiring"], name="list_expiring")
async def list_all(
    request: Request, deps: DepsDep, actor: ActorDep, query: Annotated[ExpiringQuery, Query()]
) -> JSONResponse:
    """List the bindings, robot secrets and personal access tokens you may read that end soon, the first to end first."""
    page = await list_expiring(deps, actor, query.days, asked_of(request, query))
    return answer_page(request, page, view_expiring)
