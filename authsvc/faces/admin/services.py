"""Routes of services and of the keys that sign for them."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from authsvc.core.canonical import Json
from authsvc.core.service import Service
from authsvc.faces.admin.exchange import (
    ActorDep,
    AskedDep,
    DepsDep,
    VersionsDep,
    answer_nothing,
    answer_one,
    answer_page,
)
from authsvc.faces.models import NewServiceBody, RotateBody, ServicePatch
from authsvc.faces.views import view_service
from authsvc.operations.administer_services import (
    change_service,
    create_service,
    delete_service_named,
    get_service,
    list_services,
)
from authsvc.operations.export_keys import demand_to_read_keys, list_keys, view_key
from authsvc.operations.rotate_keys import rotate_keys

router = APIRouter()


@router.post("/services", status_code=201, tags=["services"])
async def create(deps: DepsDep, actor: ActorDep, body: NewServiceBody) -> JSONResponse:
    """Register a service; issuer and token life default to the settings'."""
    defaults = {"issuer": deps.issuer, "token_ttl_seconds": deps.token_ttl_seconds}
    record = await create_service(deps, actor, Service(**{**defaults, **body.given()}))
    return answer_one(view_service(record), version=record.version, status=201)


@router.get("/services", tags=["services"])
async def list_all(request: Request, deps: DepsDep, actor: ActorDep, asked: AskedDep) -> JSONResponse:
    """List services by name."""
    return answer_page(request, await list_services(deps, actor, asked), view_service)


@router.get("/services/{name:path}", tags=["services"])
async def get(deps: DepsDep, actor: ActorDep, name: str) -> JSONResponse:
    """Read a service."""
    record = await get_service(deps, actor, name)
    return answer_one(view_service(record), version=record.version)


@router.patch("/services/{name:path}", tags=["services"])
async def change(
    deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: str, body: ServicePatch
) -> JSONResponse:
    """Change everything of a service but its name."""
    record = await change_service(deps, actor, name, body.given(), versions)
    return answer_one(view_service(record), version=record.version)


@router.delete("/services/{name:path}", status_code=204, tags=["services"])
async def delete(deps: DepsDep, actor: ActorDep, versions: VersionsDep, name: str) -> Response:
    """Retire a service: its registry gets no more tokens."""
    await delete_service_named(deps, actor, name, versions)
    return answer_nothing()


@router.get("/keys", tags=["keys"])
async def list_all_keys(deps: DepsDep, actor: ActorDep) -> JSONResponse:
    """List the public facts of every key, oldest first."""
    await demand_to_read_keys(deps, actor)
    items: list[Json] = [*await list_keys(deps)]
    return answer_one({"items": items, "next_cursor": None})


@router.post("/keys/rotate", status_code=201, tags=["keys"])
async def rotate(deps: DepsDep, actor: ActorDep, body: RotateBody) -> JSONResponse:
    """Make a new signing key; it is used at once unless registries know keys by name (`waiting`)."""
    rotated = await rotate_keys(deps, actor, body.algorithm, body.service)
    return answer_one({**view_key(rotated.key), "waiting": list(rotated.waiting)}, status=201)
