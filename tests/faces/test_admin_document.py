"""The OpenAPI document: it is the committed one, it is complete, and its examples work."""

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from authsvc.app import Application
from authsvc.core.kind import Kind
from authsvc.faces.admin.application import PREFIX
from authsvc.faces.admin.strict_route import MERGE_PATCH, StrictRoute
from authsvc.faces.problems import BY_STATUS, INTERNAL, PROBLEMS, TYPE_PREFIX
from tests.faces.document import DOCUMENT, JSON, OPERATIONS, ROOT, Operation
from tests.world import ADMIN, ADMIN_PASSWORD, World

BY_ADMIN = (ADMIN, ADMIN_PASSWORD)
PROBLEM = "application/problem+json"
IDS = [operation.id for operation in OPERATIONS]


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


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_an_operation_says_what_it_is(operation: Operation) -> None:
    """Each has an id of its own, a described tag, a summary, a typed success, and the problems that it can answer with."""
    said = operation.said
    assert IDS.count(operation.id) == 1
    assert len(said["tags"]) == 1
    assert set(said["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert said["summary"]
    assert {"401", "403", "422", "429", "500", "503"} <= set(said["responses"])
    for status, response in said["responses"].items():
        if status[0] in "45":
            component = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
            assert set(component["content"]) == {PROBLEM}
        elif status != "204":
            assert response["content"].get(JSON, {"schema": True})["schema"] != {}
    if "requestBody" in said:
        assert {"400", "409", "413", "415"} <= set(said["responses"])
        assert (MERGE_PATCH in said["requestBody"]["content"]) is (operation.method == "PATCH")


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_an_operation_has_examples(operation: Operation) -> None:
    """Every body has one, and every parameter that must be given."""
    assert None not in operation.required.values()
    assert operation.body is not None or "requestBody" not in operation.said


def test_every_problem_is_named_in_the_readme_and_the_document() -> None:
    """The types are stable names: a table tells them to people, an enumeration to programs."""
    readme = (ROOT / "README.md").read_text()
    named = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    problems = {*PROBLEMS.values(), *BY_STATUS.values(), INTERNAL}
    assert set(named) == {TYPE_PREFIX + problem.type for problem in problems}
    for problem in problems:
        assert f"`{problem.type}` | {problem.status}" in readme, problem


def _story() -> Iterator[Operation]:
    """Yield operations so that each finds what it is about: makings from the outside in, endings from the inside out."""
    first = ("users", "projects", "groups", "roles", "services", "robots", "bindings")
    makes = [operation for operation in OPERATIONS if operation.method == "POST"]
    yield from sorted(makes, key=lambda o: (o.path.count("{"), _rank(o.said["tags"][0], first)))
    for method in ("PUT", "GET", "PATCH"):
        yield from (operation for operation in OPERATIONS if operation.method == method)
    ends = [operation for operation in OPERATIONS if operation.method == "DELETE"]
    yield from sorted(ends, key=lambda o: -o.path.count("/"))


def _rank(tag: str, order: tuple[str, ...]) -> int:
    return order.index(tag) if tag in order else len(order)


async def test_every_example_works_as_it_stands(world: World) -> None:
    """Told in order, the examples are a story in which every request succeeds, for an administrator."""
    made: dict[str, str] = {}
    failed = []
    for operation in _story():
        answer = await _tell(world, operation, made)
        if answer.status_code != operation.success:
            failed.append(f"{operation.id}: {answer.status_code} {answer.text}")
    assert not failed, "\n".join(["", *failed])


async def _asked_for(world: World) -> int:
    """Return how many events there are, but for a new key's first use, which comes by itself once it was made."""
    return sum(event["kind"] != Kind.KEY_CHANGED for _, event in await world.events())


async def test_no_change_overlooks_if_match(world: World) -> None:
    """Whatever changes something does nothing when `If-Match` names another version, and `*` is any; ETags are where we say."""
    made: dict[str, str] = {}
    failed = []
    for operation in _story():
        if operation.method != "GET":
            before = await _asked_for(world)
            answer = await _tell(world, operation, made, if_match='"99"')
            if answer.status_code != 412 or await _asked_for(world) != before:
                failed.append(f"{operation.id}: {answer.status_code} {answer.text}")
        answer = await _tell(world, operation, made, if_match="*")
        said = operation.said["responses"][str(operation.success)].get("headers", {})
        if answer.status_code != operation.success or ("etag" in answer.headers) is not ("ETag" in said):
            failed.append(f"{operation.id}: {answer.status_code} {answer.headers} {answer.text}")
    assert not failed, "\n".join(["", *failed])


async def _tell(
    world: World, operation: Operation, made: dict[str, str], if_match: str | None = None
) -> httpx.Response:
    """Make the request of an example; `made` has the ids of the story so far, as the service makes these up."""
    path = operation.path
    if path.endswith("/sessions/{id}") and path.removesuffix("/{id}") not in made:
        made[path.removesuffix("/{id}")] = await _session(world)
    for name, value in operation.required.items():
        collection = operation.path.partition(f"/{{{name}}}")[0]
        path = path.replace(f"{{{name}}}", quote(made[collection] if name == "id" else str(value)))
    query = {name: value for name, value in operation.required.items() if f"{{{name}}}" not in operation.path}
    headers = {} if if_match is None else {"if-match": if_match}
    answer = await world.client.request(
        operation.method, path, params=query, json=operation.body, auth=BY_ADMIN, headers=headers
    )
    if answer.is_success and operation.method == "POST" and "id" in answer.json():
        made[operation.path] = answer.json()["id"]
    return answer


async def _session(world: World) -> str:
    """Log alice in once more, with the password that the story gave her, and return the id of the session."""
    answer = await world.ask(
        by=("alice", "another long passphrase"), offline_token="true", client_id="docker"
    )
    return str(answer.json()["refresh_token"].split("_")[1][1:])
