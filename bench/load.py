"""The load generator: a process that sends one request over and over on kept-alive connections, each as fast as it is answered.

It reads a Load as JSON on standard input, and writes the Tally as JSON on standard output.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

WARM_SECONDS = 0.4
"""Of load that is not counted, while caches and connections warm up."""


@dataclass(frozen=True, slots=True)
class Load:
    """One request (its whole text), to a port of this machine, on so many connections, for so many seconds."""

    port: int
    request: str
    connections: int
    seconds: float


@dataclass(slots=True)
class Tally:
    """Complete responses, those of them that were not 200, and connections that broke; `seconds` is what was measured."""

    responses: int = 0
    refused: int = 0
    broken: int = 0
    seconds: float = 0.0
    example: str = ""


class _Client(asyncio.Protocol):
    """One connection; responses are told apart by their Content-Length alone."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            "asyncio.WriteTransport", transport
        )  # uvloop's own class, which does not say so
        self._send()

    def _send(self) -> None:
        if self._transport is not None:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0 or len(received) < head_end + 4 + _content_length(received[:head_end]):
            self._received = received
            return
        self._received = b""
        self._tally.responses += 1
        if not received.startswith(b"HTTP/1.1 200 "):
            self._tally.refused += 1
            self._tally.example = received[:500].decode("latin-1")
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._tally.broken += 1


def _content_length(head: bytes) -> int:
    at = head.find(b"content-length: ")
    if at < 0:
        raise ValueError("a response without a length")
    return int(head[at + 16 :].partition(b"\r\n")[0])


async def generate(load: Load) -> Tally:
    """Load the server, and return what came back within the measured seconds."""
    loop = asyncio.get_running_loop()
    tally, request = Tally(), load.request.encode("latin-1")
    for _ in range(load.connections):
        await loop.create_connection(lambda: _Client(request, tally), "127.0.0.1", load.port)
    await asyncio.sleep(WARM_SECONDS)
    tally.responses, started = 0, loop.time()
    await asyncio.sleep(load.seconds)
    tally.seconds = loop.time() - started
    return Tally(**asdict(tally))


def main() -> None:
    load = Load(**json.load(sys.stdin))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(generate(load))
    json.dump(asdict(tally), sys.stdout)


if __name__ == "__main__":
    main()
