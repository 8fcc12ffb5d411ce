"""The realm: GET and POST on the token endpoint, by the registry token protocol (docs/content/spec/auth/{token,oauth}.md).

A plain ASGI callable, since a framework's route would cost more than everything the request is for.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import assert_never
from urllib.parse import parse_qsl

import orjson
import structlog

from authsvc.core.credential import CredentialKind
from authsvc.core.errors import (
    AuthsvcError,
    ConflictError,
    Fault,
    InvalidInputError,
    ThrottledError,
    UnavailableError,
    UnknownServiceError,
)
from authsvc.core.names import is_same_user
from authsvc.core.presented import BareSecret, NameAndSecret, NothingPresented, Presented, Unreadable
from authsvc.core.principal import Network
from authsvc.faces.deadline import Deadline
from authsvc.faces.http import (
    Receive,
    Scope,
    Send,
    addresses_of,
    agent_of,
    answer,
    header,
    printable,
    read_authorization,
    read_basic,
)
from authsvc.operations.authenticate import IDENTITY_TOKEN_USER, Refused
from authsvc.operations.deps import Deps
from authsvc.operations.issue_token import issue_token
from authsvc.operations.token_request import IssuedToken, TokenRequest

PATHS = frozenset({"/auth", "/auth/", "/token", "/token/", "/auth/token", "/auth/token/"})
"""Every spelling answers directly: a redirect would turn a client's POST into an anonymous GET (token-protocol A1.7, 14)."""
DEADLINE = 5.0
MAX_QUERY = 32 * 1024
SHORT_QUERY = 512
MAX_FORM = 64 * 1024
MAX_FIELDS = 250
MAX_CLIENT = 255

_FORM = "application/x-www-form-urlencoded"
_ONCE = frozenset({"service", "account"})
_JSON_ONLY = [(b"cache-control", b"no-store"), (b"pragma", b"no-cache")]
_CHALLENGE = (b"www-authenticate", b'Basic realm="authsvc", charset="UTF-8"')
_NAMELESS = frozenset({"", IDENTITY_TOKEN_USER})
_REFRESH = frozenset({CredentialKind.REFRESH})

_log = structlog.get_logger()


class _TooLargeError(Exception):
    """The form is over its bound; the rest of it was not read."""


class _UnsupportedError(Exception):
    """The body is no form."""


