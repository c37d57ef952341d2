"""Connections to one target of an upstream: kept, bounded, and handed out in the order they were asked for."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from typing import Final

from coffee_core.resilience.breaker import Clock
from coffee_core.wire.answer_lines import AnswerLines
from coffee_core.wire.errors import WireError
from coffee_core.wire.head import ResponseHead
from coffee_core.wire.head_memory import HeadMemory
from coffee_core.wire.outbox import Outbox
from gateway.data_plane.answer_head import DROPPED
from gateway.data_plane.settings import DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.data_plane.upstream_side import UpstreamConnection

log: Final = logging.getLogger("gateway.data_plane")


class Pool:
    """One target's connections."""

    def __init__(self, target: Target, settings: DataPlaneSettings, clock: Clock, outbox: Outbox | None = None) -> None:
        self.target = target
        self.settings = settings
        self.max_head = settings.max_head
        self.clock = clock
        self.outbox = outbox or Outbox()
        """For what is written to its connections."""
        self.lines = AnswerLines(settings.header_lines, DROPPED)
        self.heads: HeadMemory[ResponseHead] | None = HeadMemory(settings.known_heads) if settings.known_heads else None
        self.known_head: Callable[[bytes], ResponseHead | None] = (
            _unknown if self.heads is None else self.heads.known.get
        )
        """What is known of an answer's head."""
        self.idle: list[UpstreamConnection] = []
        """The one used last is taken first: it is the least likely to have been closed."""
        self.open = 0
        """Connections that exist or are being opened."""
        self.failures = 0
        self.ejected_until = 0.0
        self.unhealthy = False
        """Its health checks say so."""
        self.waiting = 0
        """Requests that wait for a connection."""
        self.shed = {"full": 0, "wait": 0, "overload": 0}
        """Requests that got no turn: the queue was full, it took too long, or it took too long in overload."""
        self._calm = 0.0
        """When the queue was empty the last time."""
        self.waiters: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        """Their turns: each gets a connection, or the slot of one."""

    @property
    def busy(self) -> int:
        """Connections in use, and those who wait for one."""
        return self.open - len(self.idle) + self.waiting

    @property
    def ejected(self) -> bool:
        """It failed repeatedly, or its health checks do, and it rests."""
        return self.ejected_until > self.clock.now

    async def acquire(self, *, fresh: bool = False) -> UpstreamConnection:
        """A connection, if need be a new one or one that somebody gives back; `fresh` is a new one.

        `WireError` 502 if the target refuses, 504 if it does not answer, 503 if it is our turn that does not come.
        """
        if fresh:
            if self.idle and self.open >= self.settings.connections:
                self.idle.pop(0).drop()
        elif self.idle:
            return self.idle.pop()
        if self.open < self.settings.connections:
            self.open += 1
            return await self._connect()
        return await self._wait() or await self._connect()

    async def _wait(self) -> UpstreamConnection | None:
        """For a turn: somebody's connection, or the slot of one."""
        settings, loop = self.settings, asyncio.get_running_loop()
        if self.waiting >= settings.waiting:
            self.shed["full"] += 1
            raise WireError(503, "the service has more requests than it can take")
        if not self.waiters:
            self._calm = loop.time()
        overload = self._overload()
        turn: asyncio.Future[UpstreamConnection | None] = loop.create_future()
        self.waiters.append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout(settings.shed_wait if overload else settings.wait_timeout):
                return await turn
        except TimeoutError:
            self._forgo(turn)
            self.shed["overload" if overload else "wait"] += 1
            raise WireError(503, "the service has more requests than it can take") from None
        except asyncio.CancelledError:
            self._forgo(turn)
            raise
        finally:
            self.waiting -= 1

    def give_back(self, connection: UpstreamConnection) -> None:
        """It is free for the next request."""
        while self.waiters:
            turn = self._next_turn()
            if not turn.done():
                turn.set_result(connection)
                return
        self.idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """It is closed: who waits longest may open another."""
        if connection in self.idle:
            self.idle.remove(connection)
        self._free_slot()

    def failed(self) -> None:
        """The target did not serve a request."""
        self.failures += 1
        if self.failures >= self.settings.eject_after:
            if not self.ejected:
                log.warning("%s rests after %d failures", self.target, self.failures)
            self.ejected_until = max(self.ejected_until, self.clock.now + self.settings.eject_for)

    def recovered(self) -> None:
        """It has answered again: whatever it failed before is forgotten, but not what its health checks say."""
        self.failures = 0
        if not self.unhealthy:
            self.ejected_until = 0.0

    def sick(self) -> None:
        """Its health checks fail: it rests until they do not."""
        self.unhealthy = True
        self.ejected_until = math.inf

    def healthy(self) -> None:
        """Its health checks are good again."""
        self.unhealthy = False
        self.recovered()

    def sweep(self, now: float) -> None:
        """Close what has been idle for long. The oldest are in front."""
        while self.idle and now - self.idle[0].since > self.settings.keep_alive:
            self.idle.pop(0).drop()

    def close(self) -> None:
        """Drop the idle ones; the others end with their requests."""
        while self.idle:
            self.idle.pop().drop()

    async def _connect(self) -> UpstreamConnection:
        """With a slot that `open` already counts."""
        loop = asyncio.get_running_loop()
        target = self.target
        connected = False
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                if target.unix_path:
                    _, connection = await loop.create_unix_connection(
                        lambda: UpstreamConnection(self), target.unix_path
                    )
                else:
                    _, connection = await loop.create_connection(
                        lambda: UpstreamConnection(self), target.host, target.port
                    )
            connected = True
        except TimeoutError:
            self.failed()
            raise WireError(504, "the service does not answer") from None
        except OSError:
            self.failed()
            raise WireError(502, "the service cannot be reached") from None
        finally:
            if not connected:
                self._free_slot()
        return connection

    def _overload(self) -> bool:
        """The queue has not been empty for a while: who came first would be answered when nobody waits any more."""
        return bool(self.waiters) and asyncio.get_running_loop().time() - self._calm > self.settings.shed_after

    def _next_turn(self) -> asyncio.Future[UpstreamConnection | None]:
        return self.waiters.pop() if self._overload() else self.waiters.popleft()

    def _free_slot(self) -> None:
        while self.waiters:
            turn = self._next_turn()
            if not turn.done():
                turn.set_result(None)  # the slot is his
                return
        self.open -= 1

    def _forgo(self, turn: asyncio.Future[UpstreamConnection | None]) -> None:
        """Who waited has left: what he was given in the meantime goes to the next."""
        if not turn.done() or turn.cancelled():
            if turn in self.waiters:
                self.waiters.remove(turn)
            return
        connection = turn.result()
        if connection is None:
            self._free_slot()
        else:
            self.give_back(connection)


def _unknown(_: bytes) -> None:
    """Where no heads are kept."""
