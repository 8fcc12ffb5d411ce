"""The route of what expires soon."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from authsvc.faces.admin.exchange import ActorDep, AskedDep, DepsDep, answer_page
from authsvc.faces.views import view_expiring
from authsvc.operations.list_expiring import list_expiring

MAX_DAYS = 3660

router = APIRouter()


@router.get("/expiring", tags=["expiring"])
async def list_all(
    request: Request,
    deps: DepsDep,
    actor: ActorDep,
    asked: AskedDep,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS, description="Within how many days it ends.")] = 30,
) -> JSONResponse:
    """List the bindings, robot secrets and personal access tokens you may read that end soon, the first to end first."""
    return answer_page(request, await list_expiring(deps, actor, days, asked), view_expiring)
