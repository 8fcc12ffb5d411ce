"""Routes of services and of the keys that sign for them."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from authsvc.core.service import Service
from authsvc.faces.admin.exchange import (
    ActorDep,
    DepsDep,
    VersionsDep,
    answer_created,
    answer_nothing,
    answer_one,
    answer_page,
    asked_of,
)
from authsvc.faces.admin.paths import ServiceName
from authsvc.faces.admin.queries import Keys, Services
from authsvc.faces.admin.strict_route import StrictRoute
from authsvc.faces.answers import ListedKeyView, PageView, RotatedView, ServiceView
from authsvc.faces.models import NewServiceBody, RotateBody, ServicePatch
from authsvc.faces.views import view_service
from authsvc.operations import administer_services
from authsvc.operations.export_keys import page_keys, view_key
from authsvc.operations.rotate_keys import rotate_keys as make_new_key

router = APIRouter(route_class=StrictRoute)


@router.post("/services", response_model=ServiceView, status_code=201, tags=["services"])
async def create_service(
    request: Request, deps: DepsDep, actor: ActorDep, body: NewServiceBody
) -> JSONResponse:
    """Register a service; issuer and token life default to the settings'."""
    defaults = {"issuer": deps.issuer, "token_ttl_seconds": deps.token_ttl_seconds}
    record = await administer_services.create_service(deps, actor, Service(**{**defaults, **body.given()}))
    return answer_created(request, record.service.name, view_service(record))


@router.get("/services", response_model=PageView[ServiceView], tags=["services"])
async def list_services(request: Request, deps: DepsDep, actor: ActorDep, query: Services) -> JSONResponse:
    """List services by name."""
    return answer_page(
        request, await administer_services.list_services(deps, actor, asked_of(request, query)), view_service
    )


@router.get("/services/{name:path}", response_model=ServiceView, tags=["services"])
async def read_service(deps: DepsDep, actor: ActorDep, name: ServiceName) -> JSONResponse:
    """Read a service."""
    record = await administer_services.get_service(deps, actor, name)
    return answer_one(view_service(record), version=record.version)


@router.patch("/services/{name:path}", response_model=ServiceView, tags=["services"])
async def change_service(
    deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: ServiceName, body: ServicePatch
) -> JSONResponse:
    """Change everything of a service but its name."""
    record = await administer_services.change_service(deps, actor, name, body.given(), versions)
    return answer_one(view_service(record), version=record.version)


@router.delete("/services/{name:path}", status_code=204, tags=["services"])
async def delete_service(
    deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: ServiceName
) -> Response:
    """Retire a service: its registry gets no more tokens."""
    await administer_services.delete_service_named(deps, actor, name, versions)
    return answer_nothing()


@router.get("/keys", response_model=PageView[ListedKeyView], tags=["keys"])
async def list_keys(request: Request, deps: DepsDep, actor: ActorDep, query: Keys) -> JSONResponse:
    """List the public facts of every key, oldest first."""
    page = await page_keys(deps, actor, asked_of(request, query))
    return answer_page(request, page, lambda key: key)


@router.post("/keys/rotate", response_model=RotatedView, status_code=201, tags=["keys"])
async def rotate_keys(deps: DepsDep, actor: ActorDep, body: RotateBody | None = None) -> JSONResponse:
    """Make a new signing key; it signs once every node holds it, unless registries know keys by name (`waiting`)."""
    body = body or RotateBody()
    rotated = await make_new_key(deps, actor, body.algorithm, body.service)
    return answer_one({**view_key(rotated.key), "waiting": list(rotated.waiting)}, status=201)
