"""The OpenAPI document: what the framework knows of the routes, and what holds for all of them.

Each operation is told the problems that it can answer with, by what it takes: a body, a path, a version.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from authsvc.faces.admin.strict_route import JSON, MERGE_PATCH
from authsvc.faces.problems import BY_STATUS, INTERNAL, MEDIA_TYPE, PROBLEMS, TYPE_PREFIX, Problem, describe

Document = dict[str, Any]

TAGS: list[dict[str, Any]] = [
    {"name": "users", "description": "People."},
    {"name": "tokens", "description": "Personal access tokens: what a person's programs sign in with."},
    {"name": "sessions", "description": "Refresh tokens: where somebody is logged in."},
    {"name": "groups", "description": "Sets of users."},
    {"name": "projects", "description": "The first component of repository names, and the unit of tenancy."},
    {"name": "bindings", "description": "Who has which role where, and under which conditions."},
    {"name": "robots", "description": "Machine accounts, and their secrets."},
    {"name": "roles", "description": "Named sets of permissions."},
    {"name": "services", "description": "Registries that ask for tokens."},
    {"name": "keys", "description": "Keys that sign tokens."},
    {"name": "expiring", "description": "What ends soon."},
    {"name": "events", "description": "What happened at registries, as they report it."},
    {"name": "findings", "description": "What was reported, or not, against what was granted."},
    {"name": "explain", "description": "Why somebody is granted or refused something."},
    {"name": "audit", "description": "The log."},
    {"name": "me", "description": "The caller."},
]
_DESCRIPTION = """Users, groups, robots, projects, roles, bindings, services and keys of authsvc.

Sign in with Basic (a password or personal access token) or Bearer (a personal access token or robot secret). Lists are pages:
follow `next_cursor`, or `Link`. A change may carry `If-Match` with the ETag of the thing, or of what it is part of (a password is
of its user, a membership of its group); where nothing has one, any but `*` is 412. PATCH is a JSON merge patch (RFC 7396). What
you may not know of is answered as what does not exist. Unknown members and parameters are refused. Errors are problem details
(RFC 9457):

| type | status | title |
|---|---|---|
"""
_SECURITY = {
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A name with a password or personal access token.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A personal access token or a robot's secret.",
    },
}
_TEXT = {"type": "string"}
_HEADERS: dict[int, Document] = {
    401: {"WWW-Authenticate": {"description": "Basic.", "schema": _TEXT}},
    405: {"Allow": {"description": "The methods that are offered.", "schema": _TEXT}},
    429: {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
    503: {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
}
_ETAG: Document = {"ETag": {"description": "The version of the thing, for `If-Match`.", "schema": _TEXT}}
_LOCATION: Document = {"Location": {"description": "Where the new thing is.", "schema": _TEXT}}
_LINK: Document = {"Link": {"description": "The next page, if there is one (`rel=next`).", "schema": _TEXT}}
_PROBLEM: Document = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Which kind of problem; stable."},
        "title": {"type": "string", "description": "The kind in words."},
        "status": {"type": "integer", "description": "The status of the answer."},
        "detail": {"type": "string", "description": "What is wrong here."},
        "errors": {
            "type": "array",
            "description": "What is wrong with the request, part by part.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "A JSON pointer into the body (RFC 6901), or a parameter's name.",
                    },
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def describe_api(app: FastAPI) -> Document:
    """Return the document, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _describe(app)
    return app.openapi_schema


def _describe(app: FastAPI) -> Document:
    problems = sorted({*PROBLEMS.values(), *BY_STATUS.values(), INTERNAL}, key=lambda p: (p.status, p.type))
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="The permission service of container registries: administration.",
        description=_DESCRIPTION
        + "".join(f"| `{TYPE_PREFIX}{p.type}` | {p.status} | {p.title} |\n" for p in problems),
        routes=app.routes,
        tags=app.openapi_tags,
        servers=[{"url": "/"}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = document["components"]
    components["securitySchemes"] = _SECURITY
    document["security"] = [{name: []} for name in _SECURITY]
    schemas = components["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM
    schemas["Problem"]["properties"]["type"]["enum"] = [TYPE_PREFIX + problem.type for problem in problems]
    components["responses"] = {_name(status): _response(status, problems) for status in _statuses(problems)}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _complete(operation, path, method)
    return document


def _statuses(problems: list[Problem]) -> list[int]:
    return sorted({problem.status for problem in problems})


def _name(status: int) -> str:
    return f"Problem{status}"


def _response(status: int, problems: list[Problem]) -> Document:
    kinds = [problem for problem in problems if problem.status == status]
    return {
        "description": "; or ".join(problem.title for problem in kinds),
        "headers": _HEADERS.get(status, {}),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": describe(kinds[0], kinds[0].title),
            }
        },
    }


def _complete(operation: Document, path: str, method: str) -> None:
    """Say of one operation what its docstring, its parameters and its method imply."""
    operation["summary"], _, more = operation.pop("description", "").partition("\n")
    operation["summary"] = operation["summary"].rstrip(".")
    if more.strip():
        operation["description"] = more.strip()
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _of_text(parameter["schema"])
    parameters = {parameter["name"] for parameter in operation.get("parameters", ())}
    responses = operation["responses"]
    for status, response in responses.items():
        if status.startswith("2"):
            response["description"] = {"200": "Here it is.", "201": "It is made.", "204": "It is done."}.get(
                status, response["description"]
            )
            if headers := _headers(status, path, parameters):
                response["headers"] = headers
    for status in _problems_of(operation, path, method):
        responses[str(status)] = {"$ref": f"#/components/responses/{_name(status)}"}
    body = operation.get("requestBody", {}).get("content", {})
    if method == "patch" and JSON in body:
        body[MERGE_PATCH] = body[JSON]


def _of_text(schema: Document) -> Document:
    """Return a parameter's schema without the null that stands for its absence, as a query cannot say it."""
    some = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**rest, **some[0]} if len(some) == 1 else schema


def _headers(status: str, path: str, parameters: set[str]) -> Document:
    if status == "201" and not path.endswith("/rotate"):
        return {**_ETAG, **_LOCATION}
    if status == "200" and "cursor" in parameters:
        return _LINK
    # What is in the log never changes, so that nothing can be done to it that a version would guard.
    return _ETAG if status == "200" and path.endswith("}") and "/audit/" not in path else {}


def _problems_of(operation: Document, path: str, method: str) -> Iterator[int]:
    yield from (401, 403, 422, 429, 500, 503)
    if "{" in path or "404" in operation["responses"]:
        yield 404
    if "requestBody" in operation:
        yield from (400, 413, 415)
    if method != "get":
        yield from (409, 412)
