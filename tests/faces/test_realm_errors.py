"""Token protocol A7: error responses."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import pytest

from authsvc.adapters.passwords import PasswordHasher
from authsvc.core.errors import ThrottledError, UnavailableError
from authsvc.faces.token import MAX_FORM
from tests.faces.realm import ALICE, FORM, Realm, assert_error, basic, body_of
from tests.world import SERVICE

Asking = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


class FailingHasher(PasswordHasher):
    """Fails as it is told."""

    def __init__(self, error: Exception) -> None:
        super().__init__(slots=1)
        self.error = error

    async def verify(self, password: str, stored: str | None) -> bool:
        """Fail."""
        raise self.error


def get(query: str, headers: dict[str, str] | None = None) -> Asking:
    """Return a GET to make."""
    return lambda client: client.get(f"/token?{query}", headers=headers)


def post(form: str, kind: str | None = FORM) -> Asking:
    """Return a POST to make."""
    headers = {} if kind is None else {"content-type": kind}
    return lambda client: client.post("/token", content=form, headers=headers)


def by(method: str) -> Asking:
    """Return a request with another method to make."""
    return lambda client: client.request(method, f"/token?service={SERVICE}")


WRONG = f"grant_type=password&username=alice&password=no&service={SERVICE}"
REFUSED = [
    pytest.param(get("service=nowhere.test"), 400, None, id="unknown service"),
    pytest.param(get(f"service={SERVICE}&service=x"), 400, None, id="two services"),
    pytest.param(get(f"service={SERVICE}&scope=" + "a+" * 200), 400, None, id="too many scopes"),
    pytest.param(get(f"service={SERVICE}", basic("alice", "no")), 401, None, id="wrong password"),
    pytest.param(get(f"service={SERVICE}", {"authorization": "Bearer x"}), 401, None, id="bearer"),
    pytest.param(post("service=nowhere.test&" + WRONG), 400, "invalid_request", id="post: unknown service"),
    pytest.param(post(f"service={SERVICE}"), 400, "invalid_request", id="post: no grant"),
    pytest.param(post("grant_type=x"), 400, "unsupported_grant_type", id="post: unknown grant"),
    pytest.param(post(WRONG), 401, "invalid_grant", id="post: wrong password"),
    pytest.param(
        post("grant_type=refresh_token&refresh_token=x"), 401, "invalid_grant", id="post: wrong token"
    ),
    pytest.param(post("a" * (MAX_FORM + 1)), 413, "invalid_request", id="post: too large"),
    pytest.param(post("{}", "application/json"), 415, "invalid_request", id="post: json"),
    pytest.param(post("", "multipart/form-data; boundary=x"), 415, "invalid_request", id="post: multipart"),
    pytest.param(post("", None), 415, "invalid_request", id="post: no media type"),
    pytest.param(post("\xff\x00" * 20), 400, "invalid_request", id="post: no text"),
    pytest.param(by("PUT"), 405, None, id="put"),
    pytest.param(by("DELETE"), 405, None, id="delete"),
    pytest.param(by("PATCH"), 405, None, id="patch"),
]
FAILURES = [
    pytest.param(ThrottledError(7), 429, "slow_down", id="throttled"),
    pytest.param(
        UnavailableError("the database at 10.1.2.3 is down"), 503, "temporarily_unavailable", id="down"
    ),
    pytest.param(TimeoutError("10.1.2.3"), 503, "temporarily_unavailable", id="slow"),
    pytest.param(RuntimeError("secret 10.1.2.3"), 500, "server_error", id="defect"),
    pytest.param(UnicodeDecodeError("utf-8", b"secret", 0, 1, "10.1.2.3"), 500, "server_error", id="decoder"),
]


@pytest.mark.item(94, 95, 96, 97, 98, 99, 10)
@pytest.mark.parametrize(("ask", "status", "oauth"), REFUSED)
async def test_every_refusal_has_the_registry_s_form(
    realm: Realm, ask: Asking, status: int, oauth: str | None
) -> None:
    """JSON with one entry of `errors`, of a known code and a short line; on POST OAuth's members stand beside it."""
    response = await ask(realm.client)
    message = assert_error(response, status)["message"]
    body = body_of(response)
    assert body.get("error") == oauth
    assert body.get("error_description") == (None if oauth is None else message)
    assert "alice" not in response.text


@pytest.mark.item(94, 95, 96, 97, 98, 67, 68, 10)
@pytest.mark.parametrize(("error", "status", "oauth"), FAILURES)
async def test_every_failure_has_the_registry_s_form(
    realm: Realm, error: Exception, status: int, oauth: str
) -> None:
    """What fails inside is told in the same form, by cause, with when to come back, and never in its own words."""
    hasher = FailingHasher(error)
    async with realm.over(replace(realm.deps, hasher=hasher)) as client:
        got = await get(f"service={SERVICE}", basic("alice", "unseen-before"))(client)
        posted = await post(WRONG.replace("password=no", "password=unseen-before"))(client)
    hasher.close()
    for response in (got, posted):
        assert_error(response, status)
        assert "10.1.2.3" not in response.text
        assert "secret" not in response.text
        assert ("retry-after" in response.headers) is (status != 500)
    assert (body_of(got).get("error"), body_of(posted)["error"]) == (None, oauth)


@pytest.mark.item(96)
async def test_denied_is_never_needed(realm: Realm) -> None:
    """403 stops containerd and makes docker try six times: what is not permitted is 200, and nothing else is 403."""
    response = await realm.ask("repository:acme/app:delete", "registry:catalog:*", "x:y:z", by=ALICE)
    assert response.status_code == 200


@pytest.mark.item(97)
async def test_what_a_client_sent_is_never_repeated(realm: Realm) -> None:
    """No message quotes a service, a scope, a name or a secret: docker prints messages to terminals and build logs."""
    mark = "zq-mark-7"
    for response in (
        await realm.get(f"service={mark}"),
        await realm.get(f"service={SERVICE}&service={mark}"),
        await realm.get(f"service={SERVICE}&" + "&".join(f"scope={mark}{n}" for n in range(200))),
        await realm.get(headers=basic(mark, mark)),
        await realm.post(f"grant_type={mark}&username={mark}"),
        await realm.refresh(mark),
        await realm.post("x", kind=f"text/{mark}"),
    ):
        assert response.status_code in (400, 401, 415)
        assert mark not in response.text + str(response.headers)


@pytest.mark.item(100)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_405_says_what_is_allowed(realm: Realm, method: str) -> None:
    """The answer to other methods names GET and POST (RFC 9110 section 15.5.6)."""
    for path in ("/token", "/auth/token/"):
        response = await realm.client.request(method, path, headers=basic(*ALICE))
        assert_error(response, 405)
        assert {name.strip() for name in response.headers["allow"].split(",")} >= {"GET", "POST"}


@pytest.mark.item(100)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
async def test_no_other_method_is_405(realm: Realm, method: str) -> None:
    """What clients and load balancers use is offered."""
    response = await realm.client.request(method, "/token", params={"service": SERVICE})
    assert response.status_code != 405


@pytest.mark.item(94)
async def test_errors_at_once_do_not_mix(realm: Realm) -> None:
    """Many different errors at the same time each keep their own form."""
    asked = [
        (get("service=nowhere.test"), 400),
        (post(WRONG), 401),
        (by("PUT"), 405),
        (post("", None), 415),
    ] * 5
    responses = await asyncio.gather(*(ask(realm.client) for ask, _ in asked))
    for response, (_, status) in zip(responses, asked, strict=True):
        assert_error(response, status)
