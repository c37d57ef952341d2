"""The core as an ASGI application: what uvicorn, granian and test clients serve is what our own server serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from starlette.types import Message, Receive, Scope, Send

from coffee_core.domain.errors import TooLargeError
from coffee_core.http.streams import closing
from coffee_core.wire.errors import PROBLEM, WireError, problem
from coffee_core.wire.message import Body, BufferedBody, Handler, Request, Response
from coffee_core.wire.server import joined
from coffee_core.wire.target import canonical_path, check_query, decode_path

NO_BODY = frozenset((204, 304))
_NO_MORE: Message = {"type": "http.request", "body": b""}
"""What need not be asked for where there is no body."""


Hook: TypeAlias = Callable[[], Awaitable[None]]


class AsgiApp:
    """Serves a `Handler` over ASGI; a WebSocket is refused. A caller who disconnects cancels the handler.

    `start` and `stop` are the lifespan. Who has disconnected is looked for every `watch_seconds`, and so only on behalf
    of requests that take longer than that: a watcher for each would cost more than most requests.
    """

    def __init__(self, handler: Handler, *, start: Hook, stop: Hook, watch_seconds: float) -> None:
        self._handler = handler
        self._start = start
        self._stop = stop
        self._callers: set[_Caller] = set()
        self._watch_seconds = watch_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop of its lifespan: asking asyncio for it with each request is a system call on Python 3.11."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's whole life."""
        kind = scope["type"]
        if kind != "http":
            await self._other(kind, receive, send)
            return
        task = asyncio.current_task(self._loop)
        assert task is not None
        caller = _Caller(receive, task)
        self._callers.add(caller)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._watch_seconds, self._look)
        try:
            try:
                headers = _headers(scope)
                message = _NO_MORE if _bodiless(scope, headers) else await receive()
                if message["type"] == "http.request" and not message.get("more_body", False):
                    body = caller.whole(message.get("body", b""))
                else:
                    body = await caller.body(message)
                request = _request(scope, headers, body)
            except WireError as error:
                response = Response(error.status, problem(error.status, error.detail), content_type=PROBLEM)
            else:
                request.task = task
                response = await self._handler(request)
            if response.stream is None:
                await send(_start(response))
                body_sent = b"" if scope["method"] == "HEAD" else response.body
                await send({"type": "http.response.body", "body": body_sent})
            else:
                await _stream(send, response, response.stream, head=scope["method"] == "HEAD")
        except asyncio.CancelledError:
            if not caller.gone or task.uncancel() > 0:
                raise
        finally:
            self._callers.discard(caller)
            caller.leave()

    async def _other(self, kind: str, receive: Receive, send: Send) -> None:
        if kind == "lifespan":
            self._loop = asyncio.get_running_loop()
            try:
                await self._live(receive, send)
            finally:
                self._loop = None
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        """A failure is told to the server, and raised for its log."""
        stage, message = "startup", ""
        try:
            await receive()
            await self._start()
            await send({"type": "lifespan.startup.complete"})
            stage = "shutdown"
            await receive()
            await self._stop()
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"
            await send({"type": f"lifespan.{stage}.failed", "message": message})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    def _look(self) -> None:
        """Now and then: watch those whose requests are still being worked on."""
        self._timer = None
        if self._callers:
            for caller in self._callers:
                caller.watch()
            self._timer = asyncio.get_running_loop().call_later(self._watch_seconds, self._look)


