"""A request body that is still arriving, with back-pressure to its sender."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from coffee_core.domain.errors import TooLargeError
from coffee_core.wire.connection import Connection


class StreamedBody:
    """Filled by its connection, read once by the handler.

    The connection stops reading from the client while more than `window` bytes wait here. A body that breaks off
    never ends: its handler is cancelled.
    """

    __slots__ = ("_complete", "_connection", "_length", "_pieces", "_waiter", "_waiting", "_window")

    def __init__(self, connection: Connection, length: int | None) -> None:
        self._connection = connection
        self._length = length
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._window = connection.settings.body_window
        self._waiter: asyncio.Future[None] | None = None
        self._complete = False

    async def read(self, limit: int) -> bytes:
        """All of it; more than `limit` bytes is `TooLargeError`."""
        return b"".join([piece async for piece in self.chunks(limit)])

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """Pieces as they arrive; a body with a length above `limit` is refused before it is sent."""
        if self._length is not None and self._length > limit:
            raise TooLargeError(f"the body has {self._length} bytes; at most {limit} are read here")
        self._connection.send_continue()
        total = 0
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._waiting -= len(piece)
                if self._waiting <= self._window // 2:
                    self._connection.resume()
                total += len(piece)
                if total > limit:
                    raise TooLargeError(f"the body has more than the {limit} bytes that are read here")
                yield piece
            if self._complete:
                return
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def feed(self, piece: bytes) -> None:
        """Of the connection: more has come."""
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting > self._window:
            self._connection.pause()
        self._wake()

    def end(self) -> None:
        """Of the connection: this was all."""
        self._complete = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
