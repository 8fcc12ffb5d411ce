"""Token protocol A1: endpoint, transport and HTTP behaviour."""

import asyncio
import gzip
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest

from authsvc.adapters.passwords import PasswordHasher
from authsvc.config import read_settings
from authsvc.core.errors import StartupError
from authsvc.faces import token
from tests.faces.conftest import MOST_CONNECTIONS
from tests.faces.realm import ALICE, CAROL, FORM, Realm, assert_error, basic, body_of
from tests.faces.wire import Wire
from tests.world import SERVICE, password_of

ALICE_FORM = f"grant_type=password&username=alice&password={ALICE[1]}&service={SERVICE}&client_id=test"
ALICE_PUSH = ALICE_FORM + "&scope=repository:acme/app:pull,push"
GRANTED = [("repository", "acme/app", ["pull", "push"])]


def request_bytes(
    line: str, headers: dict[str, str] | None = None, body: bytes = b"", *, host: str = "auth.test"
) -> bytes:
    """Return a request as it stands on the wire."""
    fields = {"Host": host, **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{line} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def chunks(body: bytes, size: int) -> list[bytes]:
    """Return a body in HTTP/1.1 chunks, with the last."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return [b"%x\r\n%s\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"]


@pytest.mark.item(1, 8)
async def test_get_issues_a_token(realm: Realm) -> None:
    """GET with service and scope answers exactly 200 with a token that the registry accepts."""
    response = await realm.ask("repository:acme/app:pull,push", by=ALICE)
    assert response.status_code == 200
    assert await realm.access(response) == GRANTED


@pytest.mark.item(2, 3, 8)
@pytest.mark.parametrize(
    "kind", [FORM, f"{FORM}; charset=utf-8", f"{FORM};charset=UTF-8", "Application/X-WWW-Form-URLencoded"]
)
async def test_post_issues_a_token_whatever_its_media_type_carries(realm: Realm, kind: str) -> None:
    """A form on the same URL answers 200, with or without parameters of its media type, in any case."""
    response = await realm.post(ALICE_PUSH, kind=kind)
    assert response.status_code == 200
    assert await realm.access(response) == GRANTED


@pytest.mark.item(4)
async def test_a_chunked_form_without_a_length_is_read(realm: Realm, real_server: Wire) -> None:
    """A form in chunks of any size, in packets of their own, gets its token, as skopeo sends it."""
    headers = {"Content-Type": FORM, "Transfer-Encoding": "chunked"}
    for size in (7, 10_000):
        answer = await real_server.ask(
            request_bytes("POST /token", headers), *chunks(ALICE_PUSH.encode(), size)
        )
        assert answer.status == 200
        token_response = httpx.Response(200, content=answer.body)
        assert await realm.access(token_response) == GRANTED


@pytest.mark.item(4, 94)
async def test_a_chunked_form_is_bounded_while_it_streams(real_server: Wire) -> None:
    """A body without a length is refused once it is too large, before its end has come, and the connection closes."""
    headers = {"Content-Type": FORM, "Transfer-Encoding": "chunked"}
    flood = chunks(b"x=" + b"a" * (token.MAX_FORM + 10_000), 8192)[:-1]
    async with real_server.connect() as connection:
        await connection.send(request_bytes("POST /token", headers), *flood)
        answer = await connection.answer()
        assert answer.status == 413
        assert answer.json()["errors"][0]["code"] == "UNSUPPORTED"
        assert answer.headers["connection"] == "close"


@pytest.mark.item(4)
async def test_a_stated_length_is_bounded_as_well(realm: Realm) -> None:
    """A form with a length is held to the same bound."""
    assert_error(await realm.post("x=" + "a" * token.MAX_FORM), 413)


@pytest.mark.item(5)
async def test_a_post_to_a_realm_with_a_query_works(realm: Realm) -> None:
    """What a configured realm carries in its query does not disturb the form."""
    response = await realm.post(ALICE_PUSH, query="?tenant=t1&tenant=t2")
    assert await realm.access(response) == GRANTED


@pytest.mark.item(6)
async def test_credentials_in_a_query_are_nobodys(realm: Realm) -> None:
    """A password or refresh token in the query never says who asks, on GET or POST, and does not get there by accident."""
    refresh_token = await realm.identity_token()
    for secrets in (
        f"grant_type=password&username=alice&password={ALICE[1]}",
        f"grant_type=refresh_token&refresh_token={refresh_token}",
    ):
        anonymous = await realm.get(f"service={SERVICE}&scope=repository:acme/app:pull&{secrets}")
        claims = await realm.claims(anonymous)
        assert (claims["sub"], claims["access"]) == ("", [])
        assert_error(await realm.post(f"service={SERVICE}", query=f"?{secrets}"), 400)
        half = secrets.partition("&")
        assert_error(await realm.post(f"service={SERVICE}&{half[0]}", query=f"?{half[2]}"), 400)


@pytest.mark.item(6)
async def test_the_form_wins_over_the_query(realm: Realm) -> None:
    """Where both have a parameter, the form's counts; what the form lacks may stand in the query."""
    both = await realm.post(ALICE_PUSH, query="?service=nowhere.test&scope=repository:beta/app:pull")
    assert await realm.access(both) == GRANTED
    only_query = await realm.post(ALICE_FORM, query="?scope=repository:beta/app:pull")
    assert await realm.access(only_query) == [("repository", "beta/app", ["pull"])]


@pytest.mark.item(7, 14)
@pytest.mark.parametrize("path", ["/token", "/token/", "/auth", "/auth/", "/auth/token", "/auth/token/"])
async def test_every_spelling_answers_and_none_redirects(realm: Realm, path: str) -> None:
    """With and without a slash at its end, and where autoredirect expects it, the endpoint answers GET and POST itself."""
    got = await realm.client.get(path, params={"service": SERVICE}, headers=basic(*ALICE))
    posted = await realm.client.post(path, content=ALICE_PUSH, headers={"content-type": FORM})
    refused = await realm.client.post(path, content="service=x", headers={"content-type": FORM})
    assert [got.status_code, posted.status_code, refused.status_code] == [200, 200, 400]
    assert not any("location" in answer.headers for answer in (got, posted, refused))
    assert (await realm.claims(got))["sub"] == "alice"


@pytest.mark.item(9, 11)
async def test_a_token_response_is_one_small_uncacheable_json_object(realm: Realm) -> None:
    """Success is one JSON object of at most 64 KiB that nothing may store."""
    scopes = [f"repository:acme/team/application-{number}:pull,push" for number in range(12)]
    for response in (await realm.ask(*scopes, by=ALICE), await realm.post(ALICE_PUSH), await realm.get()):
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["pragma"] == "no-cache"
        assert len(response.content) <= 64 * 1024
        assert isinstance(json.loads(response.content), dict)


@pytest.mark.item(10)
async def test_what_never_reaches_the_endpoint_is_json_too(realm: Realm, real_server: Wire) -> None:
    """A wrong path, a wrong method and a request that is no HTTP are answered in JSON, never as a page."""
    wrong_path = await realm.client.get("/tokens")
    wrong_method = await realm.client.delete("/token")
    assert (wrong_path.status_code, wrong_method.status_code) == (404, 405)
    for response in (wrong_path, wrong_method):
        assert "json" in response.headers["content-type"]
        assert isinstance(body_of(response), dict)
    for garbage in (b"\x16\x03\x01 hello\r\n\r\n", b"GET /token HTTP/1.1\r\nno colon\r\n\r\n"):
        answer = await real_server.ask(garbage)
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["errors"][0]["code"] == "UNSUPPORTED"


@pytest.mark.item(10)
async def test_one_address_does_not_take_every_connection(real_server: Wire) -> None:
    """A connection too many of one address is told so in JSON and closed; one that ends makes room for another."""
    async with AsyncExitStack() as stack:
        for _ in range(MOST_CONNECTIONS - 1):
            await stack.enter_async_context(real_server.connect())
        async with real_server.connect() as last, real_server.connect() as excess:
            refused = await excess.answer()
            assert (refused.status, refused.headers["retry-after"]) == (503, "2")
            assert refused.json()["errors"][0]["code"] == "UNAVAILABLE"
            assert await excess.is_closed()
            await last.send(request_bytes(f"GET /token?service={SERVICE}"))
            assert (await last.answer()).status == 200
        assert (await real_server.ask(request_bytes(f"GET /token?service={SERVICE}"))).status == 200


@pytest.mark.item(10)
async def test_a_full_server_says_so_in_json(full_server: Wire) -> None:
    """What uvicorn would answer in plain text when it has too many requests is JSON that says when to come again."""
    answer = await full_server.ask(request_bytes(f"GET /token?service={SERVICE}"))
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"


@pytest.mark.item(10, 42)
async def test_a_head_that_is_too_large_is_refused_in_json(real_server: Wire) -> None:
    """Headers beyond the server's bound are answered in the registry's error form."""
    answer = await real_server.ask(request_bytes("GET /token", {"X-Large": "a" * 60_000}))
    assert answer.status in (400, 431)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["errors"][0]["message"]


class _StuckHasher(PasswordHasher):
    """A hasher that is never done."""

    async def verify(self, password: str, stored: str | None) -> bool:
        """Wait for a cancellation."""
        return await asyncio.Event().wait()


@pytest.mark.item(12, 68)
async def test_a_request_that_takes_too_long_is_answered(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a request waits for, its own deadline ends it with 503; the deadline is within what notary waits."""
    assert token.DEADLINE <= 5
    monkeypatch.setattr(token, "DEADLINE", 0.02)
    hasher = _StuckHasher(slots=1)
    async with realm.over(replace(realm.deps, hasher=hasher)) as client:
        stuck = await client.get("/token", params={"service": SERVICE}, headers=basic("nobody-here", "x"))
    hasher.close()
    assert_error(stuck, 503)
    assert int(stuck.headers["retry-after"]) >= 1


@pytest.mark.item(13)
async def test_head_and_options_mint_nothing(realm: Realm, real_server: Wire) -> None:
    """What load balancers and browsers probe with is answered without a token and without an event."""
    before = await realm.count_events()
    query = {"service": SERVICE, "scope": "repository:open/app:pull"}
    head = await realm.client.head("/token", params=query, headers=basic(*ALICE))
    options = await realm.client.options("/token", params=query)
    put = await realm.client.put("/token", params=query, headers=basic(*ALICE))
    assert [head.status_code, options.status_code, put.status_code] == [200, 204, 405]
    assert (head.content, options.content) == (b"", b"")
    async with real_server.connect() as connection:
        await connection.send(request_bytes(f"HEAD /token?service={SERVICE}"))
        assert (await connection.answer(bodiless=True)).status == 200
        await connection.send(request_bytes("OPTIONS /token"))
        assert (await connection.answer(bodiless=True)).status == 204
    assert await realm.count_events() == before


@pytest.mark.item(14)
def test_a_realm_under_a_path_is_told_as_it_is_reached() -> None:
    """Behind a proxy that adds a path, and at an address of its own, the realm that registries are told is absolute."""
    behind = read_settings({"AUTHSVC_PUBLIC_URL": "https://example.test/registry/"})
    assert behind.realm == "https://example.test/registry/token"
    assert read_settings({}).realm == "http://127.0.0.1:5001/token"


@pytest.mark.item(15, 16)
@pytest.mark.parametrize(
    "url",
    ["/token", "auth.example.test", "ftp://auth.test", "https://", "https://auth.test/?tenant=1",
     "https://auth.test/#x", "https://user:secret@auth.test"],
)  # fmt: skip
def test_a_realm_that_clients_mishandle_is_refused_at_start(url: str) -> None:
    """A public URL that is relative, or carries a query, a fragment or credentials, stops the service with what to do."""
    with pytest.raises(StartupError, match="PUBLIC_URL") as refused:
        read_settings({"AUTHSVC_PUBLIC_URL": url})
    assert "secret" not in str(refused.value)


@pytest.mark.item(17)
async def test_nothing_is_assumed_of_a_client(real_server: Wire) -> None:
    """Without User-Agent, Accept or anything else, and with gzip accepted, the answer can be read."""
    bare = await real_server.ask(request_bytes(f"GET /token?service={SERVICE}"))
    assert (bare.status, bare.json()["expires_in"]) == (200, 300)
    headers = {"Accept-Encoding": "gzip", "Accept": "text/html", "User-Agent": "\xff"}
    zipped = await real_server.ask(request_bytes(f"GET /token?service={SERVICE}", headers))
    body = gzip.decompress(zipped.body) if zipped.headers.get("content-encoding") else zipped.body
    assert json.loads(body)["token"]


@pytest.mark.item(17, 54)
async def test_names_of_headers_and_schemes_have_no_case(realm: Realm, real_server: Wire) -> None:
    """However header names and the scheme are written, the credentials are read."""
    value = basic(*ALICE)["authorization"].replace("Basic", "bAsIc")
    for name in ("AUTHORIZATION", "authorization", "AuThOrIzAtIoN"):
        answer = await real_server.ask(request_bytes(f"GET /token?service={SERVICE}", {name: value}))
        claims = await realm.claims(httpx.Response(answer.status, content=answer.body))
        assert claims["sub"] == "alice"


@pytest.mark.item(8, 17)
async def test_one_connection_serves_many_clients_apart(realm: Realm, real_server: Wire) -> None:
    """Requests on one kept connection, errors among them, do not leak into one another."""
    async with real_server.connect() as connection:
        subjects = []
        for headers in (basic(*ALICE), {}, basic("alice", "wrong"), basic(*CAROL)):
            await connection.send(request_bytes(f"GET /token?service={SERVICE}", headers))
            answer = await connection.answer()
            if answer.status == 200:
                subjects.append((await realm.claims(httpx.Response(200, content=answer.body)))["sub"])
            else:
                subjects.append(answer.status)
    assert subjects == ["alice", "", 401, "carol"]


@pytest.mark.item(18)
async def test_unknown_parameters_are_ignored(realm: Realm) -> None:
    """Extras of vendors, known from nowhere, change nothing on GET or POST."""
    extras = f"ns=docker.io&x=&y&%20=1&Service=other&{quote('ü')}=1&={password_of('x')}"
    assert (await realm.claims(await realm.get(f"service={SERVICE}&{extras}")))["access"] == []
    assert await realm.access(await realm.post(f"{ALICE_PUSH}&{extras}", query=f"?{extras}")) == GRANTED
