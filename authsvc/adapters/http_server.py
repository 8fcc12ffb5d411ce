"""Running the application on uvicorn, with bounds that it does not have: on a request's head, and on one client's connections."""

import asyncio
import json
import os
import resource
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Network = IPv4Network | IPv6Network

MAX_HEAD = 48 * 1024
"""Bytes of request line and headers; a token, twice its size allowed, fits many times."""
HEAD_SECONDS = 10.0
DRAIN_SECONDS = 10
LAST_SECONDS = 5.0
"""In which a connection that waits may still ask once when the worker is told to stop: its request may be on its way.

Whoever asks as it is closed gets no answer, and HTTP has no way to tell him before. So connections that are in use are outwaited:
a client that asks twice a second pauses for a second once in seven times, for five once in 20,000.
"""
MAX_CONNECTIONS = 4096
"""Of a worker, as long as it may open so many files and `SPARE_FILES` besides."""
MAX_OF_ONE_PEER = 512
SPARE_FILES = 128
"""For the database, the metrics and the keys."""
FULL = 503
RETRY_SECONDS = 2


@dataclass(slots=True)
class Peers:
    """How many connections there are, and how many from each address, one IPv6 network of /64 being one.

    Those from trusted proxies and Unix sockets, which stand for many, count among all only.
    """

    trusted: Sequence[Network] = ()
    most_of_one: int = MAX_OF_ONE_PEER
    most: int = MAX_CONNECTIONS
    _all: int = 0
    _of: Counter[Network] = field(default_factory=Counter)

    def arrive(self, host: str | None) -> Network | None:
        """Count a connection until `leave`, which is to be given what this returns."""
        self._all += 1
        peer = _peer_of(host, self.trusted)
        if peer is not None:
            self._of[peer] += 1
        return peer

    def are_too_many(self, peer: Network | None) -> bool:
        """Say whether there are more connections than may be, of this peer or in all."""
        return self._all > self.most or (peer is not None and self._of[peer] > self.most_of_one)

    def leave(self, peer: Network | None) -> None:
        """Count one connection less."""
        self._all -= 1
        if peer is not None:
            self._of[peer] -= 1
            if not self._of[peer]:
                del self._of[peer]


def _peer_of(host: str | None, trusted: Sequence[Network]) -> Network | None:
    """Return what connections from `host` are counted under, None for nothing."""
    try:
        address = ip_address("" if host is None else host.partition("%")[0])
    except ValueError:  # a Unix socket's
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in trusted):
        return None
    return (
        ip_network((address, 64), strict=False) if isinstance(address, IPv6Address) else ip_network(address)
    )


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that refuses a head which is too large before it is read whole, or does not come to its end.

    A connection beyond what one peer may have, or all of them, is answered 503 before it has asked.
    """

    def __init__(self, *args: Any, peers: Peers, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._peers = peers
        self._peer: Network | None = None
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and give the first head its time."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows the base's type too
        self._peer = self._peers.arrive(None if self.client is None else self.client[0])
        if self._peers.are_too_many(self._peer):
            self._refuse(FULL, "too many connections: wait, then try again")
        else:
            self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no longer, and stop the clock."""
        self._peers.leave(self._peer)
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what has come of a head that is not complete yet, and give it its time."""
        super().data_received(data)
        if self._head_bytes < 0 or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD:
            self._refuse(431, "the request's headers are too large")
        elif self._head_timer is None:
            self._start_clock()

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting: bodies have bounds of their own, held where they are read."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD:
            raise httptools.HttpParserError
        self._head_bytes = -1
        self._stop_clock()
        super().on_headers_complete()
        if self._is_last:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close after the next answer; uvicorn would cut off a request that is being sent on a connection that waits."""
        self._is_last = True
        if self._is_idle():
            self.loop.call_later(LAST_SECONDS, self._end_if_idle)
        else:
            self.cycle.keep_alive = False

    def _is_idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _end_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _start_clock(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or too large, as JSON."""
        self._refuse(400, msg)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self._refuse(408, "the request did not come to its end")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start a request; where uvicorn, being full, would answer in plain text, answer as everything else does."""
        if app is not self.app:
            self._refuse(FULL, "too many requests at once: wait, then try again")
        else:
            super()._start_asgi_task(cycle, app)

    def _refuse(self, status: int, message: str) -> None:
        code, more = (
            ("UNAVAILABLE", f"retry-after: {RETRY_SECONDS}\r\n") if status == FULL else ("UNSUPPORTED", "")
        )
        body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()
        head = (
            f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        )
        self.transport.write(f"{head}{more}connection: close\r\n\r\n".encode() + body)
        self.transport.close()


def make_room() -> int:
    """Let this process open as many files as it may, each connection being one, and return how many connections to have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return MAX_CONNECTIONS if most == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, most - SPARE_FILES)


class _Server(uvicorn.Server):
    """Says on a pipe when it accepts connections."""

    def __init__(self, config: uvicorn.Config, ready: int | None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell who waits for it, if he still does."""
        await super().startup(sockets)
        if self._ready is not None and self.started:
            with suppress(BrokenPipeError):
                os.write(self._ready, b"+")
            os.close(self._ready)


def run_worker(
    app: str,
    descriptor: int,
    *,
    ready: int | None = None,
    tls_cert: str | None,
    tls_key: str | None,
    trusted: Sequence[Network] = (),
) -> None:
    """Serve the application that the import string `app` makes, on an inherited socket, until SIGTERM.

    `ready` is a file descriptor that is written to once connections are accepted.
    Proxies in `trusted` may have any number of connections: theirs are those of many.
    """
    room = make_room()
    config = uvicorn.Config(
        app,
        factory=True,
        loop="uvloop",
        http=partial(BoundedProtocol, peers=Peers(trusted, most=room)),  # type: ignore[arg-type]  # uvicorn only calls it
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who a client is, is decided in faces/http.py, from TRUSTED_PROXIES alone
        # Requests outlive connections that are dropped; uvicorn counts both, and connections have their bound already.
        limit_concurrency=2 * room,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    # Not as `fd`: uvicorn takes that for a Unix socket, so connections lack TCP_NODELAY and answers wait 40 ms for an ACK.
    _Server(config, ready).run(sockets=[socket.socket(fileno=descriptor)])
