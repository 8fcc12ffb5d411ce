"""Routes of the log: asking it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse

from authsvc.core.search import PARAMETERS, Filter, parse_filter
from authsvc.faces.admin.exchange import ActorDep, AskedDep, DepsDep, answer_one, answer_page
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.faces.answers import EntryView, EventView, PageView
from authsvc.operations.page import Asked, Page
from authsvc.operations.query_audit import Found, Search, get_event, query_audit

MAX_SEQ = 2**53 - 1

router = APIRouter(tags=["audit"], route_class=StrictRoute)


def filter_of(
    request: Request,
    actor: Annotated[
        str | None, Query(description="Who, also as a registry reports it: `alice`, `acme+ci`.")
    ] = None,
    kind: Annotated[
        str | None, Query(description="What: `token.issued`, or the beginning: `policy.*`.")
    ] = None,
    project: Annotated[str | None, Query(description="In which project.")] = None,
    repository: Annotated[str | None, Query(description="On which repository, in full.")] = None,
    action: Annotated[str | None, Query(description="Which action was granted.")] = None,
    outcome: Annotated[str | None, Query(description="`allowed`, `partial`, `refused` or `done`.")] = None,
    address: Annotated[str | None, Query(description="From which IP address.")] = None,
    jti: Annotated[str | None, Query(description="The id in a token.")] = None,
    since: Annotated[str | None, Query(description="From when on (RFC 3339).")] = None,
    until: Annotated[str | None, Query(description="Until before when (RFC 3339).")] = None,
) -> Filter:
    """Return what is looked for; the parameters are declared for the document, and read by `parse_filter`."""
    del actor, kind, project, repository, action, outcome, address, jti, since, until
    return parse_filter({name: text for name, text in request.query_params.items() if name in PARAMETERS})


FilterDep = Annotated[Filter, Depends(filter_of)]
SeqPath = Annotated[int, Path(ge=0, le=MAX_SEQ, description="The event's place in the log.", examples=[0])]


def _after_of(asked: Asked) -> int | None:
    """Return the sequence number that a cursor goes on from."""
    return int(asked.after) if asked.after else None


@router.get("/audit", response_model=PageView[EventView], responses={404: {}}, name="query_audit")
async def query(
    request: Request,
    deps: DepsDep,
    actor: ActorDep,
    asked: AskedDep,
    wanted: FilterDep,
    order: Annotated[
        Literal["newest", "oldest", "desc", "asc"],
        Query(description="Which end comes first; `desc` is `newest`, `asc` is `oldest`."),
    ] = "newest",
) -> JSONResponse:
    """Search the log; the question is an event itself. With `audit:read` in one project, name it as `project`."""
    search = Search(wanted, _after_of(asked), asked.limit, newest_first=order in ("newest", "desc"))
    page = await query_audit(deps, actor, search)
    after = None if page.next_after is None else str(page.next_after)
    return answer_page(request, Page(page.items, after), Found.describe)


@router.get("/audit/{seq}", response_model=EntryView, name="read_event")
async def get(deps: DepsDep, actor: ActorDep, seq: SeqPath) -> JSONResponse:
    """Read one event; `entry` is the text whose bytes were hashed."""
    event = await get_event(deps, actor, seq)
    return answer_one({**event.describe(), "entry": event.row.entry.decode()})
