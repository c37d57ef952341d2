"""One client's connection: it reads requests strictly, in order, within bounds, and says nothing about how they are
answered. The modules' server and the gateway's client side are its two subclasses."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

from coffee_core.wire.answer import problem_answer
from coffee_core.wire.chunked import ChunkedDecoder
from coffee_core.wire.errors import WireError
from coffee_core.wire.head import RequestHead, check_part_of_head, read_request_head
from coffee_core.wire.hooks import Hooks
from coffee_core.wire.phases import BODY, BUSY, CLOSING, HEAD, IDLE, TUNNEL
from coffee_core.wire.resets import reset
from coffee_core.wire.timeouts import look

if TYPE_CHECKING:
    from coffee_core.wire.front import Front

log: Final = logging.getLogger("coffee.wire")


class Connection(Hooks):
    """Calls `request_received`, then `body_received` for each piece, then `body_complete`, one request at a time.

    A subclass answers by `start_answer()` before the answer's first byte, writing to `transport`, and
    `finish_answer()` after its last byte; both may happen inside `request_received` or any time later. Requests that
    are pipelined wait until then.
    """

    __slots__ = (
        "_behind",
        "_closes",
        "_decoder",
        "_discarding",
        "_held",
        "_left",
        "_parsed",
        "_partial",
        "advancing",
        "answering",
        "eof",
        "front",
        "gathered",
        "head",
        "peer",
        "phase",
        "reading",
        "seen",
        "settings",
        "since",
        "stalled_since",
        "started",
        "trailers",
        "transport",
        "unsent",
        "writable",
    )

    transport: asyncio.Transport
    head: RequestHead

    def __init__(self, front: Front) -> None:
        self.front = front
        self.settings = front.settings
        self.phase = IDLE
        self.since = self.stalled_since = front.now
        self.answering = False
        self.reading = True
        self.writable = True
        self.peer = ""
        self._partial = b""
        self._parsed = 0
        self._held = b""
        self._left = 0
        self._decoder: ChunkedDecoder | None = None
        self.advancing = False
        self.gathered = False
        """Set by a subclass that keeps bytes back for `flush`."""
        self._discarding = False
        self._behind = False
        """The next request waits for the client to read: answers must not pile up here."""
        self._closes = False
        self.eof = False
        self.unsent = 0
        self.seen = 0
        self.started = 0.0
        self.trailers: list[bytes] = []
        """The lines that came after the last chunk of the last chunked body."""

    # What a subclass calls

    def start_answer(self) -> bool:
        """Call before the answer's first byte. False: it must say `connection: close`."""
        self.answering = True
        self._closes = (
            not self.head.keep_alive
            or self.front.draining
            or (self.eof and not self._held)
            or (self.phase == BODY and not self._discardable())
        )
        return not self._closes

    def finish_answer(self) -> None:
        """Call after the answer's last byte: the next request may begin."""
        self.answering = False
        if self._closes or (self.front.draining and self.phase != BODY):
            self.close(linger=self.phase == BODY or bool(self._held))
        elif self.phase == BODY:
            self._discarding = True
            self.resume()
        elif not self.writable:
            self._behind = True
        elif self._held or self.eof:
            self._next()
        else:
            self.phase = IDLE
            self.since = self.front.now
            if not self.reading:
                self.resume()  # its body was too much for who answered: the next request is none of that

    def cut(self) -> None:
        """Break off an answer in the middle, by a reset: no client can take it for complete."""
        self.phase = CLOSING
        reset(self.transport)

    def kill(self) -> None:
        """Give up the request in hand, if there is one, and cut the connection."""
        if self._in_hand():
            self.abandon()
        self.cut()

    def close(self, *, linger: bool = False) -> None:
        """Close when all is written. With `linger`, input that may still come is dropped for a while first."""
        self.phase = CLOSING
        self.since = self.front.now
        if not linger or self.eof:
            self.transport.close()
        elif not self.transport.is_closing():
            self.resume()
            if self.transport.can_write_eof():  # TLS has no half of an end: the time-out ends it
                self.transport.write_eof()

    def pause(self) -> None:
        """Read no more of this client until `resume`."""
        if self.reading and not self.transport.is_closing():
            self.reading = False
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on. The time that reading was paused counts against no time-out."""
        if not self.reading and not self.transport.is_closing():
            self.reading = True
            self.started += self.front.now - self.since
            self.since = self.front.now
            self.transport.resume_reading()

    def send_continue(self) -> None:
        """Ask for a body that the client holds back, once, and only if it does."""
        if self.phase == BODY and self.head.expects_continue and not self.answering:
            self.head.expects_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def start_tunnel(self) -> None:
        """From here on bytes go to `tunnel_received`; those that came early go first."""
        self.phase = TUNNEL
        early, self._held = self._held, b""
        self.resume()
        if early:
            self.tunnel_received(early)

    def refuse(self, error: WireError) -> None:
        """Answer with a problem and close, or cut the connection if another answer has begun."""
        if self._in_hand():
            self.abandon()
        if self.answering:
            self.cut()
            return
        if not self._discarding:
            self.transport.write(problem_answer(error.status, error.detail, self.front.date))
        self.close(linger=True)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counted, bounded, and given its address."""
        # a cast: uvloop's transports are no subclasses of asyncio's
        self.transport = transport = self.front.gathering(cast("asyncio.Transport", transport))
        if not self.peer:  # else whoever accepted it has heard from a proxy who it is
            peer = transport.get_extra_info("peername")
            self.peer = peer[0] if isinstance(peer, tuple) else ""
        transport.set_write_buffer_limits(high=self.settings.write_window)
        self.front.connections.add(self)
        excess = len(self.front.connections) - self.settings.max_connections
        if excess > 100:
            self.cut()
        elif excess > 0:
            self.transport.write(problem_answer(503, "too many connections; try again", self.front.date))
            self.close(linger=True)

    def data_received(self, data: bytes) -> None:
        """Bytes: of a request, of the next one, or of a tunnel."""
        if self.phase >= BUSY:
            self._early(data)
            return
        if self._partial:
            data = self._partial + data
            self._partial = b""
        self.advancing = True
        try:
            phase = self.phase
            while data:
                if phase >= BUSY:
                    self._early(data)
                    break
                data = self._take_body(data) if phase == BODY else self._take_head(data)
                phase = self.phase
        except WireError as error:
            self.refuse(error)
        except Exception:  # a fault of ours must end this connection, never the loop
            log.exception("a connection failed")
            self.refuse(WireError(500, "something went wrong here"))
        finally:
            self.advancing = False
        if self.gathered:
            self.gathered = False
            self.flush()
        if self.eof and self.phase <= HEAD:
            self.close()

    def eof_received(self) -> bool:
        """The client sends no more. An answer under way may go on for a while: it may still be read."""
        if self.phase == TUNNEL:
            self.eof = True
            self.tunnel_ended()
            return self.transport.can_write_eof()
        if self.phase == BODY and not self._discarding and not self.answering:
            self.eof = True
            self.refuse(WireError(400, "the body ended before its length was reached"))
            return False
        self.eof = True
        self.since = self.front.now
        return self.phase == BUSY and self.transport.can_write_eof()

    def pause_writing(self) -> None:
        """Of the transport: its buffer is full."""
        self.writable = False
        self.writing_paused()

    def resume_writing(self) -> None:
        """Of the transport: there is room again."""
        self.writable = True
        self.stalled_since = self.front.now
        if self._behind:
            self._behind = False
            self._next()
        else:
            self.writing_resumed()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The end, whoever wanted it."""
        in_hand = self._in_hand()
        self.phase = CLOSING
        self.front.connections.discard(self)
        if in_hand:
            self.abandon()
        self.front.settled()

    def sweep(self, now: float) -> None:
        """Look at the time-outs; called by the front every now and then."""
        look(self, now)

    # Reading

    def _take_head(self, data: bytes) -> bytes:
        front = self.front
        end = data.find(b"\r\n\r\n", self._parsed) + 4
        if end < 4 or end > front.max_head:
            self._wait_for_head(data)
            return b""
        self._parsed = 0
        self.since = front.now
        whole = end == len(data)
        block = data if whole else data[:end]
        self.head = head = read_request_head(  # by place: this runs for every request
            block, front.lines, front.max_request_line, front.max_headers, front.heads
        )
        self._discarding = False
        if head.length or head.chunked:
            if head.length > front.max_body:
                raise WireError(413, f"the body has more than {front.max_body} bytes")
            if head.length and end + head.length == len(data) and not head.expects_continue:
                self.phase = BUSY
                if self.whole_received(data[end:]):
                    return b""
            self.phase = BODY
            self._left = head.length
            self.seen = 0
            self.started = self.since
            self._decoder = ChunkedDecoder() if head.chunked else None
        else:
            self.phase = BUSY
        self.request_received(head)
        return b"" if whole else data[end:]

    def _wait_for_head(self, data: bytes) -> None:
        check_part_of_head(data, max_line=self.settings.max_request_line, max_head=self.settings.max_head)
        if self.phase == IDLE:
            self.phase = HEAD
            self.since = self.front.now
        self._partial = data
        self._parsed = max(len(data) - 3, 0)

    def _take_body(self, data: bytes) -> bytes:
        self.since = self.front.now
        decoder = self._decoder
        if decoder is None:
            piece = data[: self._left]
            data = data[len(piece) :]
            self._left -= len(piece)
            complete = self._left == 0
        else:
            piece = decoder.feed(data)
            complete = decoder.done
            data = decoder.rest
            if complete:
                self.trailers = decoder.trailers
        self.head.expects_continue = False
        self.seen += len(piece)
        if self.seen > self.front.max_body:
            raise WireError(413, f"the body has more than {self.front.max_body} bytes")
        if complete:
            self.phase = BUSY
            self._decoder = None
        if self._discarding:
            if complete:
                self._discarding = False
                self._next()
            return data
        if piece:
            self.body_received(piece)
        if complete and self.phase == BUSY:
            self.body_complete()
        return data

    def _early(self, data: bytes) -> None:
        """Bytes that came before the answer in hand was finished."""
        if self.phase == TUNNEL:
            self.tunnel_received(data)
        elif self.phase == BUSY:
            self._held = self._held + data if self._held else data
            if len(self._held) > self.settings.pipelined:
                self.pause()

    def _next(self) -> None:
        self.phase = IDLE
        self.since = self.front.now
        if self.advancing:
            return
        if self._held:
            held, self._held = self._held, b""
            self.resume()
            self.data_received(held)
        elif self.eof:
            self.close()
        else:
            self.resume()

    def _discardable(self) -> bool:
        if self.head.expects_continue or self._decoder is not None:
            return False
        return self._left <= self.settings.discard

    def _in_hand(self) -> bool:
        """Whether a subclass works on a request or a tunnel."""
        return self.phase in {BODY, BUSY, TUNNEL} and not self._discarding and not self._behind
