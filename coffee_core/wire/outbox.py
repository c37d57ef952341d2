"""Small writes of one turn of the event loop, made together at its end.

A write wakes whoever reads at the other end. On one machine he has read it and sleeps again before the next request is
worked out, and waking him costs more than the write. One write right after the other finds him awake.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

log: Final = logging.getLogger("coffee.wire")

SMALL: Final = 16 * 1024
"""Bytes that wait for the end of the turn; more are written at once, so that back-pressure is felt at once."""


def _soon(flush: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(flush)


class Outbox:
    """Of one front: the transports that have something to write. `schedule` calls `flush` at the end of the turn."""

    __slots__ = ("schedule", "waiting")

    def __init__(self, schedule: Callable[[Callable[[], None]], object] | None = None) -> None:
        self.schedule = schedule or _soon
        self.waiting: list[GatheringTransport] = []
        """Those that have begun to gather in this turn; the first one has `flush` called at its end."""

    def flush(self) -> None:
        """Write all, in the order in which it came."""
        waiting, self.waiting = self.waiting, []
        for transport in waiting:
            data, transport.pending = transport.pending, b""
            if data:
                try:
                    transport.inner.write(data)
                except Exception:  # one connection's fault must not keep what the others have to say
                    if not transport.is_closing():
                        log.exception("what a connection had gathered could not be written")
                        transport.abort()


class GatheringTransport(asyncio.Transport):
    """A transport whose small writes wait for the end of the turn. What is written arrives in order; what waits is
    written before the transport is closed, and lost when it is aborted, as what waits in any transport's buffer is."""

    __slots__ = ("_outbox", "inner", "pending")

    def __init__(self, inner: asyncio.Transport, outbox: Outbox) -> None:
        self.inner = inner
        self.pending = b""
        """What waits."""
        self._outbox = outbox

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Of the transport."""
        if self.pending or type(data) is not bytes or len(data) > SMALL:
            self._write_more(data)
            return
        self.pending = data
        outbox = self._outbox
        waiting = outbox.waiting
        if not waiting:
            outbox.schedule(outbox.flush)
        waiting.append(self)

    def _write_more(self, data: bytes | bytearray | memoryview) -> None:
        if type(data) is not bytes:
            self.write(bytes(data))  # what the caller may still change
            return
        pending = self.pending
        if len(pending) + len(data) <= SMALL:
            self.pending = pending + data
            return
        self.flush()
        self.inner.write(data)

    def flush(self) -> None:
        """Write what waits."""
        data, self.pending = self.pending, b""
        if data and not self.inner.is_closing():
            self.inner.write(data)

    def is_closing(self) -> bool:
        """Of the transport."""
        return self.inner.is_closing()

    def close(self) -> None:
        """Of the transport."""
        self.flush()
        self.inner.close()

    def write_eof(self) -> None:
        """Of the transport."""
        self.flush()
        self.inner.write_eof()

    def abort(self) -> None:
        """Of the transport."""
        self.pending = b""
        self.inner.abort()

    def get_write_buffer_size(self) -> int:
        """Of the transport."""
        return len(self.pending) + self.inner.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """Of the transport."""
        return self.inner.can_write_eof()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of the transport."""
        self.inner.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Of the transport."""
        return self.inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Of the transport."""
        self.inner.pause_reading()

    def resume_reading(self) -> None:
        """Of the transport."""
        self.inner.resume_reading()
