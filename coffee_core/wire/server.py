"""The modules' own server: it serves a `Handler`, with one write for a small answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable
from typing import Final

from coffee_core.wire.answer import answer_head, has_body
from coffee_core.wire.beginnings import BeginningMemory
from coffee_core.wire.body import StreamedBody
from coffee_core.wire.connection import Connection
from coffee_core.wire.errors import PROBLEM, WireError, problem
from coffee_core.wire.front import Front
from coffee_core.wire.head import RequestHead
from coffee_core.wire.message import Body, BufferedBody, Handler, Request, Response
from coffee_core.wire.phases import BODY
from coffee_core.wire.settings import WireSettings
from coffee_core.wire.target import canonical_path, check_query, decode_path

log: Final = logging.getLogger("coffee.wire")

_SINGLE: Final = frozenset(
    b"host content-type content-length authorization if-match if-none-match if-modified-since if-unmodified-since "
    b"idempotency-key range user-agent x-bb-requestid x-bb-partner-id x-bb-account-id x-bb-uid x-bb-plan-type "
    b"x-bb-identity traceparent".split()
)
"""Headers of which two lines have no joint meaning."""

REMEMBERS: Final = 60.0
"""Seconds for which the heads of requests are remembered, with the tokens and cookies that are in them."""


class HandlerFront(Front):
    """Serves one handler."""

    def __init__(self, handler: Handler, settings: WireSettings) -> None:
        super().__init__(settings)
        self.handler = handler
        self.buffered_body = settings.buffered_body
        if settings.known_heads:
            self.heads = BeginningMemory(settings.known_heads, self.lines, settings.max_headers)
        self._remembers_since = 0.0
        self.leaving: set[asyncio.Task[None]] = set()

    def connection(self) -> Connection:
        """A client of the handler."""
        return HandlerConnection(self)

    def swept(self, now: float) -> None:
        """Of the front. What stands in heads may be a secret: it is forgotten."""
        if self.heads is not None and now - self._remembers_since > REMEMBERS:
            self.heads.forget()
            self._remembers_since = now

    def left(self, task: asyncio.Task[None]) -> None:
        """A cancelled handler has ended."""
        self.leaving.discard(task)
        self.settled()

    def unfinished(self) -> bool:
        """A cancelled handler may still be cleaning up when its connection is gone."""
        return super().unfinished() or bool(self.leaving)


class HandlerConnection(Connection):
    """One client of a handler. Each request runs in a task of its own, which is cancelled if the client goes."""

    __slots__ = ("_body", "_loop", "_pieces", "_room", "_task", "server")

    def __init__(self, front: HandlerFront) -> None:
        super().__init__(front)
        self.server = front
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._body: StreamedBody | None = None
        self._pieces: list[bytes] = []
        self._room: asyncio.Future[None] | None = None

    def request_received(self, head: RequestHead) -> None:
        """Small bodies are awaited, larger ones streamed to the handler."""
        self._body = None
        if self.phase != BODY:
            self.start(BufferedBody())
        elif head.chunked or head.length > self.server.buffered_body:
            self._body = StreamedBody(self, None if head.chunked else head.length)
            self.start(self._body)
        else:
            self._pieces = []
            self.send_continue()

    def whole_received(self, body: bytes) -> bool:
        """Nothing has to be kept."""
        if len(body) > self.server.buffered_body:
            return False
        self._body = None
        self.run(self.request(self.head, BufferedBody(body)))
        return True

    def body_received(self, data: bytes) -> None:
        """To the handler, or kept until all is here."""
        if self._body is None:
            self._pieces.append(data)
        else:
            self._body.feed(data)

    def body_complete(self) -> None:
        """The handler may start, or sees the end."""
        if self._body is not None:
            self._body.end()
        else:
            pieces = self._pieces
            self.start(BufferedBody(pieces[0] if len(pieces) == 1 else b"".join(pieces)))

    def abandon(self) -> None:
        """Cancel the handler; what it had open is rolled back by its own clean-up."""
        task, self._task = self._task, None
        if task is not None:
            self.server.leaving.add(task)
            task.add_done_callback(self.server.left)
            task.cancel()

    def break_off(self) -> None:
        """An answer cannot be finished."""
        self.cut()

    def writing_resumed(self) -> None:
        """A streamed answer goes on."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def request(self, head: RequestHead, body: Body) -> Request:
        """What the handler is asked; a path or a header without one meaning is refused."""
        path, _, query = head.target.partition(b"?")  # as `normalise` does, without an object between
        if query:
            check_query(query)
        headers = head.named if head.named is not None else joined(head.headers)
        text = decode_path(canonical_path(path))
        return Request(head.method.decode(), text, query, headers, body, self.peer)

    def handle(self, request: Request) -> Awaitable[Response]:
        """Ask the handler."""
        return self.server.handler(request)

    def start(self, body: Body) -> None:
        """Run the handler in a task."""
        self.run(self.request(self.head, body))

    def run(self, request: Request) -> None:
        """Ask the handler in a task."""
        request.task = self._task = self._loop.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        try:
            response = await self.handle(request)
            if response.stream is None:
                self.send_response(response)
            else:
                await self._stream(response, response.stream)
        except asyncio.CancelledError:
            if self._task is not None:  # not by us: nobody will answer any more
                self._task = None
                self.cut()
            raise
        except Exception:  # the pipeline maps its errors: what arrives here is a fault of ours
            log.exception("a handler or its streamed answer failed")
            self._task = None
            if self.answering:
                self.break_off()
                return
            self.send_response(Response(500, problem(500, "something went wrong here"), content_type=PROBLEM))
        self._task = None
        self.finish_answer()

    def send_response(self, response: Response) -> None:
        """Write an answer that is here as a whole; `finish_answer` comes next."""
        if not has_body(response.status):
            self.transport.write(self._head(response, b""))
            return
        body = response.body
        head = self._head(response, b"content-length: %d\r\n" % len(body))
        self.transport.write(head if self.head.method == b"HEAD" else head + body)

    async def _stream(self, response: Response, stream: AsyncIterable[bytes]) -> None:
        """The head leaves with the first piece, so that a stream that fails at once is still a proper 500. An empty
        piece sends it earlier."""
        chunked = not self.head.http10
        framing = b"transfer-encoding: chunked\r\n" if chunked and has_body(response.status) else b""
        if self.head.method == b"HEAD" or not has_body(response.status):
            self.transport.write(self._head(response, framing))
            return
        pieces = aiter(stream)
        try:
            async for piece in pieces:
                data = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked and piece else piece
                self.since = self.front.now
                self.transport.write(data if self.answering else self._head(response, framing) + data)
                if not self.writable:
                    self._room = self._loop.create_future()
                    await self._room
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
        end = b"0\r\n\r\n" if chunked else b""
        self.transport.write(end if self.answering else self._head(response, framing) + end)

    def _head(self, response: Response, framing: bytes) -> bytes:
        keep_alive = self.start_answer()
        try:
            return answer_head(response, framing, self.front.date, keep_alive=keep_alive)
        except ValueError:
            self.answering = False  # nothing has been written: a 500 can be
            raise


def joined(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Lines of one name become one value: RFC 9110 section 5.3, and RFC 6265 section 5.4 for cookies."""
    joined: dict[bytes, bytes] = {}
    for name, value in headers:
        before = joined.get(name)
        if before is None:
            joined[name] = value
        elif name in _SINGLE:
            raise WireError(400, f"the header {name.decode()} is there twice")
        else:
            joined[name] = before + (b"; " if name == b"cookie" else b", ") + value
    return joined
