"""One connection to an upstream: it reads answers as strictly as requests are read, because a confused upstream is as
dangerous as a hostile client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from coffee_core.wire.chunked import ChunkedDecoder
from coffee_core.wire.errors import WireError
from coffee_core.wire.head import ResponseHead, read_response_head
from coffee_core.wire.outbox import SMALL, GatheringTransport

if TYPE_CHECKING:
    from gateway.data_plane.pool import Pool

IDLE, HEAD, BODY, TUNNEL, GONE = range(5)


class Asker(Protocol):
    """Who waits for the answer: the client's side."""

    head_request: bool
    """The request was a HEAD: its answer has no body."""

    upgrading: bytes
    """The protocol that was asked for; empty if none was."""

    @property
    def request_complete(self) -> bool:
        """The whole request has been sent."""
        ...

    def upstream_continues(self) -> None:
        """The upstream asks for the body (100)."""

    def upstream_informs(self, head: ResponseHead) -> None:
        """Another interim answer (RFC 9110 section 15.2), for example 103."""

    def upstream_answers(self, head: ResponseHead, piece: bytes, *, done: bool) -> None:
        """The head, and what came with it of the body."""

    def upstream_body(self, piece: bytes, *, done: bool) -> None:
        """More of the body; empty only at its end."""

    def upstream_done(self) -> None:
        """After the last byte, when the connection is free again."""

    def upstream_switches(self, head: ResponseHead, early: bytes) -> None:
        """The connection is a tunnel from here on (101)."""

    def upstream_lost(self) -> None:
        """The connection ended without a byte of an answer."""

    def upstream_fails(self, detail: str) -> None:
        """It ended, or was ended because of what it said, in the middle of an answer."""

    def tunnel_data(self, data: bytes) -> None:
        """Bytes of the other protocol."""

    def tunnel_over(self) -> None:
        """The upstream has left the tunnel."""

    def upstream_full(self) -> None:
        """The upstream reads slower than the request comes."""

    def upstream_free(self) -> None:
        """It has caught up."""


