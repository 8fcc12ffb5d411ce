"""The load generator: a process that sends requests over and over on kept-alive connections.

It reads a Load as JSON on standard input, and writes the Tally as JSON on standard output.
"""

import asyncio
import json
import sys
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import accumulate, cycle
from random import Random
from time import perf_counter
from typing import cast

import uvloop

WARM_SECONDS = 0.4
"""Of load that is not counted, while caches and connections warm up."""
SEED = 20
DRAWS = 65_536
"""Requests that are drawn before the load begins, and then sent in a circle."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests (their whole texts) to a port of this machine, on so many connections, for so many seconds.

    Of several, the first comes most often, by Zipf's law; or each once, `in_order`, and then again.
    Without a `rate` each connection sends the next as soon as the last is
    answered; with one, so many are sent a second whatever the answers do, and a request's time counts from when it was due.
    `expect` are the statuses that count as answered. `sources` are loopback addresses that connections come from.
    """

    port: int
    requests: list[str]
    connections: int
    seconds: float
    rate: float = 0
    warm: float = WARM_SECONDS
    expect: list[int] = field(default_factory=lambda: [200])
    sources: int = 1
    in_order: bool = False


@dataclass(slots=True)
class Tally:
    """Complete responses, those of a status that was not expected, and connections that broke.

    `seconds` is what was measured; `p50` and `p99` are of a response's time, in seconds.
    """

    responses: int = 0
    refused: int = 0
    broken: int = 0
    seconds: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    example: str = ""


class _Generator:
    """What all connections of a load share: what to send next, and what came back."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.now = perf_counter  # the loop's own clock counts milliseconds
        self.tally = Tally()
        self.times = array("d")
        self.idle: deque[_Client] = deque()
        self.due: deque[float] = deque()
        self.next = _draw(load).__next__
        self.expect = tuple(f"HTTP/1.1 {status} ".encode() for status in load.expect)

    def answered(self, client: "_Client", received: bytes) -> None:
        self.times.append(self.now() - client.since)
        self.tally.responses += 1
        if not received.startswith(self.expect):
            self.tally.refused += 1
            self.tally.example = received[:500].decode("latin-1")
        if not self.load.rate:
            client.send(self.now())
        elif self.due:
            client.send(self.due.popleft())
        else:
            self.idle.append(client)

    async def pace(self, until: float) -> None:
        """Send at the load's rate, or note what is due when no connection is free."""
        due = self.now()
        while due < until:
            while due <= self.now():
                if self.idle:
                    self.idle.popleft().send(due)
                else:
                    self.due.append(due)
                due += 1 / self.load.rate
            await asyncio.sleep(max(0.0, due - self.now()))

    def begin(self) -> None:
        """Count from here on."""
        self.tally.responses = self.tally.refused = 0
        del self.times[:]


class _Client(asyncio.Protocol):
    """One connection; responses are told apart by their Content-Length alone."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            "asyncio.WriteTransport", transport
        )  # uvloop's own class, which does not say so
        if self._generator.load.rate:
            self._generator.idle.append(self)
        else:
            self.send(self._generator.now())

    def send(self, since: float) -> None:
        """Send the next request, which was due at `since`."""
        self.since = since
        if self._transport is not None:
            self._transport.write(self._generator.next())

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0 or len(received) < head_end + 4 + _content_length(received[:head_end]):
            self._received = received
            return
        self._received = b""
        self._generator.answered(self, received)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._generator.tally.broken += 1


def _draw(load: Load) -> Iterator[bytes]:
    texts = [request.encode("latin-1") for request in load.requests]
    if len(texts) == 1 or load.in_order:
        return cycle(texts)
    weights = list(accumulate(1 / rank for rank in range(1, len(texts) + 1)))
    return cycle(Random(SEED).choices(texts, cum_weights=weights, k=DRAWS))


def _content_length(head: bytes) -> int:
    at = head.find(b"content-length: ")
    if at < 0:
        raise ValueError("a response without a length")
    return int(head[at + 16 :].partition(b"\r\n")[0])


async def generate(load: Load) -> Tally:
    """Load the server, and return what came back within the measured seconds."""
    loop = asyncio.get_running_loop()
    generator = _Generator(load)
    for number in range(load.connections):
        source = number % load.sources
        await loop.create_connection(
            lambda: _Client(generator),
            "127.0.0.1",
            load.port,
            local_addr=(f"127.0.{source // 250}.{source % 250 + 1}", 0),
        )
    pacing = (
        asyncio.create_task(generator.pace(generator.now() + load.warm + load.seconds)) if load.rate else None
    )
    await asyncio.sleep(load.warm)
    generator.begin()
    started = generator.now()
    await asyncio.sleep(load.seconds)
    tally = generator.tally
    tally.seconds = generator.now() - started
    times = sorted(generator.times)
    if times:
        tally.p50, tally.p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    if pacing is not None:
        pacing.cancel()
    return Tally(**asdict(tally))


def main() -> None:
    load = Load(**json.load(sys.stdin))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(generate(load))
    json.dump(asdict(tally), sys.stdout)


if __name__ == "__main__":
    main()
