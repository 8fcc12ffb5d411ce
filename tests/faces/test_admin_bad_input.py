import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.world import ADMIN, ADMIN_PASSWORD, API, World

AUTH = (ADMIN, ADMIN_PASSWORD)
ME = {"kind": "user", "name": ADMIN}
BIND = {"role": "reader", "subject": ME}
TYPES = {
    400: "malformed", 401: "unauthenticated", 403: "forbidden", 404: "not-found", 405: "method", 409: "conflict",
    412: "stale", 413: "too-large", 422: "invalid",
}  # fmt: skip


def check_problem(answer: httpx.Response, status: int | None = None) -> None:
    """Hold an answer against RFC 9457 and our own types."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["type"] == f"urn:authsvc:problem:{TYPES[answer.status_code]}"
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    assert status is None or answer.status_code == status, answer.text


async def post(world: World, path: str, content: bytes, kind: str = "application/json") -> httpx.Response:
    """Send bytes as they are."""
    return await world.client.post(API + path, content=content, headers={"content-type": kind}, auth=AUTH)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{bad", 400), (b"\xff\xfe", 400), (b'{"name":', 400), (b"[" * 100_000, 400), (b'{"a":' * 40_000, 400),
        (b'{"name": ' + b"9" * 5000 + b"}", 400), (b"{'name': 'x'}", 400),
        (b"", 422), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b"{}", 422), (b'{"name":NaN}', 400),
        (b'{"name":"x","description":"' + b"x" * 300_000 + b'"}', 413), (b" " * 262_145, 413),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
async def test_a_body_that_is_no_object_of_ours_is_a_problem(
    world: World, content: bytes, status: int
) -> None:
    """Broken, deep, huge or other JSON is answered by its cause, and never by a 500."""
    check_problem(await post(world, "/projects", content), status)


async def test_a_body_without_a_length_is_bounded_too(world: World) -> None:
    """What comes in chunks is refused once more than 256 KiB have come."""

    async def chunks() -> Any:
        for _ in range(300):
            yield b" " * 1024

    headers = {"content-type": "application/json"}
    answer = await world.client.post(f"{API}/projects", content=chunks(), headers=headers, auth=AUTH)
    check_problem(answer, 413)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
async def test_only_json_is_read(world: World, kind: str) -> None:
    """A body of another media type is refused, so that no other site's form can change anything."""
    assert (await post(world, "/projects", b'{"name":"acme"}', kind)).status_code in (415, 422)
    await world.api("GET", "/projects/acme", expect=404)


