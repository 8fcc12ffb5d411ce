"""The framework's application: the admin API's routes, its errors as problems, its bounds."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from authsvc.core.errors import (
    AuthsvcError,
    Fault,
    InvalidInputError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
)
from authsvc.core.principal import Network
from authsvc.faces.admin import (
    audit,
    audit_export,
    audit_proof,
    events,
    expiring,
    findings,
    groups,
    projects,
    services,
    users,
    why,
)
from authsvc.faces.admin.document import TAGS, describe_api
from authsvc.faces.admin.strict_route import UnreadableError
from authsvc.faces.http import Receive, Scope, Send, answer, header
from authsvc.faces.problems import BY_STATUS, INTERNAL, MEDIA_TYPE, Problem, describe, problem_of

PREFIX = "/api/v1"
MAX_BODY = 256 * 1024
MAX_DIGITS = 18
DEADLINE = 10.0
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

_log = structlog.get_logger()


def make_admin(
    *, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]], trusted: Sequence[Network]
) -> FastAPI:
    """Return the application; `trusted` are the proxies whose X-Forwarded-For is believed."""
    app = FastAPI(
        title="authsvc",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        openapi_tags=TAGS,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.trusted = trusted
    api = APIRouter(prefix=PREFIX)
    api.include_router(users.router)
    api.include_router(projects.make_router())
    api.include_router(groups.router)
    api.include_router(services.router)
    api.include_router(expiring.router)
    api.include_router(audit_proof.router)
    api.include_router(audit_export.router)
    api.include_router(audit.router)
    api.include_router(why.router)
    api.include_router(events.router)
    api.include_router(findings.router)
    app.include_router(api)
    app.add_exception_handler(AuthsvcError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_unknown)
    app.add_middleware(BodyLimit)
    app.add_middleware(Deadline)
    app.add_middleware(Head)
    app.openapi = lambda: describe_api(app)  # type: ignore[method-assign]  # the framework's own way to say more
    return app


class BodyLimit:
    """Refuses bodies beyond 256 KiB as a problem: by the length they announce, or as soon as more has come.

    The framework's own limit answers in plain text. What registries report may have more, and is read only from who may report.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Any]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, with no more of a body than it may have."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = events.MAX_BODY if scope["path"] == PREFIX + events.PATH else MAX_BODY
        announced = header(scope["headers"], b"content-length") or ""
        if announced.isdecimal() and int(announced[:MAX_DIGITS]) > most:
            problem = BY_STATUS[413]
            body = bytes(JSONResponse(describe(problem, problem.title)).body)
            await answer(send, problem.status, body, kind=MEDIA_TYPE.encode())
            return
        received = 0

        async def receive_little() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_little, send)


class Deadline:
    """Answers 503 when an answer has not begun after ten seconds, whatever the database does; an export may go on for longer.

    The work is left behind to end on its own: cancelling it would wait for a driver that waits for a frozen socket.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Any]) -> None:
        self._app = app
        self._left: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, with its time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = over = False

        async def send_in_time(message: Any) -> None:
            nonlocal begun
            begun = True
            if not over:
                await send(message)

        work = asyncio.ensure_future(self._app(scope, receive, send_in_time))
        self._left.add(work)
        work.add_done_callback(self._left.discard)
        done, _ = await asyncio.wait({work}, timeout=DEADLINE)
        if done or begun:
            await work
            return
        over = True
        work.cancel()
        problem = problem_of(UnavailableError(""))
        body = JSONResponse(
            describe(problem, "the database did not answer in time: try again in a moment")
        ).body
        await answer(send, 503, bytes(body), [(b"retry-after", b"2")], kind=MEDIA_TYPE.encode())


class Head:
    """Answers HEAD as GET without the body (RFC 9110 section 9.3.2), which the framework offers on routes of its own only."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Any]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Any) -> None:
            await send({**message, "body": b""} if "body" in message else message)

        await self._app({**scope, "method": "GET"}, receive, send_head)


async def _answer_error(request: Request, error: Exception) -> JSONResponse:
    del request
    if not isinstance(error, AuthsvcError):
        raise error
    headers = dict(_HEADERS)
    if isinstance(error, ThrottledError | UnavailableError):
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, UnauthenticatedError):
        headers["www-authenticate"] = 'Basic realm="authsvc", charset="UTF-8"'
    faults = error.faults if isinstance(error, InvalidInputError) else ()
    return _problem(problem_of(error), str(error), faults, headers)


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework found wrong with a request, with JSON pointers and without the values."""
    del request
    if not isinstance(error, RequestValidationError):
        raise error
    found = error.errors()
    if any(fault["type"] == "json_invalid" for fault in found):
        return _problem(BY_STATUS[400], "the body is no JSON", (), dict(_HEADERS))
    faults = [
        Fault(_pointer(fault["loc"]), str(fault["msg"]).removeprefix("Value error, ")) for fault in found
    ]
    return _problem(BY_STATUS[422], "; ".join(f"{f.where}: {f.what}" for f in faults), faults, dict(_HEADERS))


def _pointer(place: Iterable[int | str]) -> str:
    """Return where a fault is: a JSON pointer into the body, or the name of a parameter."""
    first, *rest = place
    if first != "body":
        return str(rest[-1]) if rest else str(first)
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in rest)


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    problem = BY_STATUS.get(error.status_code, INTERNAL)
    headers = dict(_HEADERS)
    if isinstance(error, UnreadableError):
        return _problem(problem, error.detail, error.faults, headers)
    if problem is BY_STATUS[405]:
        headers["allow"] = ", ".join(sorted(_allowed(request)))
    if not request.url.path.startswith(PREFIX):
        # Perhaps a mistyped realm: docker prints this form, and no other (token-protocol A1.10).
        message = f"{problem.title}: the realm is /token"
        body = {"errors": [{"code": "UNSUPPORTED", "message": message, "detail": None}]}
        return JSONResponse(body, error.status_code, headers)
    return _problem(problem, problem.title, (), headers, status=error.status_code)


def _allowed(request: Request) -> set[str]:
    """Return the methods of every route that has this path, not of the first alone."""
    methods: set[str] = set()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            methods.add(method)
    return methods


async def _answer_unknown(request: Request, error: Exception) -> JSONResponse:
    del request
    _log.error("admin.failed", error=type(error).__name__, exc_info=error)
    return _problem(INTERNAL, "internal error", (), dict(_HEADERS))


def _problem(
    problem: Problem,
    detail: str,
    faults: Sequence[Fault],
    headers: dict[str, str],
    *,
    status: int | None = None,
) -> JSONResponse:
    body = describe(problem, detail, faults)
    if status is not None:
        body["status"] = status
    return JSONResponse(body, status or problem.status, headers, MEDIA_TYPE)