class UpstreamConnection(asyncio.Protocol):
    """Carries one request at a time. `since` is the coarse time of the last byte, either way."""

    __slots__ = (
        "_decoder",
        "_interim",
        "_is_closing",
        "_left",
        "_much",
        "_parsed",
        "_partial",
        "_reusable",
        "asker",
        "phase",
        "pool",
        "reading",
        "reused",
        "since",
        "transport",
        "writable",
    )

    transport: asyncio.Transport

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.phase = IDLE
        self.asker: Asker | None = None
        self.reading = True
        self.reused = False
        self.since = pool.clock.now
        self.writable = True
        self._interim = 0
        self._partial = b""
        self._parsed = 0
        self._decoder: ChunkedDecoder | None = None
        self._left: int | None = 0
        self._much = False
        """The request is more than the kernel takes at once: part of it may still wait here when it is answered."""
        self._reusable = True

    @property
    def trailers(self) -> list[bytes]:
        """The lines that came after an answer's last chunk, when it is done."""
        return self._decoder.trailers if self._decoder is not None else []

    def ask(self, asker: Asker, data: bytes) -> None:
        """Send a request, or its beginning."""
        self.asker = asker
        self.phase = HEAD
        self._much = len(data) > SMALL
        self.since = self.pool.clock.now
        self._interim = 0
        self.transport.write(data)

    def send(self, data: bytes) -> None:
        """More of it."""
        self._much = True
        self.since = self.pool.clock.now
        self.transport.write(data)

    def pause(self) -> None:
        """Read no more of the answer until `resume`: its client is slow."""
        if self.reading and not self.transport.is_closing():
            self.reading = False
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on. The time in between is not the upstream's."""
        if not self.reading and not self.transport.is_closing():
            self.reading = True
            self.since = self.pool.clock.now
            self.transport.resume_reading()

    def leave(self) -> None:
        """Nobody wants the answer any more: the upstream learns it by the end of the connection."""
        self.asker = None
        self.drop()

    def drop(self) -> None:
        """Close at once; it is not used again."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        # a cast: uvloop's transports are no subclasses of asyncio's
        inner = cast("asyncio.Transport", transport)
        self.transport = GatheringTransport(inner, self.pool.outbox)
        self._is_closing = inner.is_closing
        self.transport.set_write_buffer_limits(high=self.pool.settings.write_window)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer. Those that nobody asked for end the connection."""
        asker = self.asker
        if asker is None:
            self.drop()
            return
        self.since = self.pool.clock.now
        try:
            if self.phase == HEAD:
                self._read_head(asker, data)
            elif self.phase == BODY:
                piece, done = self._take(data)
                if piece or done:
                    asker.upstream_body(piece, done=done)
                if done:
                    self._done(asker)
            else:
                asker.tunnel_data(data)
        except WireError as error:
            self.asker = None
            self.pool.failed()
            self.drop()
            asker.upstream_fails(error.detail)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection; of an answer without a length it is the end as well, unless by a reset."""
        phase, self.phase = self.phase, GONE
        self.pool.lost(self)
        asker, self.asker = self.asker, None
        if asker is None:
            return
        if phase == HEAD and not self._partial and not self._interim:
            asker.upstream_lost()
        elif phase == TUNNEL:
            asker.tunnel_over()
        elif phase == BODY and exc is None and self._left is None and self._decoder is None:
            asker.upstream_body(b"", done=True)
            asker.upstream_done()
        else:
            self.pool.failed()
            asker.upstream_fails("the service broke off its answer")

    def pause_writing(self) -> None:
        """Of the transport: its buffer is full."""
        self.writable = False
        if self.asker is not None:
            self.asker.upstream_full()

    def resume_writing(self) -> None:
        """Of the transport: there is room again."""
        self.writable = True
        if self.asker is not None:
            self.asker.upstream_free()

    def _read_head(self, asker: Asker, data: bytes) -> None:
        pool = self.pool
        if self._partial:
            data = self._partial + data
            self._partial = b""
        while True:
            end = data.find(b"\r\n\r\n", self._parsed) + 4
            if end < 4 or end > pool.max_head:
                if len(data) > pool.max_head:
                    raise WireError(502, "the service's answer has too long a head")
                self._partial = data
                self._parsed = max(len(data) - 3, 0)
                return
            self._parsed = 0
            block = data[:end]
            head = None if asker.head_request else pool.known_head(block)
            if head is None:
                head = read_response_head(
                    block,
                    pool.lines,
                    max_headers=pool.settings.max_headers,
                    head_request=asker.head_request,
                    memory=pool.heads,
                )
            data = data[end:]
            if head.status >= 200:
                break
            self._inform(asker, head, data)
            if not data or head.status == 101:
                return
        if pool.failures:
            pool.recovered()
        self.phase = BODY
        self._reusable = head.keep_alive
        self._decoder = ChunkedDecoder(status=502) if head.chunked else None
        self._left = head.length
        if self._left == len(data):  # by far the most frequent
            done = True
        else:
            data, done = self._take(data)
        asker.upstream_answers(head, data, done=done)
        if done:
            self._done(asker)

    def _inform(self, asker: Asker, head: ResponseHead, early: bytes) -> None:
        """An interim answer; after a 101 come bytes of the other protocol."""
        self._interim += 1
        if self._interim > self.pool.settings.max_interim:
            raise WireError(502, "the service sent too many interim answers")
        if head.status == 101:
            self._switch(asker, head, early)
        elif head.status == 100:
            asker.upstream_continues()
        else:
            asker.upstream_informs(head)

    def _take(self, data: bytes) -> tuple[bytes, bool]:
        """What of the data is body, and whether that is its end."""
        decoder = self._decoder
        if decoder is not None:
            piece = decoder.feed(data)
            if decoder.done and decoder.rest:
                self._reusable = False
            return piece, decoder.done
        left = self._left
        if left is None:
            return data, False
        if len(data) > left:  # more than it announced: never to be trusted with another request
            self._reusable = False
            data = data[:left]
        self._left = left = left - len(data)
        return data, left == 0

    def _done(self, asker: Asker) -> None:
        """The answer is complete. If the request is not, or not out, the rest of it has no place to go."""
        self.asker = None
        self.phase = IDLE
        sent = not self._much or not self.transport.get_write_buffer_size()
        if self._reusable and sent and asker.request_complete and not self._is_closing():
            self.reused = True
            if not self.reading:
                self.resume()
            pool = self.pool
            if pool.waiters:
                pool.give_back(self)
            else:
                pool.idle.append(self)
        else:
            self.drop()
        asker.upstream_done()

    def _switch(self, asker: Asker, head: ResponseHead, early: bytes) -> None:
        if not asker.upgrading or head.upgrade.lower() != asker.upgrading:
            raise WireError(502, "the service switched to a protocol that nobody asked for")
        self.phase = TUNNEL
        asker.upstream_switches(head, early)
