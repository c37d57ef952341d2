"""A TCP cable between a program and a server, to be cut, left hanging or plugged in again."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Cable:
    """Listens on a free port of 127.0.0.1 and carries bytes to a server's URL, as long as it is told to."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self.port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.plug_in()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.cut()

    @property
    def url(self) -> str:
        """The server's URL, by way of this cable."""
        if self._to.scheme == "unix":
            return f"redis://127.0.0.1:{self.port}/0"
        return urlunsplit(self._to._replace(netloc=f"127.0.0.1:{self.port}"))

    def hang(self) -> None:
        """Connections stay open, new ones are taken, and no byte moves."""
        self._flowing.clear()

    def flow(self) -> None:
        """Bytes move again."""
        self._flowing.set()

    def drop(self) -> None:
        """All connections end; new ones are taken."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def cut(self) -> None:
        """All connections end, and no new one is taken."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def plug_in(self) -> None:
        """Take connections (again), on the same port."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        self._writers.add(writer)
        try:
            far_reader, far_writer = await self._connect()
            ends.append(far_writer)
            self._writers.add(far_writer)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in ends:
                self._writers.discard(end)
                end.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._to.scheme == "unix":
            return await asyncio.open_unix_connection(self._to.path)
        assert self._to.port is not None
        return await asyncio.open_connection(self._to.hostname, self._to.port)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
