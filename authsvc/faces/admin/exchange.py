"""What every route of the admin API does: who asks, which page, which version, and how things are answered."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from authsvc.core.credential import CredentialKind
from authsvc.core.errors import Fault, InvalidInputError, NotFoundError
from authsvc.core.presented import BareSecret, NothingPresented, Presented, Unreadable
from authsvc.faces.admin.queries import PageQuery
from authsvc.faces.http import addresses_of, agent_of, read_authorization, read_basic
from authsvc.operations.act import Actor, identify
from authsvc.operations.deps import Deps
from authsvc.operations.page import Asked, Page, Versions

_T = TypeVar("_T")

_BEARER_KINDS = frozenset({CredentialKind.PERSONAL, CredentialKind.ROBOT})
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_TAG_BYTES = 6
_PAGING = frozenset({"limit", "cursor"})
_VERSION = re.compile("[0-9]{1,18}")


def deps_of(request: Request) -> Deps:
    """Return what operations work with."""
    deps: Deps = request.app.state.deps
    return deps


async def actor_of(request: Request) -> Actor:
    """Return who asks, by Basic (a password or machine credential) or Bearer (a machine credential)."""
    if "\0" in request.scope["path"]:
        raise NotFoundError("nothing has such a name")  # and the database could not even be asked
    address, peer = addresses_of(request.scope, request.app.state.trusted)
    headers = request.scope["headers"]
    presented = _presented(read_authorization(headers))
    return await identify(deps_of(request), presented, address=address, peer=peer, agent=agent_of(headers))


def _presented(authorization: tuple[str, str] | None) -> Presented:
    match authorization:
        case None:
            return NothingPresented()
        case "basic", value:
            return read_basic(value)
        case "bearer", value:
            return BareSecret(value, _BEARER_KINDS)
        case _:
            return Unreadable()


def asked_of(request: Request, query: PageQuery) -> Asked:
    """Return which page of a list is asked for, and of which of its things."""
    where = {field: value for field, value in query if field not in _PAGING and value is not None}
    return Asked("" if query.cursor is None else _read_cursor(request, query.cursor), query.limit, where)


def asked_page_of(request: Request, query: Annotated[PageQuery, Query()]) -> Asked:
    """Return which page is asked for of a list that has no filters, or reads them itself."""
    return asked_of(request, query)


def versions_of(
    if_match: Annotated[
        str | None, Header(max_length=1024, description="The ETag you have seen, or `*`.")
    ] = None,
) -> Versions:
    """Return the versions that `If-Match` names (RFC 9110 section 13.1.1); one that we never gave matches nothing."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [tag.strip().strip('"') for tag in if_match.split(",")]
    return frozenset(int(tag) if _VERSION.fullmatch(tag) else -1 for tag in tags)


ActorDep = Annotated[Actor, Depends(actor_of)]
DepsDep = Annotated[Deps, Depends(deps_of)]
AskedDep = Annotated[Asked, Depends(asked_page_of)]
VersionsDep = Annotated[Versions, Depends(versions_of)]


def answer_one(body: Mapping[str, object], *, version: int | None = None, status: int = 200) -> JSONResponse:
    """Return one thing, with its version as a strong ETag."""
    headers = _HEADERS if version is None else {**_HEADERS, "etag": f'"{version}"'}
    return JSONResponse(body, status, headers)


def answer_created(
    request: Request, key: str, body: Mapping[str, object], *, version: int = 1
) -> JSONResponse:
    """Return what a list has a new one of, and where it is (RFC 9110 section 10.2.2)."""
    answer = answer_one(body, version=version, status=201)
    answer.headers["location"] = f"{quote(request.url.path)}/{quote(key)}"
    return answer


def answer_nothing() -> Response:
    """Return that it is done."""
    return Response(status_code=204, headers=_HEADERS)


def answer_page(request: Request, page: Page[_T], view: Callable[[_T], Mapping[str, object]]) -> JSONResponse:
    """Return a page with the cursor of the next, in the body and as a `Link` (RFC 8288)."""
    body: dict[str, object] = {"items": [view(item) for item in page.items], "next_cursor": None}
    headers = dict(_HEADERS)
    if page.next_after is not None:
        cursor = _write_cursor(request, page.next_after)
        body["next_cursor"] = cursor
        query = urlencode({**request.query_params, "cursor": cursor})
        headers["link"] = f'<{quote(request.url.path)}?{query}>; rel="next"'
    return JSONResponse(body, headers=headers)


def _write_cursor(request: Request, after: str) -> str:
    """Return the key as an opaque text that holds for this list only, and that nobody can edit unnoticed."""
    data = after.encode()
    return base64.urlsafe_b64encode(_tag(request, data) + data).rstrip(b"=").decode()


def _read_cursor(request: Request, cursor: str) -> str:
    try:
        after = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[_TAG_BYTES:].decode()
    except (binascii.Error, ValueError):
        after = ""
    # Written again and compared whole: the decoder passes over what is no base 64.
    if not after or not hmac.compare_digest(_write_cursor(request, after).encode(), cursor.encode()):
        raise InvalidInputError(Fault("cursor", "is not a next_cursor of this list: begin at the first page"))
    return after


def _tag(request: Request, data: bytes) -> bytes:
    filters = sorted(pair for pair in request.query_params.items() if pair[0] not in _PAGING)
    secret = deps_of(request).digest.digest(f"{request.url.path}?{urlencode(filters)}", purpose="cursor")
    return hashlib.blake2s(data, key=secret, digest_size=_TAG_BYTES).digest()
