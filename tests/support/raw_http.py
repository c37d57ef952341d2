"""HTTP as bytes: a client and an upstream that send exactly what a test says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, Self

BOUND = 10.0
"""Seconds after which waiting for something has failed."""


class Answer(NamedTuple):
    """One answer as it came."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    complete: bool
    """False: the connection ended before the body did."""

    def header(self, name: bytes) -> bytes:
        """Its value; empty if it is not there."""
        return dict(self.headers).get(name, b"")


class RawClient:
    """One connection to the server under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, *, receive_buffer: int = 0) -> Self:
        """A small receive buffer makes a slow reader slow at once."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        limit = receive_buffer or 2**16
        return cls(*await asyncio.open_connection(sock=sock, limit=limit))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def send(self, data: bytes) -> None:
        """Without waiting."""
        self.writer.write(data)

    async def flush(self) -> None:
        """Until the kernel took it."""
        async with asyncio.timeout(BOUND):
            await self.writer.drain()

    def half_close(self) -> None:
        """Send no more, but go on reading."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Vanish: RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def ask(self, data: bytes, *, head_request: bool = False) -> Answer:
        """Send, and read one answer."""
        self.send(data)
        return await self.answer(head_request=head_request)

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers of the next answer, interim ones too."""
        async with asyncio.timeout(BOUND):
            block = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = block[:-4].split(b"\r\n")
        version, status, _ = line.split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = []
        for header in lines:
            name, _, value = header.partition(b": ")
            headers.append((name.lower(), value))
        return int(status), headers

    async def answer(self, *, head_request: bool = False) -> Answer:
        """The next answer, whole."""
        status, headers = await self.head()
        framing = dict(headers)
        if head_request or status < 200 or status in {204, 304}:
            return Answer(status, headers, b"", True)
        async with asyncio.timeout(BOUND):
            try:
                if framing.get(b"transfer-encoding") == b"chunked":
                    body = b"".join([chunk async for chunk in self._chunks()])
                elif b"content-length" in framing:
                    body = await self.reader.readexactly(int(framing[b"content-length"]))
                else:
                    body = await self.reader.read(-1)
            except (asyncio.IncompleteReadError, ConnectionError):
                return Answer(status, headers, b"", False)
        return Answer(status, headers, body, True)

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty at its end."""
        async with asyncio.timeout(BOUND):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
        assert data[-2:] == b"\r\n"
        return data[:-2]

    async def _chunks(self) -> AsyncIterator[bytes]:
        while piece := await self.chunk():
            yield piece

    async def closed(self) -> bool:
        """Wait for the end: True if nothing more came before it."""
        async with asyncio.timeout(BOUND):
            try:
                return await self.reader.read(-1) == b""
            except ConnectionError:
                return True

    async def rest(self) -> bytes:
        """All until the server closes."""
        async with asyncio.timeout(BOUND):
            return await self.reader.read(-1)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition that other tasks bring about."""
    async with asyncio.timeout(BOUND):
        while not condition():
            await asyncio.sleep(0.002)
    assert condition(), what
