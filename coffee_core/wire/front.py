"""What all connections of one server have in common: bounds, a coarse clock, the sweep of time-outs, the drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence
from email.utils import formatdate
from typing import Final, Protocol

from coffee_core.wire.connection import Connection
from coffee_core.wire.header_lines import HeaderLines
from coffee_core.wire.outbox import GatheringTransport, Outbox
from coffee_core.wire.request_memory import RequestMemory
from coffee_core.wire.settings import WireSettings

log: Final = logging.getLogger("coffee.wire")

_ACCEPTED: Final = 0.01
"""Seconds in which the loop takes connections that the kernel has accepted already."""


class Listener(Protocol):
    """Accepts connections until it is closed."""

    def close(self) -> None:
        """Accept no more."""


class Front:
    """A server that makes a `Connection` of its own kind for each client.

    `now` is the event loop's time and `date` the Date header, both as of the last sweep: reading a clock for every
    message costs more than half a second of precision is worth.
    """

    def __init__(self, settings: WireSettings) -> None:
        self.settings = settings
        # bounds that each request meets; to read them of a pydantic model takes five times as long
        self.max_head, self.max_request_line = settings.max_head, settings.max_request_line
        self.max_headers, self.max_body = settings.max_headers, settings.max_body
        self.lines = HeaderLines(settings.header_lines)
        self.heads: RequestMemory | None = None
        """For a front whose clients repeat themselves."""
        self.outbox: Outbox | None = None
        """For a front that works out many answers in one turn of the loop."""
        self.connections: set[Connection] = set()
        self.draining = False
        self.now = 0.0
        self.date = b""
        self._empty = asyncio.Event()
        self._servers: list[Listener] = []
        self._timer: asyncio.TimerHandle | None = None

    def connection(self) -> Connection:
        """A new client's connection."""
        raise NotImplementedError

    def gathering(self, transport: asyncio.Transport) -> asyncio.Transport:
        """A client's transport, as this front writes to it."""
        return transport if self.outbox is None else GatheringTransport(transport, self.outbox)

    def swept(self, now: float) -> None:
        """Called after each sweep, for what else is due every now and then."""

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Listen on sockets that are bound; they are closed by `drain`."""
        self._tick()
        for sock in sockets:
            self._servers.append(await self.listen(sock))

    async def listen(self, sock: socket.socket) -> Listener:
        """Accept connections from a bound socket."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(self.connection, sock=sock, backlog=self.settings.backlog)

    async def drain(self) -> None:
        """Stop listening, let requests in flight finish, close what is idle, cut what is left at `drain_timeout`.

        A handler that does not end when it is cancelled is not waited for.
        """
        self.draining = True
        await asyncio.sleep(_ACCEPTED)
        for server in self._servers:
            server.close()
        self.settled()
        try:
            async with asyncio.timeout(self.settings.drain_timeout):
                await self._empty.wait()
        except TimeoutError:
            log.warning("%d connections are cut at the end of the drain", len(self.connections))
            self.hurry()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.linger):
                    await self._empty.wait()
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def hurry(self) -> None:
        """Cut what is still open."""
        for connection in list(self.connections):
            connection.kill()

    def unfinished(self) -> bool:
        """Whether the drain must wait on."""
        return bool(self.connections)

    def settled(self) -> None:
        """Something has ended: if it was the last, so has the drain."""
        if self.draining and not self.unfinished():
            self._empty.set()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self.date = formatdate(usegmt=True).encode()
        self._timer = loop.call_later(self.settings.sweep, self._sweep)

    def _sweep(self) -> None:
        self._tick()
        for connection in list(self.connections):
            try:
                connection.sweep(self.now)
            except Exception:  # one connection's fault must not end the time-outs of all
                log.exception("a connection's time-outs failed")
                connection.cut()
        self.swept(self.now)