class _Caller:
    """The one reader of `receive`: first for the body, then for the disconnect, at which it cancels the handler."""

    __slots__ = ("_receive", "_task", "_watch", "_whole", "gone")

    def __init__(self, receive: Receive, task: asyncio.Task[Any]) -> None:
        self._receive = receive
        self._task = task
        self._watch: asyncio.Task[None] | None = None
        self._whole = False
        self.gone = False

    def whole(self, data: bytes) -> Body:
        """A body that is here: nothing is read of it any more."""
        self._whole = True
        return BufferedBody(data)

    async def body(self, message: Message) -> Body:
        """The body that begins with `message`, as a stream if more of it follows."""
        first, more = await self._piece(message)
        return _StreamedBody(self, first) if more else BufferedBody(first)

    async def next(self) -> tuple[bytes, bool]:
        """A piece of the body, and whether more follows. After the last one the disconnect may be watched for."""
        return await self._piece(await self._receive())

    async def _piece(self, message: Message) -> tuple[bytes, bool]:
        if message["type"] == "http.disconnect":
            self._cancel()
            await asyncio.sleep(0)  # the cancellation arrives here
        more = bool(message.get("more_body", False))
        self._whole = not more
        return message.get("body", b""), more

    def watch(self) -> None:
        """Look out for the disconnect from here on, if the body has been read."""
        if self._whole and self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._until_gone())

    def leave(self) -> None:
        """The answer is out: watch no longer."""
        if self._watch is not None:
            self._watch.cancel()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._cancel()

    def _cancel(self) -> None:
        self.gone = True
        self._task.cancel()


class _StreamedBody:
    """A body in several messages, read as they come: the server holds the sender back meanwhile."""

    __slots__ = ("_caller", "_first")

    def __init__(self, caller: _Caller, first: bytes) -> None:
        self._caller = caller
        self._first: bytes | None = first

    async def read(self, limit: int) -> bytes:
        """All of it; more than `limit` bytes is `TooLargeError`."""
        return b"".join([piece async for piece in self.chunks(limit)])

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """As it arrives; more than `limit` bytes in all is `TooLargeError`."""
        total = 0
        piece, more = self._first, True
        self._first = None
        if piece is None:  # read before
            return
        while True:
            total += len(piece)
            if total > limit:
                raise TooLargeError(f"the body has more than the {limit} bytes that are read here")
            if piece:
                yield piece
            if not more:
                return
            piece, more = await self._caller.next()


def _headers(scope: Scope) -> dict[bytes, bytes]:
    lines = list(scope["headers"])
    headers: dict[bytes, bytes] = dict(lines)
    if len(headers) == len(lines) and b"".join(headers).islower():  # as servers have them, each name once
        return headers
    lines = [(name.lower(), value) for name, value in lines]
    headers = dict(lines)
    return headers if len(headers) == len(lines) else joined(lines)


def _bodiless(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether there is no body to ask for: RFC 9112 section 6.3, of HTTP/1 alone."""
    return (
        b"content-length" not in headers
        and b"transfer-encoding" not in headers
        and scope.get("http_version") in ("1.1", "1.0")
    )


def _request(scope: Scope, headers: Mapping[bytes, bytes], body: Body) -> Request:
    """The request with one meaning of its path: servers differ in what they have made of it, so the raw one is read."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    root: str = scope.get("root_path", "")
    if root:
        prefix = quote(root).encode()
        if raw.startswith(prefix):
            raw = raw[len(prefix) :] or b"/"
    query: bytes = scope["query_string"]
    if query:
        check_query(query)
    client = scope.get("client")
    return Request(
        scope["method"],
        decode_path(canonical_path(raw.partition(b"?")[0])),
        query,
        headers,
        body,
        client=client[0] if client else "",
        scheme=scope["scheme"],
    )


def _start(response: Response) -> Message:
    headers: list[tuple[bytes, bytes]] = []
    if response.content_type is not None:
        headers.append((b"content-type", response.content_type))
    if response.stream is None and response.status not in NO_BODY:
        headers.append((b"content-length", b"%d" % len(response.body)))
    return {"type": "http.response.start", "status": response.status, "headers": headers + response.headers}


async def _stream(send: Send, response: Response, stream: AsyncIterable[bytes], *, head: bool) -> None:
    """The head leaves with the first chunk; an error after that is raised, so that the server cuts the connection."""
    started = False
    async with closing(stream) as chunks:
        if not head and response.status not in NO_BODY:
            async for chunk in chunks:
                if not started:
                    started = True
                    await send(_start(response))
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if not started:
        await send(_start(response))
    await send({"type": "http.response.body", "body": b""})
