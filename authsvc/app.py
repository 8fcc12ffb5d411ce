"""The web application: the realm in front, the framework behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI

from authsvc.config import Settings, read_settings
from authsvc.faces import status
from authsvc.faces.admin.application import make_admin
from authsvc.faces.http import Receive, Scope, Send
from authsvc.faces.token import PATHS, TokenEndpoint
from authsvc.operations.deps import Deps
from authsvc.operations.run_background import run_background
from authsvc.wiring import METRICS_TYPE, calm_interpreter, exposition, node_name, observe_token, open_deps

ALSO = {
    "/api/v1/.well-known/jwks.json": "/.well-known/jwks.json",
    "/api/v1/keys/bundle.pem": "/keys/bundle.pem",
}
"""Public keys are at the root, where registries look, and are found beside everything else that is about keys too."""

OpenDeps = Callable[[Settings], AbstractAsyncContextManager[Deps]]


class Application:
    """Hands token requests to the realm before any framework sees them, and everything else to FastAPI."""

    def __init__(self, settings: Settings, opening: OpenDeps = open_deps) -> None:
        self._settings = settings
        self._opening = opening
        self._token: TokenEndpoint | None = None
        self.api: FastAPI = make_admin(lifespan=self._lifespan, trusted=settings.trusted_proxies)
        self.api.include_router(status.make_router(exposition, METRICS_TYPE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if self._token is not None and scope["type"] == "http" and scope["path"] in PATHS:
            await self._token(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in ALSO:
            await self.api({**scope, "path": ALSO[scope["path"]]}, receive, send)
        else:
            await self.api(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        async with (
            self._opening(self._settings) as deps,
            run_background(deps, node=node_name(), version=version("authsvc")),
        ):
            app.state.deps = deps
            self._token = TokenEndpoint(deps, self._settings.trusted_proxies, observe_token)
            yield


def create() -> Application:
    """Return the application of this process's environment; what a worker runs."""
    calm_interpreter()
    return Application(read_settings(), partial(open_deps, shared=True))
