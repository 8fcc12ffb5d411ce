"""Routes of the question why: what a token would grant, who can do something, and who reaches a project."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from authsvc.faces.admin.exchange import ActorDep, AskedDep, DepsDep, answer_one, answer_page
from authsvc.faces.admin.paths import ProjectName
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.faces.answers import GrantsView, PageView, ReachView, ReviewRowView
from authsvc.faces.fields import IpAddress, Line, Time
from authsvc.faces.models import ExplainBody
from authsvc.faces.reach_views import view_reach, view_review_row, write_review
from authsvc.faces.views import view_explained
from authsvc.operations.explain import Question, explain
from authsvc.operations.review_access import review_access, review_all_access
from authsvc.operations.who_can import Sought, who_can

router = APIRouter(route_class=StrictRoute)

_CSV = "text/csv"


@router.post("/explain", response_model=GrantsView, responses={404: {}}, tags=["explain"])
async def explain_scopes(deps: DepsDep, actor: ActorDep, body: ExplainBody) -> JSONResponse:
    """Say what a token request would be granted and refused, and why.

    With `at`, today's policy is asked about that time: what has changed since is not undone.
    """
    question = Question(body.account, body.service, body.scopes, body.address, body.at, body.credential)
    answers = await explain(deps, actor, question)
    return answer_one({"grants": [view_explained(answer.scope, answer.grant) for answer in answers]})


@router.get("/who-can", response_model=PageView[ReachView], responses={404: {}}, tags=["explain"])
async def list_who_can(
    request: Request,
    deps: DepsDep,
    actor: ActorDep,
    asked: AskedDep,
    repository: Annotated[
        str, Query(min_length=1, max_length=512, description="In full, as `acme/app`.", examples=["acme/app"])
    ],
    action: Annotated[
        str,
        Query(min_length=1, max_length=64, description="As `pull`, `push` or `delete`.", examples=["pull"]),
    ],
    service: Annotated[Line, Query(description="Hold conditions against this service.")] = "",
    address: Annotated[IpAddress, Query(description="Hold conditions against this address.")] = None,
    at: Annotated[Time | None, Query(description="Ask today's policy about another time.")] = None,
) -> JSONResponse:
    """List everybody who may do something to a repository, once for each binding that allows it.

    `anonymous` and `authenticated` come first, where visibility lets them in. Without `service` or `address` the bindings'
    conditions on these count as met; they are in the answer.
    """
    sought = Sought(repository, action, service, address, at)
    return answer_page(request, await who_can(deps, actor, sought, asked), view_reach)


@router.get(
    "/projects/{project}/access-review",
    tags=["explain"],
    response_model=PageView[ReviewRowView],
    responses={200: {"content": {_CSV: {"schema": {"type": "string"}}}}},
)
async def review_project_access(
    request: Request,
    deps: DepsDep,
    actor: ActorDep,
    asked: AskedDep,
    project: ProjectName,
    format: Annotated[  # noqa: A002 - the parameter's name
        Literal["json", "csv"] | None, Query(description="Default: what `Accept` says, else json.")
    ] = None,
    accept: Annotated[str, Header(max_length=1024)] = "",
) -> Response:
    """List who reaches a project: what, through which binding, role and group, under which conditions, and when last.

    JSON comes in pages; CSV is the whole review, up to 10,000 rows.
    """
    if format == "json" or (format is None and _CSV not in accept):
        return answer_page(request, await review_access(deps, actor, project, asked), view_review_row)
    table = write_review(await review_all_access(deps, actor, project))
    headers = {
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-disposition": f'attachment; filename="access-review-{project}.csv"',
    }
    return Response(table, headers=headers, media_type=f"{_CSV}; charset=utf-8; header=present")