BAD_BINDINGS: list[dict[str, Any]] = [
        {"role": "absent"}, {"role": "a\0"}, {"role": ""}, {"role": None}, {"subject": None}, {"subject": "admin"},
        {"subject": {"kind": "user", "name": "absent"}}, {"subject": {"kind": "user", "name": "a\0"}},
        {"subject": {"kind": "robot", "name": "acme+absent"}}, {"subject": {"kind": "anonymous", "name": "x"}},
        {"subject": {**ME, "id": "x"}}, {"repositories": []}, {"repositories": ["***"]}, {"repositories": ["a*"]},
        {"repositories": ["/a"]}, {"repositories": ["a\0"]}, {"repositories": ["**"] * 65}, {"repositories": [["a"]]},
        {"repositories": [".*"]}, {"repositories": "**"}, {"repositories": None}, {"services": ["\0"]}, {"services": ["é"]},
        {"services": [""]}, {"services": ["x" * 256]}, {"cidrs": ["10.0.0.1/8"]}, {"cidrs": ["10.0.0.0/33"]},
        {"cidrs": ["fe80::1%eth0"]}, {"cidrs": [167_772_160]}, {"cidrs": ["10.0.0.0/8"] * 65}, {"cidrs": ["a\0"]},
        {"expires_at": 1_900_000_000}, {"expires_at": "1900000000"}, {"expires_at": "2030-01-01"},
        {"expires_at": "2030-01-01T00:00:00"}, {"expires_at": "2200-01-01T00:00:00Z"}, {"expires_at": "2030-13-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-23:59"}, {"expires_at": "0001-01-01T00:00:00+23:59"}, {"expires_at": "tomorrow"},
        {"expires_at": "2030-01-01T00:00:00Z\0"}, {"not_before": "2031-01-01T00:00:00Z", "expires_at": "2030-01-01T00:00:00Z"},
        {"not_before": "2030-01-01T00:00:00Z", "expires_at": "2030-01-01T00:00:00Z"}, {"comment": "\0"}, {"project": "beta"},
]  # fmt: skip
REFUSED: list[tuple[str, dict[str, Any]]] = [
    *[("/users", {"name": name}) for name in (
        "", " ", "a b", "a+b", "a:b", "a/b", "a\0b", "\0", "a\nb", "a\u202eb", "\u200ba", "pаypal", "ﬁne", "a" * 129,
        "-a", "a.", "<token>", 5, None, ["a"], {"a": 1}, True,
    )],
    *[("/users", {"name": "x", **more}) for more in (
        {"password": "short"}, {"password": "p" * 1025}, {"password": "p" * 5000}, {"password": "ats_p" + "x" * 20},
        {"name": "longname", "password": "LongName"}, {"password": 12345678}, {"email": "no-at"}, {"email": "a\0@b"},
        {"email": "a@b\x1b"}, {"email": "a" * 250 + "@b.cd"}, {"display_name": "\x07"}, {"display_name": "x" * 256},
        {"disabled": "true"}, {"disabled": 1}, {"disabled": None}, {"is_admin": True}, {"id": "a" * 16},
        {"credential_version": 9},
    )],
    *[("/projects", {"name": name}) for name in (
        "system", "Acme", "a/b", "a+b", "a:b", "a__", ".a", "a\0", "п", "a" * 129, "..", "*", "**",
    )],
    *[("/projects", {"name": "ok", **more}) for more in (
        {"visibility": "secret"}, {"visibility": None}, {"description": "\0"}, {"description": "\x1b[2J"},
        {"description": "x" * 2001}, {"description": 1}, {"owner": "me"},
    )],
    *[("/projects/acme/robots", {"name": name}) for name in ("a+b", "A", "", "a\0", "a/b", "a..b", "x" * 129)],
    *[("/services", {"name": name}) for name in ("", " a", "a ", "é", "a\0", "a\n", "x" * 256)],
    *[("/services", {"name": "ok", **more}) for more in (
        {"token_ttl_seconds": 59}, {"token_ttl_seconds": 86_401}, {"token_ttl_seconds": "300"},
        {"token_ttl_seconds": 300.5}, {"token_ttl_seconds": 10**30}, {"token_ttl_seconds": True}, {"algorithm": "none"},
        {"algorithm": "HS256"}, {"algorithm": "EdDSA", "header": "libtrust-kid"}, {"aliases": ["ok"]},
        {"aliases": ["a", "a"]}, {"aliases": ["x"] * 17}, {"aliases": "a"}, {"name_prefix": "\0"}, {"issuer": ""},
        {"issuer": "a\nb"},
    )],
    *[("/roles", {"name": "ok", "permissions": permissions}) for permissions in (
        [], ["*"], ["pull"], ["*:pull"], ["repository:"], ["repository:PULL"], ["nothing:read"], "repository:pull",
        ["repository:pull\0"], ["repository:pull"] * 65, [5], [None],
    )],
    *[("/projects/acme/bindings", {**BIND, **more}) for more in BAD_BINDINGS],
    ("/bindings", {**BIND, "repositories": ["app"]}),
    *[("/users/admin/tokens", more) for more in (
        {"scopes": ["repository:acme/**"]}, {"scopes": [""]}, {"scopes": ["repository:acme/**:pull "]}, {"label": "a\nb"},
        {"scopes": ["repository:acme/**:" + ",".join(f"a{'b' * n}" for n in range(60)), "repository:a:pull,push,x,y,z"]},
        {"scopes": "x"}, {"scopes": None}, {"expires_at": "2020-01-01T00:00:00Z"}, {"token": "mine"}, {"cidrs": ["x"]},
    )],
]  # fmt: skip


