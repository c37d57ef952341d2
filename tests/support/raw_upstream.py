"""An upstream that says exactly what a test wants, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

from tests.support.raw_http import BOUND


class Asked(NamedTuple):
    """One request as it came."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes:
        """Its value; empty if it is not there."""
        return dict(self.headers).get(name, b"")


class Visit:
    """One connection of the gateway to this upstream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> Asked:
        """The next request's head; an IncompleteReadError if none comes."""
        block = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = block[:-4].split(b"\r\n")
        headers = [(name, value) for name, _, value in (header.partition(b": ") for header in lines)]
        return Asked(line, headers, b"")

    async def request(self) -> Asked:
        """The next request, whole."""
        asked = await self.head()
        return asked._replace(body=await self.body(asked))

    async def body(self, asked: Asked) -> bytes:
        """The rest of it."""
        if asked.header(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            assert await self.reader.readexactly(2) == b"\r\n"
            return body
        return await self.reader.readexactly(int(asked.header(b"content-length") or 0))

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    def reset(self) -> None:
        """Vanish: RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Visit, "RawUpstream"], Awaitable[None]]


class RawUpstream:
    """Runs `script` for each connection; when it returns, the connection is closed."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.visits: list[Visit] = []
        self.open = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._visited, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End, and everything that still runs."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        async with asyncio.timeout(BOUND):
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        visit = Visit(reader, writer)
        self.visits.append(visit)
        self.open += 1
        try:
            await self.script(visit, self)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the gateway has left, or the test is over
        finally:
            self.open -= 1
            writer.close()
            self._tasks.discard(task)


async def polite(visit: Visit, upstream: RawUpstream) -> None:
    """Answers each request with its line and body."""
    while True:
        asked = await visit.request()
        upstream.asked.append(asked)
        said = asked.line + b" " + asked.body
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(said))
        if not asked.line.startswith(b"HEAD "):
            visit.say(said)


def saying(*parts: bytes) -> Script:
    """Answers each request with these bytes, and closes."""

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        for part in parts:
            visit.say(part)
            await visit.writer.drain()

    return script


def always(answer: bytes) -> Script:
    """Answers every request of a connection with these bytes."""

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.request())
            visit.say(answer)

    return script