class _OAuthError(Exception):
    """A grant request that RFC 6749 section 5.2 has a name for."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class _Fields:
    """A decoded query or form: each name with its values in order."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            self._values[name] = (*self._values.get(name, ()), value)

    def all(self, name: str) -> tuple[str, ...]:
        return self._values.get(name, ())

    def one(self, name: str) -> str | None:
        """Return the value of a field; several must be the same where the answer hangs on it (A2.22)."""
        values = self._values.get(name)
        if values is None:
            return None
        if name in _ONCE and len(set(values)) > 1:
            raise InvalidInputError(Fault(name, "given several times with different values"))
        return values[0]


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """See the module. `trusted` are the proxies whose X-Forwarded-For is believed; `observe` hears results and seconds."""

    deps: Deps
    trusted: Sequence[Network]
    observe: Callable[[str, float], None]
    deadline: Deadline = field(default_factory=lambda: Deadline(DEADLINE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request on one of PATHS."""
        method = scope["method"]
        if method in ("GET", "POST"):
            await self._issue(scope, receive, send, posted=method == "POST")
        elif method == "HEAD":
            await answer(send, 200, b"", _JSON_ONLY)
        elif method == "OPTIONS":
            await answer(send, 204, b"", [(b"allow", b"GET, POST")])
        else:
            body = _error_body("UNSUPPORTED", "use GET or POST")
            await answer(send, 405, body, [(b"allow", b"GET, POST"), *_JSON_ONLY])

    async def _issue(self, scope: Scope, receive: Receive, send: Send, *, posted: bool) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            result = await self.deadline.hold(self._decide(scope, receive, posted=posted))
        except Exception as error:  # noqa: BLE001 - the face's one place where every error becomes an answer
            label = await _answer_error(send, error, posted=posted)
        else:
            label = await _answer_result(send, result, posted=posted)
        self.observe(label, clock() - started)

    async def _decide(self, scope: Scope, receive: Receive, *, posted: bool) -> IssuedToken | Refused:
        request = await self._read(scope, receive, posted=posted)
        return await issue_token(self.deps, request)

    async def _read(self, scope: Scope, receive: Receive, *, posted: bool) -> TokenRequest:
        """Return the request as the operation takes it; on POST the form's values win, and the query holds no secrets."""
        query = _parse_query(scope["query_string"])
        fields = _parse(await _read_form(scope, receive)) if posted else query
        headers = scope["headers"]
        presented = _read_post(scope, fields) if posted else _read_get(scope, query)
        offline = fields.one("access_type") == "offline" if posted else query.one("offline_token") == "true"
        address, peer = addresses_of(scope, self.trusted)
        service = fields.one("service")
        client = fields.one("client_id")
        return TokenRequest(
            service=(query.one("service") or "") if service is None else service,
            scopes=fields.all("scope") or query.all("scope"),
            presented=presented,
            address=address,
            peer=peer,
            agent=agent_of(headers),
            client=None if client is None else printable(client, MAX_CLIENT),
            offline=offline,
        )


def _parse_query(data: bytes) -> _Fields:
    if len(data) <= SHORT_QUERY:
        return _parse_short(data)
    if len(data) > MAX_QUERY:
        raise InvalidInputError(Fault("query", f"more than {MAX_QUERY} bytes"))
    return _parse(data)


@lru_cache(maxsize=4096)
def _parse_short(data: bytes) -> _Fields:
    """Parse a query that may well come again, as nodes ask for the same images; no secret is ever read from a query."""
    return _parse(data)


def _parse(data: bytes) -> _Fields:
    """Return the fields of a query or form; `+` is a space and `%2B` a plus (A2.52)."""
    try:
        pairs = parse_qsl(data.decode(errors="replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidInputError(Fault("query", f"more than {MAX_FIELDS} parameters")) from error
    return _Fields(pairs)


async def _read_form(scope: Scope, receive: Receive) -> bytes:
    """Return the body of a POST; its bound is held while it streams, as chunked requests state no length (A1.4)."""
    kind = (header(scope["headers"], b"content-type") or "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise _UnsupportedError
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInputError(Fault("body", "ended early"))
        body += message.get("body", b"")
        if len(body) > MAX_FORM:
            raise _TooLargeError
        if not message.get("more_body"):
            return bytes(body)


def _read_get(scope: Scope, query: _Fields) -> Presented:
    """Return what a GET presents: Basic or nothing; credentials in the query are ignored (A1.6)."""
    authorization = read_authorization(scope["headers"])
    if authorization is None:
        return NothingPresented()
    scheme, value = authorization
    presented = read_basic(value) if scheme == "basic" else Unreadable()
    account = query.one("account")
    if isinstance(presented, NameAndSecret) and account and presented.name not in _NAMELESS:
        # Informational only, and a contradiction is nobody's honest request (A2.43).
        return presented if is_same_user(account, presented.name) else Unreadable()
    return presented


def _read_post(scope: Scope, form: _Fields) -> Presented:
    """Return what a POST presents: its grant. A scheme that is not taken here is refused, and not overlooked (A3.61)."""
    presented = _read_grant(form)
    authorization = read_authorization(scope["headers"])
    return presented if authorization is None or authorization[0] == "basic" else Unreadable()


def _read_grant(form: _Fields) -> Presented:
    """Return what a POST presents, by its grant (RFC 6749 sections 4.3 and 6, as the registry protocol uses them)."""
    match form.one("grant_type"):
        case "password":
            name, password = form.one("username"), form.one("password")
            if name is None or password is None:
                raise _OAuthError("invalid_request", "grant_type=password needs username and password")
            return NameAndSecret(name, password)
        case "refresh_token":
            token = form.one("refresh_token")
            if token is None:
                raise _OAuthError("invalid_request", "grant_type=refresh_token needs refresh_token")
            return BareSecret(token, _REFRESH)
        case None | "":
            raise _OAuthError("invalid_request", "grant_type is missing: send password or refresh_token")
        case _:
            raise _OAuthError("unsupported_grant_type", "grant_type must be password or refresh_token")


async def _answer_result(send: Send, result: IssuedToken | Refused, *, posted: bool) -> str:
    match result:
        case IssuedToken():
            await answer(send, 200, _token_body(result, posted=posted), _JSON_ONLY)
            return "issued"
        case Refused():
            body = _error_body(
                "UNAUTHORIZED", "incorrect user name or password, or an expired credential: log in again",
                oauth="invalid_grant" if posted else None,
            )  # fmt: skip
            await answer(send, 401, body, [_CHALLENGE, *_JSON_ONLY])
            return "refused"
    assert_never(result)


def _token_body(issued: IssuedToken, *, posted: bool) -> bytes:
    """Return the response (A5): both names of the token, whole seconds, UTC with `Z`."""
    issued_at = int(issued.issued_at.timestamp())
    body: dict[str, str | int] = {
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": int(issued.expires_at.timestamp()) - issued_at,
        "issued_at": _format_second(issued_at),
    }
    if posted:
        body["token_type"] = "Bearer"  # noqa: S105 - RFC 6749's word
        body["scope"] = " ".join(issued.granted)
    if issued.refresh_token is not None:
        body["refresh_token"] = issued.refresh_token
    return orjson.dumps(body)


@lru_cache(maxsize=16)
def _format_second(since_1970: int) -> str:
    """Return a time as RFC 3339 writes it; a second's many tokens have the same."""
    return datetime.fromtimestamp(since_1970, UTC).isoformat().replace("+00:00", "Z")


async def _answer_error(send: Send, error: Exception, *, posted: bool) -> str:
    """Answer an error in the registry's form, and return its name for the metrics; unknown ones say nothing of themselves."""
    status, code, message, oauth, label = _describe(error)
    headers = list(_JSON_ONLY)
    if isinstance(error, ThrottledError | UnavailableError):
        headers.append((b"retry-after", str(error.retry_after).encode()))
    elif isinstance(error, TimeoutError | ConflictError):
        headers.append((b"retry-after", b"2"))
    elif isinstance(error, _TooLargeError):
        headers.append((b"connection", b"close"))
    elif not isinstance(error, AuthsvcError | _OAuthError | _UnsupportedError):
        _log.error("token.failed", error=type(error).__name__, exc_info=error)
    await answer(send, status, _error_body(code, message, oauth=oauth if posted else None), headers)
    return label


def _describe(error: Exception) -> tuple[int, str, str, str, str]:  # noqa: PLR0911 - a table, one row a cause
    """Return status, registry code, message, OAuth name and metrics label: the realm's one table of causes (A7.96)."""
    match error:
        case _OAuthError():
            return 400, "UNSUPPORTED", str(error), error.name, "invalid"
        case UnknownServiceError() | InvalidInputError():
            return 400, "UNSUPPORTED", str(error), "invalid_request", "invalid"
        case _TooLargeError():
            return 413, "UNSUPPORTED", "the request is too large", "invalid_request", "invalid"
        case _UnsupportedError():
            return 415, "UNSUPPORTED", f"send the form as {_FORM}", "invalid_request", "invalid"
        case ThrottledError():
            return 429, "TOOMANYREQUESTS", str(error), "slow_down", "throttled"
        case UnavailableError() | TimeoutError() | ConflictError():
            message = "the service cannot decide now: try again in a moment"
            return 503, "UNAVAILABLE", message, "temporarily_unavailable", "unavailable"
        case _:
            return 500, "UNKNOWN", "internal error", "server_error", "failed"


def _error_body(code: str, message: str, *, oauth: str | None = None) -> bytes:
    """Return the error form that docker prints (A7.94), with OAuth's members beside it on POST (A7.95)."""
    body: dict[str, object] = {"errors": [{"code": code, "message": message, "detail": None}]}
    if oauth is not None:
        body |= {"error": oauth, "error_description": message}
    return orjson.dumps(body)
