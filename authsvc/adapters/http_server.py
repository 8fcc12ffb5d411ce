"""Running the application on uvicorn, with bounds that it does not have: how large a request's head may be, and how slow."""

import asyncio
import json
import socket

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 48 * 1024
"""Bytes of request line and headers; a token, twice its size allowed, fits many times."""
HEAD_SECONDS = 10.0
DRAIN_SECONDS = 10
MAX_CONNECTIONS = 4096


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that refuses a head which is too large before it is read whole, or does not come to its end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the first head its time."""
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows the base's type too
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
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

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps({"errors": [{"code": "UNSUPPORTED", "message": message, "detail": None}]}).encode()
        head = (
            f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        )
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()


def run_worker(app: str, descriptor: int, *, tls_cert: str | None, tls_key: str | None) -> None:
    """Serve the application that the import string `app` makes, on an inherited socket, until SIGTERM."""
    config = uvicorn.Config(
        app,
        factory=True,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who a client is, is decided in faces/http.py, from TRUSTED_PROXIES alone
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    # Not as `fd`: uvicorn takes that for a Unix socket, so connections lack TCP_NODELAY and answers wait 40 ms for an ACK.
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])
