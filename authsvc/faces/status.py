"""Status for load balancers and monitors, and the public halves of keys for registries."""

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from authsvc.core.errors import UnavailableError
from authsvc.operations.check_ready import check_ready
from authsvc.operations.deps import Deps
from authsvc.operations.export_keys import export_bundle, export_jwks

PEM = "application/x-pem-file"
_PUBLIC_FOR = {"cache-control": "public, max-age=300"}


def make_router(exposition: Callable[[], bytes], metrics_type: str) -> APIRouter:
    """Return the routes; `exposition` gives the metrics of all workers in the form `metrics_type`."""
    router = APIRouter()

    @router.get("/livez", include_in_schema=False)
    async def livez() -> PlainTextResponse:
        """Say that the process answers, whatever the database does."""
        return PlainTextResponse("ok\n")

    @router.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> JSONResponse:
        """Say whether tokens can be issued now: 200, or 503 with what is missing."""
        deps: Deps = request.app.state.deps
        try:
            state = await check_ready(deps)
        except UnavailableError as error:
            return JSONResponse(
                {"ready": False, "why": str(error)}, 503, {"retry-after": str(error.retry_after)}
            )
        return JSONResponse({"ready": True, **state})

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Return the metrics of all workers."""
        body = await asyncio.to_thread(exposition)
        return Response(body, media_type=metrics_type)

    @router.get("/.well-known/jwks.json", include_in_schema=False)
    async def jwks(request: Request, service: Annotated[str, Query(max_length=255)] = "") -> JSONResponse:
        """Return a service's public keys as a JWK set; without `service`, of the only one, or of all."""
        return JSONResponse(await export_jwks(request.app.state.deps, service), headers=_PUBLIC_FOR)

    @router.get("/keys/bundle.pem", include_in_schema=False)
    async def bundle(
        request: Request, service: Annotated[str, Query(max_length=255)] = "", *, leaf: bool = False
    ) -> PlainTextResponse:
        """Return what a registry's `rootcertbundle` needs; with `leaf` the one certificate for registries that hold one key."""
        pem = await export_bundle(request.app.state.deps, service, leaf=leaf)
        return PlainTextResponse(pem, media_type=PEM, headers=_PUBLIC_FOR)

    return router
