"""What the HTTP faces share: who really sent a request, what it presents, and plain answers."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

from authsvc.core.presented import NameAndSecret, NothingPresented, Presented, Unreadable
from authsvc.core.principal import Address, Network

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

MAX_AGENT = 256


def header(headers: Headers, name: bytes) -> str | None:
    """Return the value of the first header of this lower-case name."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None


def agent_of(headers: Headers) -> str | None:
    """Return what the client says it is, cut and without control characters."""
    agent = header(headers, b"user-agent")
    return None if agent is None else printable(agent, MAX_AGENT)


def printable(text: str, most: int) -> str:
    """Return `text` cut to `most` characters, without those that would forge or break a line."""
    return text[:most] if text.isprintable() else "".join(c for c in text[:most] if c.isprintable())


def addresses_of(scope: Scope, trusted: Sequence[Network]) -> tuple[Address | None, str | None]:
    """Return the client's address, and the socket's where a trusted proxy stood between.

    Of `X-Forwarded-For` the rightmost address that is no trusted proxy is believed, and only when the socket's is one.
    """
    client = scope.get("client")
    peer = None if client is None else parse_address(client[0])
    if peer is None or not _is_any(peer, trusted):
        return peer, None
    forwarded = [value for key, value in scope["headers"] if key == b"x-forwarded-for"]
    address = peer
    for text in reversed(b",".join(forwarded).decode("latin-1").split(",")):
        hop = parse_address(text.strip())
        if hop is None:
            break
        address = hop
        if not _is_any(hop, trusted):
            break
    return address, str(peer)


@lru_cache(maxsize=16_384)
def parse_address(text: str) -> Address | None:
    """Return the address that `text` writes, an IPv4 one where IPv6 only wraps it; None when it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_any(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def read_authorization(headers: Headers) -> tuple[str, str] | None:
    """Return the scheme in lower case and the rest of the Authorization header, or None; several are one unreadable one."""
    values = [value for key, value in headers if key == b"authorization"]
    if not values:
        return None
    if len(values) > 1:
        return "", ""
    scheme, _, rest = values[0].decode("latin-1").partition(" ")
    return scheme.lower(), rest.strip(" ")


def read_basic(value: str) -> Presented:
    """Return what Basic credentials present (RFC 7617): UTF-8, split at the first colon; `Og==` is nobody (A3.56)."""
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return Unreadable()
    name, colon, secret = text.partition(":")
    if not colon:
        return Unreadable()
    if not name and not secret:
        return NothingPresented()
    return NameAndSecret(name, secret)


async def answer(
    send: Send,
    status: int,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    kind: bytes = b"application/json",
) -> None:
    """Send a whole response."""
    length = str(len(body)).encode()
    start = [(b"content-type", kind), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