async def test_values_out_of_bounds_are_refused_with_their_place(world: World) -> None:
    """Every refused member is a 422 that points into the body, and nothing is stored."""
    await world.add_project("acme")
    before = await world.deps.memory.refresh()
    wrong = []
    for path, body in REFUSED:
        answer = await world.client.post(API + path, json=body, auth=AUTH)
        if answer.status_code != 422 or not answer.json().get("errors"):
            wrong.append((path, str(body)[:120], answer.status_code, answer.text[:200]))
        else:
            check_problem(answer)
            assert all(e["pointer"].startswith("/") for e in answer.json()["errors"]), answer.text
    assert not wrong, "\n".join(map(str, ["", *wrong]))
    assert await world.deps.memory.refresh() == before


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\udfffb"', '"\\u0000"', '"\\ud800\\u0000"'])
async def test_text_that_is_no_text_is_refused_everywhere(world: World, text: str) -> None:
    """Lone surrogates and NUL, as value or as key, are a 422 in every member of every body."""
    await world.add_project("acme")
    for path, body in (
        ("/users", {"name": "x", "email": "a@b", "display_name": "x", "password": "long-enough"}),
        ("/projects", {"name": "x", "description": "x"}),
        (
            "/projects/acme/bindings",
            {**BIND, "comment": "x", "services": ["x"], "repositories": ["x"], "cidrs": ["x"]},
        ),
        ("/services", {"name": "x", "aliases": ["x"], "issuer": "x", "name_prefix": "x"}),
        ("/roles", {"name": "x", "permissions": ["x"], "description": "x"}),
        ("/users/admin/tokens", {"label": "x", "scopes": ["x"], "expires_at": "x"}),
    ):
        for name in body:
            if name == "password" and "ud" not in text:
                continue  # a password may hold any character
            replaced = {**body, name: ["@"] if isinstance(body[name], list) else "@"}
            answer = await post(world, path, json.dumps(replaced).replace('"@"', text).encode())
            check_problem(answer, 422)
        answer = await post(world, path, json.dumps({**body, "@": 1}).replace('"@"', text).encode())
        check_problem(answer, 422)


async def test_names_in_paths_may_be_anything(world: World) -> None:
    """A path with NUL, broken UTF-8 or far too long a name leads to nothing, and never to a 500."""
    for name in ("%00", "a%00b", "%ff", "%ED%A0%80", "x" * 5000, "%2e%2e", "%0d%0aX:1", "🙂", "%F0%9F"):
        for path in (
            f"/users/{name}", f"/projects/{name}", f"/projects/{name}/bindings", f"/bindings/{name}",
            f"/users/{name}/tokens", f"/users/admin/tokens/{name}", f"/services/{name}", f"/robots/{name}/secrets",
            f"/groups/{name}", f"/roles/{name}",
        ):  # fmt: skip
            for method in ("GET", "DELETE"):
                answer = await world.client.request(method, API + path, auth=AUTH)
                assert answer.status_code in (404, 405, 422), (method, path, answer.text)
                check_problem(answer)


async def test_a_method_that_is_not_offered_is_told_which_are(world: World) -> None:
    """405 with the complete `Allow`; a path that is none is 404 for every method."""
    for path, allow in (
        ("/users", "GET, POST"), ("/users/admin", "DELETE, GET, PATCH"), ("/users/admin/password", "PUT"),
        ("/users/admin/tokens", "GET, POST"), ("/users/admin/tokens/x", "DELETE, GET"), ("/me", "GET"),
        ("/projects/acme/bindings", "GET, POST"), ("/projects/acme/bindings/x", "DELETE, GET, PATCH"),
        ("/bindings", "GET, POST"), ("/bindings/x", "DELETE, GET, PATCH"), ("/robots/x/secrets", "GET, POST"),
        ("/services/x/y", "DELETE, GET, PATCH"), ("/groups/x/members/y", "DELETE, PUT"),
    ):  # fmt: skip
        offered = set(allow.split(", "))
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} - offered:
            answer = await world.client.request(method, API + path, auth=AUTH)
            check_problem(answer, 405)
            assert answer.headers["allow"] == allow, (method, path)
    for path in (
        "/nothing",
        "/users/",
        "/users//tokens",
        "/",
        "",
        "/users/admin/nothing",
        "/projects/acme/nothing",
    ):
        for method in ("GET", "POST", "DELETE"):
            check_problem(await world.client.request(method, API + path, auth=AUTH), 404)


