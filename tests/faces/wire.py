"""HTTP as bytes on a socket, for what a client library would tidy up."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


@dataclass(frozen=True)
class Connection:
    """One TCP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: bytes) -> None:
        """Send each part in a packet of its own, as far as the network allows."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """Read one response; `bodiless` for those to HEAD."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = [line.partition(":") for line in head[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in fields}
        length = 0 if bodiless else int(headers.get("content-length", "0"))
        return Answer(int(head[0].split(" ")[1]), headers, await self.reader.readexactly(length))

    async def is_closed(self) -> bool:
        """Wait for the server to close; what it still sends is no end."""
        return await self.reader.read(1) == b""


@dataclass(frozen=True)
class Wire:
    """A server on loopback."""

    port: int

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """Open a connection, and close it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()
            await asyncio.wait({asyncio.ensure_future(writer.wait_closed())})

    async def ask(self, *parts: bytes, bodiless: bool = False) -> Answer:
        """Send one request on a connection of its own."""
        async with self.connect() as connection:
            await connection.send(*parts)
            return await connection.answer(bodiless=bodiless)
