"""A proxy in front of Postgres that cuts connections at the worst moments, chosen by a seed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random

SOCKET = ".s.PGSQL.5432"


_ENTRY = rb"\"v\":1}"
"""The end of an entry, as a batch sends it."""


class Cut(Enum):
    """Where a connection ends, seen from the statement that the client has just sent."""

    LOST = "the server never gets it"
    LATE = "the server gets it after the client has given up"
    SENT = "the server gets it, and its reply gets nowhere"
    HALF = "the client gets half of the reply"
    ANSWERED = "the client gets the reply, and no more"


@dataclass(slots=True)
class CuttingProxy:
    """Relays between its own Unix socket and the server's; `chance` is how often a message of a client is its last.

    `elsewhere` is that chance for messages that commit nothing, where it is another. `commits` counts the connections that were
    cut once the server had been sent what commits: a COMMIT, or a batch of entries outside of a transaction.
    """

    server: Path
    random: Random
    chance: float = 0.0
    elsewhere: float | None = None
    late_seconds: float = 0.03
    commits: int = 0
    cuts: dict[Cut, int] = field(default_factory=lambda: dict.fromkeys(Cut, 0))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def total(self) -> int:
        """Return how many connections were cut."""
        return sum(self.cuts.values())

    @asynccontextmanager
    async def listening(self, folder: Path) -> AsyncIterator[None]:
        """Listen in `folder` while the block runs."""
        server = await asyncio.start_unix_server(self._accept, folder / SOCKET)
        try:
            yield
        finally:
            server.close()
            await asyncio.sleep(0.05)  # for those that were just accepted
            if self._tasks:  # they end with their clients, which are gone
                await asyncio.wait(self._tasks, timeout=2)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.close())  # also when it was cancelled before it began

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            from_server, to_server = await asyncio.open_unix_connection(self.server / SOCKET)
            back = asyncio.ensure_future(_pump(from_server, writer))
            try:
                await self._forward(reader, to_server, back, (from_server, writer))
            finally:
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)
                writer.close()
                to_server.close()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        back: "asyncio.Future[None]",
        replies: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        begun = False
        while data := await reader.read(1 << 20):
            is_query = data[:1] in b"QPB"  # nothing of the start-up or its passwords
            commits = b"COMMIT" in data or (not begun and _ENTRY in data)
            begun = (begun or b"BEGIN" in data) and b"COMMIT" not in data and b"ROLLBACK" not in data
            chance = self.chance if commits or self.elsewhere is None else min(self.elsewhere, self.chance)
            if is_query and self.random.random() < chance:
                cut = self.random.choice(list(Cut))
                self.cuts[cut] += 1
                self.commits += commits and cut is not Cut.LOST
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)
                await self._cut(cut, data, to_server, replies)
                return
            to_server.write(data)
            await to_server.drain()

    async def _cut(
        self,
        cut: Cut,
        data: bytes,
        to_server: asyncio.StreamWriter,
        replies: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        from_server, writer = replies
        if cut is Cut.LOST:
            return
        if cut is Cut.LATE:
            writer.close()
            await asyncio.sleep(self.random.random() * self.late_seconds)
        to_server.write(data)
        await to_server.drain()
        if cut in (Cut.HALF, Cut.ANSWERED):
            reply = await from_server.read(1 << 16)
            writer.write(reply if cut is Cut.ANSWERED else reply[: self.random.randrange(len(reply) + 1)])
            await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