async def test_names_that_differ_by_case_only_conflict(world: World) -> None:
    """Two users never share a name, whatever its case, and services never share an alias."""
    await world.api("POST", "/users", {"name": "alice"}, expect=201)
    for name in ("alice", "Alice", "ALICE"):
        await world.api("POST", "/users", {"name": name}, expect=409)
    await world.api("POST", "/services", {"name": "a", "aliases": ["b"]}, expect=201)
    for body in (
        {"name": "b"},
        {"name": "a"},
        {"name": "c", "aliases": ["b"]},
        {"name": "c", "aliases": ["a"]},
    ):
        await world.api("POST", "/services", body, expect=409)
    await world.api("GET", "/services/c", expect=404)


async def test_the_largest_change_that_is_allowed_fits_the_log(world: World) -> None:
    """What the bounds let through is stored; what an entry of the log could not hold is a 422 and no 500."""
    await world.add_project("acme")
    services = [f"{n:02}" + "x" * 253 for n in range(64)]
    patterns = [f"{n:02}" + "x" * 253 for n in range(64)]
    cidrs = [f"2001:db8:{n:x}:ffff:ffff:ffff:ffff:{n:x}/128" for n in range(64)]
    big = {**BIND, "services": services, "repositories": patterns, "cidrs": cidrs, "comment": "c" * 2000}
    answer = await world.client.post(f"{API}/projects/acme/bindings", json=big, auth=AUTH)
    assert answer.status_code == 201
    quotes = {**big, "services": [f"{n:02}" + '"' * 253 for n in range(64)]}
    answer = await world.client.post(f"{API}/projects/acme/bindings", json=quotes, auth=AUTH)
    assert answer.status_code == 422
    aliases = [f"{n:02}" + '"' * 253 for n in range(16)]
    await world.api("POST", "/services", {"name": '"' * 255, "aliases": aliases}, expect=201)
    await world.api("PATCH", "/services/" + "%22" * 255, {"aliases": [a[::-1] for a in aliases]}, expect=200)
    scopes = [f"repository:{n:02}{'x' * 253}:{'y' * 64}" for n in range(64)]
    await world.api("POST", "/users/admin/tokens", {"scopes": scopes}, expect=201)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(
        ["\0", "**", "user", ADMIN, "reader", "10.0.0.0/8", "2030-01-01T00:00:00Z", "repository:pull"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.sampled_from((
    "name", "password", "email", "display_name", "disabled", "label", "expires_at", "scopes", "cidrs", "visibility",
    "description", "role", "subject", "repositories", "services", "not_before", "comment", "permissions", "aliases",
    "token_ttl_seconds", "algorithm", "header", "name_prefix", "kind", "address", "account", "service", "at",
))  # fmt: skip
WAYS = st.sampled_from((
    ("POST", "/users"), ("PATCH", "/users/admin"), ("POST", "/users/admin/tokens"), ("POST", "/projects"),
    ("PATCH", "/projects/acme"), ("POST", "/projects/acme/bindings"), ("POST", "/bindings"), ("POST", "/robots"),
    ("POST", "/projects/acme/robots/ci/secrets"), ("POST", "/services"), ("PATCH", "/services/registry.test"),
    ("POST", "/roles"), ("POST", "/groups"), ("PUT", "/users/nobody/password"), ("POST", "/explain"),
))  # fmt: skip


@hypothesis_settings(max_examples=250)
@given(way=WAYS, body=st.dictionaries(MEMBERS, JSON, max_size=5) | JSON)
async def test_no_body_makes_the_service_fail(world: World, way: tuple[str, str], body: Any) -> None:
    """Whatever JSON is sent, the answer is a success or a problem of the caller's."""
    await world.client.post(f"{API}/projects", json={"name": "acme"}, auth=AUTH)
    method, path = way
    headers = {"content-type": "application/json"}
    content = json.dumps(body).encode()
    answer = await world.client.request(method, API + path, content=content, headers=headers, auth=AUTH)
    if answer.status_code >= 300:
        check_problem(answer)
