"""The admin API's kind of route: it overlooks nothing of a request, neither a parameter nor a second value of a member."""

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from inspect import isclass
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from authsvc.core.errors import Fault, InvalidInputError, StaleVersionError

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
IF_MATCH = "if-match"
SAFE_METHODS = frozenset({"GET", "HEAD"})
_SHOWN = 64

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class UnreadableError(HTTPException):
    """A request whose form is wrong, whatever it says: 400, 413 or 415, with where and what."""

    def __init__(self, status: int, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(status, detail)
        self.faults = faults


class StrictRoute(APIRoute):
    """Refuses parameters that it does not know, bodies that are not JSON by name and by nature, and members named twice."""

    def get_route_handler(self) -> Handler:
        """Return the framework's handler behind the checks."""
        handle = super().get_route_handler()
        parameters = _query_parameters(self.dependant)
        kinds = (JSON, MERGE_PATCH) if "PATCH" in (self.methods or ()) else (JSON,)
        takes_body = self.body_field is not None
        takes_versions = IF_MATCH in _header_parameters(self.dependant)

        async def handle_strictly(request: Request) -> Response:
            _check_parameters(request, parameters)
            if not takes_versions:
                _check_condition(request)
            return await handle(await _read(request, kinds) if takes_body else request)

        return handle_strictly


class _Read(Request):
    """A request whose body has been read."""

    parsed: object = None

    async def json(self) -> object:
        """Return what the body holds."""
        return self.parsed


async def _read(request: Request, kinds: Sequence[str]) -> Request:
    read = _Read(request.scope, request.receive)
    try:
        body = await read.body()
    except ClientDisconnect as error:
        raise UnreadableError(400, "the body ended early") from error
    if body:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in kinds:
            raise UnreadableError(415, f"send the body as {' or '.join(kinds)}")
        read.parsed = parse_strictly(body)
    return read


def parse_strictly(body: bytes) -> object:
    """Return what a JSON text in UTF-8 holds (RFC 8259); raises UnreadableError where parsers could differ.

    So NaN and a member named twice are refused: a proxy in front that keeps the other value would have checked something else.
    """
    twice: list[tuple[dict[str, object], str]] = []

    def collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members: dict[str, object] = {}
        for name, value in pairs:
            if name in members:
                twice.append((members, name))
            members[name] = value
        return members

    try:
        parsed = json.loads(body.decode(), object_pairs_hook=collect, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(400, "the body is no JSON in UTF-8") from error
    if twice:
        faults = [
            Fault(f"{_place(parsed, members)}/{_escape(name)}", "is named twice") for members, name in twice
        ]
        raise UnreadableError(400, "the body names a member twice", faults)
    return parsed


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _place(value: object, wanted: dict[str, object]) -> str | None:
    """Return the JSON pointer (RFC 6901) to a very object within a value; None when it is not there."""
    if value is wanted:
        return ""
    if isinstance(value, dict):
        inner = [(_escape(str(name)), member) for name, member in value.items()]
    else:
        inner = [(str(at), member) for at, member in enumerate(value)] if isinstance(value, list) else []
    for name, member in inner:
        place = _place(member, wanted)
        if place is not None:
            return f"/{name}{place}"
    return None


def _escape(name: str) -> str:
    return name[:_SHOWN].replace("~", "~0").replace("/", "~1")


def _check_parameters(request: Request, known: frozenset[str]) -> None:
    for name, values in Counter(name for name, _ in request.query_params.multi_items()).items():
        if values > 1:
            raise InvalidInputError(Fault(name[:_SHOWN], "is given more than once"))
        if name not in known:
            offered = (
                f"is none of {', '.join(sorted(known))}"
                if known
                else "is not known: there are no parameters here"
            )
            raise InvalidInputError(Fault(name[:_SHOWN], offered))


def _check_condition(request: Request) -> None:
    """Raise StaleVersionError for an `If-Match` on a change of what has no version: the condition is false (RFC 9110 13.1.1)."""
    condition = request.headers.get(IF_MATCH, "*").strip()
    if condition != "*" and request.method not in SAFE_METHODS:
        raise StaleVersionError("this has no ETag that `If-Match` could name: leave it out, or send *")


def _header_parameters(dependant: Dependant) -> frozenset[str]:
    """Return the names of all headers that a route and what it depends on read."""
    names = frozenset(field.alias for field in dependant.header_params)
    return names.union(*(_header_parameters(inner) for inner in dependant.dependencies))


def _query_parameters(dependant: Dependant) -> frozenset[str]:
    """Return the names of all parameters of a route and of what it depends on, a model's fields one by one."""
    names: set[str] = set()
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if isclass(kind) and issubclass(kind, BaseModel):
            names |= set(kind.model_fields)
        else:
            names.add(field.alias)
    return frozenset(names.union(*(_query_parameters(inner) for inner in dependant.dependencies)))
