"""Commands to one server by one connection, without waiting for one reply before the next question.

A round trip of the client library takes this process a hundred microseconds: pool, locks, streams and coroutines.
Here it is one write and one read. The library still opens the connection (URL, TLS, AUTH, SELECT); then this takes
its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, cast

from redis.asyncio import Connection, Redis
from redis.exceptions import RedisError

from coffee_core.cache.resp import MOST as MOST_BYTES
from coffee_core.cache.resp import Fault, Reply, pack, read, texts

log = logging.getLogger(__name__)

MOST = 1000
"""Questions in flight; one more is not asked."""
NO_SCRIPT = b"NOSCRIPT"

GONE: Final = Fault(b"no reply")

Told: TypeAlias = Callable[[Reply], None]
"""Gets the reply, a `Fault` where there is none: once, and from the loop unless there is no room. It may not raise."""


class _Question:
    __slots__ = ("again", "deadline", "instead", "packed", "told")

    def __init__(self, command: Sequence[bytes], instead: Sequence[bytes], told: Told, deadline: float) -> None:
        self.packed = pack(command)
        self.instead = instead
        self.told = told
        self.deadline = deadline
        self.again = False
        """By a second connection; there is no third."""


class Pipeline:
    """Opens at the first question, and again at the next one after the connection has gone.

    Each question waits for at most `timeout` seconds, connecting included. Questions whose connection is lost are asked
    once more, as the client library does; a server that is silent for that long is not asked again, and the
    connection with it goes, because replies have no names: a late one would answer the wrong question.
    """

    def __init__(self, redis: Redis, timeout: float) -> None:
        self._pool = redis.connection_pool
        self._timeout = timeout
        self._open: deque[_Question] = deque()
        """Without a reply, in the order of their replies. All are sent, or none: there is no connection yet."""
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    def ask(self, command: Sequence[bytes], told: Told, *, instead: Sequence[bytes] = ()) -> None:
        """Give this command; `instead` is given if the server does not know its script."""
        if self._closed or len(self._open) >= MOST:
            told(GONE)
            return
        loop = asyncio.get_running_loop()
        question = _Question(command, instead, told, loop.time() + self._timeout)
        self._open.append(question)
        if self._alarm is None:
            self._alarm = loop.call_at(question.deadline, self._overdue)
        if self._wire is not None:
            self._wire.transport.write(question.packed)
        elif self._connecting is None:
            self._connecting = loop.create_task(self._connect(), name="redis: pipeline")

    async def close(self) -> None:
        """End the connection; who waits for a reply gets none."""
        self._closed = True
        self._give_up()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        if self._alarm is not None:
            self._alarm.cancel()

    # the connection

    async def _connect(self) -> None:
        connection: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's
        try:
            async with asyncio.timeout(self._timeout):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
            self._take_over(connection)
        except (RedisError, OSError, TimeoutError):
            pass  # told below to those who wait
        finally:
            self._connecting = None
            if self._wire is None:
                self._give_up()
                await connection.disconnect(nowait=True)

    def _take_over(self, connection: Connection) -> None:
        """From here on the bytes come to this; the library forgets the connection, and does not close it."""
        writer = connection._writer
        if writer is None or writer.transport.is_closing() or self._closed:
            return
        self._wire = _Wire(self, writer)
        connection._reader = connection._writer = None
        self._wire.transport.writelines([question.packed for question in self._open])

    def answered(self, reply: Reply) -> None:
        """The next reply has come."""
        question = self._open.popleft()
        if isinstance(reply, Fault) and reply.text.startswith(NO_SCRIPT) and self._wire is not None:
            question.packed = pack(question.instead)
            self._open.append(question)
            self._wire.transport.write(question.packed)
        else:
            question.told(reply)

    def asked(self) -> bool:
        """Whether a reply is due."""
        return bool(self._open)

    def lost(self, wire: _Wire) -> None:
        """What was asked is asked once more."""
        if self._wire is not wire:
            return  # it was us who ended it
        self._wire = None
        lost, self._open = self._open, deque()
        for question in lost:
            if question.again:
                question.told(GONE)
            else:
                question.again = True
                self._open.append(question)
        if self._open:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(), name="redis: pipeline")

    def unreadable(self, error: ValueError) -> None:
        """This server does not speak as Redis does."""
        log.warning("what Redis sends cannot be read: %s", error)
        self._give_up()

    def _give_up(self) -> None:
        """No reply for anybody, and no connection."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.transport.abort()
        lost, self._open = self._open, deque()
        for question in lost:
            question.told(GONE)

    def _overdue(self) -> None:
        self._alarm = None
        if not self._open:
            return
        loop = asyncio.get_running_loop()
        if self._open[0].deadline > loop.time():
            self._alarm = loop.call_at(self._open[0].deadline, self._overdue)
        else:
            self._give_up()


class _Wire(asyncio.Protocol):
    """One connection, from when the library has opened it."""

    def __init__(self, pipeline: Pipeline, writer: asyncio.StreamWriter) -> None:
        # the cast: it reads as well, and uvloop's are no subclass
        self.transport = cast("asyncio.Transport", writer.transport)
        self._writer = writer
        """The library's; unused, and alive because it closes the transport when it goes."""
        self._pipeline = pipeline
        self._rest = b""
        self.transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Replies, and parts of them."""
        if not self._rest and self._pipeline.asked() and (found := texts(data)) is not None:
            self._pipeline.answered(found)
            return
        data, at = self._rest + data if self._rest else data, 0
        while at < len(data) and not self.transport.is_closing():
            try:
                one = read(data, at)
                if one is None and len(data) - at > MOST_BYTES:
                    raise ValueError("an endless reply")
                if one is not None and not self._pipeline.asked():
                    raise ValueError("a reply that nobody has asked for")
            except ValueError as error:
                self._pipeline.unreadable(error)
                return
            if one is None:
                break
            reply, at = one
            self._pipeline.answered(reply)
        self._rest = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's
        """Of the loop."""
        self._pipeline.lost(self)
