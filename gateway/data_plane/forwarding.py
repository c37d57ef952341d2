"""One request on its way through: from a client's connection to an upstream's, and its answer back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from coffee_core.wire.answer import status_line
from coffee_core.wire.errors import WireError
from coffee_core.wire.head import RequestHead, ResponseHead
from coffee_core.wire.phases import BODY
from gateway.data_plane.answer_head import end_to_end, stated_length
from gateway.data_plane.trailers import wanted
from gateway.data_plane.upstream_side import BODY as ANSWERING
from gateway.data_plane.upstream_side import HEAD as WAITING
from gateway.data_plane.upstream_side import UpstreamConnection
from gateway.verdict.decision import Forward

if TYPE_CHECKING:
    from gateway.data_plane.client_side import GatewayConnection
    from gateway.data_plane.pool import Pool
    from gateway.data_plane.upstreams import Upstream

_IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"QUERY", b"PROPFIND", b"REPORT"))
_SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"QUERY", b"PROPFIND", b"REPORT"))
_SAYS_ZERO: Final = frozenset((b"POST", b"PUT", b"PATCH"))

CRLF: Final = b"\r\n"

clock = time.perf_counter


class Forwarding(Struct, eq=False):
    """Small messages are one write each way; larger ones are passed on as they come, never faster than they are read.

    `Asker` of an `UpstreamConnection`. A Struct, because one is made for every request; `start` comes next.
    """

    client: GatewayConnection
    decision: Forward
    _upstream: Upstream
    _probe: bool = False
    """The breaker is not closed, and lets this one pass to learn from it."""
    connection: UpstreamConnection | None = None
    head_request: bool = False
    request_complete: bool = True
    upgrading: bytes = b""
    sent_at: float = 0.0
    answered_at: float = 0.0
    _out: list[bytes] = []
    _replay: bytes = b""
    _replays: int = 0
    _connecting: asyncio.Task[None] | None = None
    _chunked_answer: bool = False
    _trailers: bool = False

    def start(self) -> bool:
        """Send the head, and with it the request if that is all of it. Whether all has been sent."""
        head, decision, upstream = self.client.head, self.decision, self._upstream
        method = head.method
        framing = b""
        if head.length or head.chunked:
            self.request_complete = False
            framing = b"transfer-encoding: chunked\r\n" if head.chunked else b"content-length: %d\r\n" % head.length
            if head.expects_continue:
                framing += b"expect: 100-continue\r\n"
        elif method in _SAYS_ZERO:
            framing = b"content-length: 0\r\n"
        if method == b"HEAD":
            self.head_request = True
        if head.connection:
            framing = self._with_options(head, framing)
        # joined, not formatted: its size is known before it is made
        data = b"".join((method, b" ", decision.target, upstream.version_and_host, decision.head, framing, CRLF))
        connection = self.connection = upstream.take()
        if connection is not None and self.request_complete:
            self._begin(connection, data)
            return True
        self._out.append(data)
        if connection is None:
            self._connect(fresh=False)
        return False

    # from the client

    def body(self, data: bytes) -> None:
        """A piece of the request's body; it leaves with the next `flush`."""
        self._out.append(b"%x\r\n%b\r\n" % (len(data), data) if self.client.head.chunked else data)

    def body_complete(self) -> None:
        """That was its last."""
        self.request_complete = True
        if self.client.head.chunked:
            lines = self.client.trailers
            self._out.append(b"0\r\n%b\r\n" % self.client.gateway.trailers.passing(lines) if lines else b"0\r\n\r\n")

    def flush(self) -> None:
        """Send what has gathered, if there is a connection to send it on."""
        connection = self.connection
        if not self._out or connection is None:
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out = []
        if self.sent_at == 0.0:
            self._begin(connection, data)
            return
        connection.send(data)
        if not connection.writable:
            self.client.pause()

    def _begin(self, connection: UpstreamConnection, data: bytes) -> None:
        """The first bytes leave, or the first once more."""
        self.sent_at = clock()
        if self.request_complete:
            upstream = self._upstream
            if self.client.head.method in _IDEMPOTENT and len(data) <= upstream.replay:
                self._replay = data
            mirror = upstream.mirror
            if mirror is not None and not self._replays and not self.upgrading:  # a repeat is not copied again
                mirror.offer(self.client.head, data)
        connection.ask(self, data)
        if not connection.writable:
            self.client.pause()

    def abandon(self) -> None:
        """The client has gone: so does the upstream's work for it."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self.connection is not None:
            self.connection.leave()
        if self._probe:
            self._upstream.breaker.probe_left()

    def client_full(self) -> None:
        """The client reads slower than its answer comes."""
        if self.connection is not None:
            self.connection.pause()

    def client_free(self) -> None:
        """It has caught up."""
        if self.connection is not None:
            self.connection.resume()

    def tunnel_received(self, data: bytes) -> None:
        """The client's bytes of another protocol."""
        if self.connection is not None:
            self.connection.send(data)
            if not self.connection.writable:
                self.client.pause()

    def tunnel_ended(self) -> None:
        """The client says no more in it."""
        if self.connection is not None and not self.connection.transport.is_closing():
            self.connection.transport.write_eof()

    def sweep(self, now: float) -> None:
        """Time-outs of the upstream."""
        connection = self.connection
        if connection is None or not connection.reading:
            return
        settings = connection.pool.settings
        quiet = now - connection.since
        if connection.phase == WAITING:
            if quiet > (self.decision.passage.timeout or settings.head_timeout):
                connection.pool.failed()
                connection.leave()
                self._fail(504, "the service did not answer in time")
        elif quiet > settings.idle_timeout:
            connection.leave()
            if connection.phase == ANSWERING:
                self.upstream_fails("the service fell silent in its answer")
            else:
                self.client.end_tunnel()

    # from the upstream

    def upstream_continues(self) -> None:
        """Of `Asker`."""
        self.client.send_continue()

    def upstream_informs(self, head: ResponseHead) -> None:
        """Of `Asker`. HTTP/1.0 knows no interim answers (RFC 9110 section 15.2)."""
        if not self.client.head.http10:
            self.client.transport.write(b"%b%b\r\n" % (status_line(head.status), end_to_end(head)))

    def upstream_answers(self, head: ResponseHead, piece: bytes, *, done: bool) -> None:
        """Of `Asker`."""
        client = self.client
        self.answered_at = clock()
        client.status = status = head.status
        if self._probe or status >= 500:
            self._judge(status)
        else:
            self._upstream.breaker.answers += 1
        end = b"\r\n" if client.start_answer() else b"connection: close\r\n\r\n"
        begins = head.whole or self._beginning(head)
        if self._chunked_answer:
            piece = _chunks(piece, done=done)
            if done and self._trailers:
                piece = self._with_trailers(piece)
        client.sent = len(piece)
        client.transport.write(b"".join((begins, self.decision.answer_head, end, piece)))

    def _beginning(self, head: ResponseHead) -> bytes:
        """Status line, the lines that pass, and how the body is framed on this hop."""
        if self.head_request or head.status in {204, 304}:
            framing = stated_length(head)
        elif head.length is not None:
            framing = b"content-length: %d\r\n" % head.length
        elif self.client.head.http10:
            framing = b""
        else:
            framing = b"transfer-encoding: chunked\r\n"
            self._chunked_answer = True
        return b"%b%b%b" % (status_line(head.status), end_to_end(head), framing)

    def upstream_body(self, piece: bytes, *, done: bool) -> None:
        """Of `Asker`."""
        client = self.client
        if self._chunked_answer:
            piece = _chunks(piece, done=done)
            if done and self._trailers:
                piece = self._with_trailers(piece)
        client.sent += len(piece)
        client.since = client.front.now
        client.transport.write(piece)

    def _with_trailers(self, piece: bytes) -> bytes:
        """The last chunk, with those that the client reads and that may pass."""
        lines = self.connection.trailers if self.connection is not None else []
        return piece[:-2] + self.client.gateway.trailers.passing(lines) + b"\r\n"

    def upstream_done(self) -> None:
        """Of `Asker`."""
        self.connection = None
        self.client.finish_answer()

    def upstream_lost(self) -> None:
        """Of `Asker`: an idle connection that the upstream had closed, most likely; then the request is repeated at
        once, if it may be (RFC 9112 section 9.3.1). On a new connection it was the upstream that failed: what is safe
        is repeated after a while, elsewhere if possible."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        if not connection.reused:
            connection.pool.failed()
        if self._may_repeat(connection):
            self.sent_at = 0.0
            self._out = [self._replay]
            self._replays += 1
            if connection.reused:
                self._connect(fresh=True)
            else:
                self._connect(fresh=False, avoid=connection.pool, delay=self._upstream.retries.delay(self._replays - 1))
            return
        if connection.reused:
            connection.pool.failed()
        self._fail(502, "the service closed the connection without an answer")

    def _may_repeat(self, connection: UpstreamConnection) -> bool:
        """Whether the request may be sent once more after `connection` was lost before a byte of its answer."""
        upstream = self._upstream
        if not self._replay or self._replays >= upstream.settings.replays:
            return False
        if not connection.reused and (self.client.head.method not in _SAFE or not upstream.breaker.closed):
            return False
        return upstream.retries.take()

    def upstream_fails(self, detail: str) -> None:
        """Of `Asker`."""
        self.connection = None
        if self.client.answering:
            self._failed(begun=True)
            self.client.break_off()
        else:
            self._fail(502, detail)

    def upstream_switches(self, head: ResponseHead, early: bytes) -> None:
        """Of `Asker`."""
        client = self.client
        self.answered_at = clock()
        client.status = 101
        self._judge(101)
        client.start_answer()
        lines = status_line(101) + end_to_end(head) + self.decision.answer_head
        client.transport.write(b"%bconnection: upgrade\r\nupgrade: %b\r\n\r\n%b" % (lines, self.upgrading, early))
        client.start_tunnel()

    def tunnel_data(self, data: bytes) -> None:
        """Of `Asker`."""
        self.client.sent += len(data)
        self.client.transport.write(data)

    def tunnel_over(self) -> None:
        """Of `Asker`."""
        self.connection = None
        self.client.end_tunnel()

    def upstream_full(self) -> None:
        """Of `Asker`."""
        self.client.pause()

    def upstream_free(self) -> None:
        """Of `Asker`."""
        self.client.resume()

    # connecting

    def _connect(self, *, fresh: bool, avoid: Pool | None = None, delay: float = 0.0) -> None:
        if self.client.phase == BODY:
            self.client.pause()
        work = self._connected(fresh=fresh, avoid=avoid, delay=delay)
        self._connecting = asyncio.get_running_loop().create_task(work)

    async def _connected(self, *, fresh: bool, avoid: Pool | None, delay: float) -> None:
        """Nothing has been sent, or it may be sent again: any number of targets may refuse."""
        upstream = self._upstream
        attempt = 0
        connection: UpstreamConnection | None = None
        while connection is None:
            if delay:
                await asyncio.sleep(delay)
            try:
                connection = await upstream.acquire(fresh=fresh, avoid=avoid)
            except WireError as error:
                if error.status != 502 or attempt >= upstream.settings.retries or not self._may_reconnect():
                    self._connecting = None
                    self._fail(error.status, error.detail)
                    return
                delay = upstream.retries.delay(attempt)
                attempt += 1
        self._connecting = None
        self.connection = connection
        self.client.resume()
        self.flush()

    def _may_reconnect(self) -> bool:
        return self._upstream.breaker.closed and self._upstream.retries.take()

    def _with_options(self, head: RequestHead, framing: bytes) -> bytes:
        """The lines of framing, and those of the options that go on to the next hop."""
        if head.upgrade and not head.length and not head.chunked:
            framing = self._upgrade(head.upgrade.lower())
        if not self.upgrading and wanted(head):
            self._trailers = True
            framing += b"te: trailers\r\nconnection: te\r\n"
        return framing

    def _upgrade(self, protocol: bytes) -> bytes:
        if protocol.decode("latin-1") not in self._upstream.upgrades:
            return b""
        self.upgrading = protocol
        return b"connection: upgrade\r\nupgrade: %b\r\n" % protocol

    def _judge(self, status: int) -> None:
        """What an answer says of its upstream."""
        breaker = self._upstream.breaker
        if status in self._upstream.failure_statuses:
            self._failed()
            return
        breaker.answers += 1
        if self._probe:
            self._probe = False
            breaker.probe_answered()

    def _failed(self, *, begun: bool = False) -> None:
        """The request was not served, whoever was tried for it."""
        probe, self._probe = self._probe, False
        self._upstream.breaker.failed(probe=probe, begun=begun)

    def _fail(self, status: int, detail: str) -> None:
        if status != 503:
            self._failed()
        elif self._probe:  # our own queue was full: that says nothing of the upstream
            self._probe = False
            self._upstream.breaker.probe_left()
        self.client.resume()
        self.client.fail(status, detail)


def _chunks(piece: bytes, *, done: bool) -> bytes:
    if not piece:
        return b"0\r\n\r\n" if done else b""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(piece), piece) if done else b"%x\r\n%b\r\n" % (len(piece), piece)
