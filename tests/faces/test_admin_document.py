"""The OpenAPI document: it is the committed one, it is complete, and its examples work."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from authsvc.app import Application
from authsvc.faces.admin.application import PREFIX
from authsvc.faces.admin.strict_route import MERGE_PATCH, StrictRoute
from authsvc.faces.problems import BY_STATUS, INTERNAL, PROBLEMS, TYPE_PREFIX
from tests.world import ADMIN, ADMIN_PASSWORD, World

ROOT = Path(__file__).parent.parent.parent
DOCUMENT: dict[str, Any] = json.loads((ROOT / "deploy/openapi.json").read_text())
BY_ADMIN = (ADMIN, ADMIN_PASSWORD)
JSON = "application/json"
PROBLEM = "application/problem+json"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the method, path and description of every operation."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


OPERATIONS = list(operations())
IDS = [operation["operationId"] for _, _, operation in OPERATIONS]


async def test_the_committed_document_is_the_served_one(world: World) -> None:
    """Who generates a client from the repository gets the service's own document; `make openapi` writes it."""
    served = await world.client.get(f"{PREFIX}/openapi.json")
    assert served.status_code == 200
    assert served.json() == DOCUMENT, "run make openapi"


async def test_every_route_is_strict(application: Application) -> None:
    """No route of the admin API overlooks a parameter or a member that is named twice."""
    lax = [
        context.path
        for context in iter_route_contexts(application.api.routes)
        if isinstance(context.original_route, APIRoute)
        and str(context.path).startswith(f"{PREFIX}/")
        and not isinstance(context.original_route, StrictRoute)
    ]
    assert lax == []


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_an_operation_says_what_it_is(method: str, path: str, operation: dict[str, Any]) -> None:
    """Each has an id of its own, a described tag, a summary, a typed success, and the problems that it can answer with."""
    assert IDS.count(operation["operationId"]) == 1
    described = {tag["name"] for tag in DOCUMENT["tags"]}
    assert len(operation["tags"]) == 1
    assert set(operation["tags"]) <= described
    assert operation["summary"]
    responses = operation["responses"]
    assert {"401", "403", "422", "429", "500", "503"} <= set(responses)
    for status, response in responses.items():
        if status[0] in "45":
            component = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
            assert set(component["content"]) == {PROBLEM}
        elif status != "204":
            assert all(content != {} for kind, content in response["content"].items() if kind == JSON), status
            assert response["content"].get(JSON, {"schema": True})["schema"] != {}, status
    if method in ("POST", "PATCH", "PUT") and "requestBody" in operation:
        assert {"400", "409", "413", "415"} <= set(responses)
        assert (MERGE_PATCH in operation["requestBody"]["content"]) is (method == "PATCH")


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=IDS)
def test_an_operation_has_examples(method: str, path: str, operation: dict[str, Any]) -> None:
    """Every body has one, and every parameter that must be given."""
    for parameter in operation.get("parameters", ()):
        if parameter["required"]:
            assert _example_of(parameter) is not None, (method, path, parameter["name"])
    if "requestBody" in operation:
        assert _body_of(operation) is not None, (method, path)


def test_every_problem_is_named_in_the_readme_and_the_document() -> None:
    """The types are stable names: a table tells them to people, an enumeration to programs."""
    readme = (ROOT / "README.md").read_text()
    named = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    problems = {*PROBLEMS.values(), *BY_STATUS.values(), INTERNAL}
    assert set(named) == {TYPE_PREFIX + problem.type for problem in problems}
    for problem in problems:
        assert f"`{problem.type}` | {problem.status}" in readme, problem


def _example_of(parameter: dict[str, Any]) -> Any:
    examples = parameter["schema"].get("examples") or [parameter.get("example")]
    return examples[0] if examples[0] is not None else parameter["schema"].get("default")


def _body_of(operation: dict[str, Any]) -> Any:
    content = operation["requestBody"]["content"][JSON]
    if "example" in content:
        return content["example"]
    schema = content["schema"]
    kinds = [schema, *schema.get("anyOf", ())]
    names = [kind["$ref"].rpartition("/")[2] for kind in kinds if "$ref" in kind]
    examples = [DOCUMENT["components"]["schemas"][name].get("examples") for name in names]
    return examples[0][0] if examples and examples[0] else None


ORDER = ("POST", "PUT", "GET", "PATCH", "DELETE")


def _story() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield operations so that each finds what it is about: makings from the outside in, endings from the inside out."""
    makes = [o for o in OPERATIONS if o[0] == "POST"]
    first = ("users", "projects", "groups", "roles", "services", "robots", "bindings")
    yield from sorted(makes, key=lambda o: (o[1].count("{"), _rank(o[2]["tags"][0], first)))
    for method in ("PUT", "GET", "PATCH"):
        yield from (o for o in OPERATIONS if o[0] == method)
    yield from sorted((o for o in OPERATIONS if o[0] == "DELETE"), key=lambda o: -o[1].count("/"))


def _rank(tag: str, order: tuple[str, ...]) -> int:
    return order.index(tag) if tag in order else len(order)


async def test_every_example_works_as_it_stands(world: World) -> None:
    """Told in order, the examples are a story in which every request succeeds, for an administrator."""
    made: dict[str, str] = {}
    failed = []
    for method, path, operation in _story():
        if operation["tags"] == ["sessions"] and path.endswith("{id}"):
            made[path.removesuffix("/{id}")] = await _session(world)
        values = {p["name"]: _example_of(p) for p in operation.get("parameters", ()) if p["required"]}
        filled = path
        for name in [n for n in values if f"{{{n}}}" in path]:
            collection = path[: path.index(f"/{{{name}}}")]
            # An id is made up by the service: the story goes on with the one that was answered.
            value = made.get(collection, "0") if name == "id" else str(values[name])
            filled = filled.replace(f"{{{name}}}", quote(value))
        query = {name: values[name] for name in values if f"{{{name}}}" not in path}
        body = _body_of(operation) if "requestBody" in operation else None
        answer = await world.client.request(method, filled, params=query, json=body, auth=BY_ADMIN)
        if answer.status_code >= 300 or str(answer.status_code) not in operation["responses"]:
            failed.append(f"{method} {filled}: {answer.status_code} {answer.text}")
        elif method == "POST" and "id" in answer.json():
            made[path] = answer.json()["id"]
    assert not failed, "\n".join(["", *failed])


async def _session(world: World) -> str:
    """Log alice in once more, with the password that the story gave her, and return the id of the session."""
    answer = await world.ask(
        by=("alice", "another long passphrase"), offline_token="true", client_id="docker"
    )
    return str(answer.json()["refresh_token"].split("_")[1][1:])
