"""One HTTP request and one response, as every server adapter hands them over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

from coffee_core.domain.errors import TooLargeError

Headers: TypeAlias = Mapping[bytes, bytes]
"""Names in lower case. A name sent more than once has its values joined by `, ` (RFC 9110 section 5.3);
those that may not repeat are refused before a Request exists."""


class Body(Protocol):
    """The request's body, read once: whole or in chunks."""

    async def read(self, limit: int) -> bytes:
        """All of it; more than `limit` bytes is `TooLargeError`."""
        ...

    def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """As it arrives, with back-pressure; more than `limit` bytes in all is `TooLargeError`."""
        ...


class BufferedBody:
    """A body that is already here."""

    __slots__ = ("data",)

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def within(self, limit: int) -> bytes:
        """All of it, without awaiting."""
        if len(self.data) > limit:
            raise TooLargeError(f"the body has {len(self.data)} bytes; at most {limit} are read here")
        return self.data

    async def read(self, limit: int) -> bytes:
        """All of it."""
        return self.within(limit)

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """It, as one chunk."""
        data = self.within(limit)
        if data:
            yield data


_NO_PARAMETERS: Mapping[str, str] = {}


class Request:
    """What was asked. `path` is percent-decoded once and normalised, `query` is raw; `client` and `scheme` come from
    the connection until the client-address layer has looked at trusted proxies.

    `route` is the matched route's template (`GET /x-service/api/x/{id}`), for logs and metrics: bounded in number.
    `task` is the one that answers it, where the server says so: asking asyncio costs a system call on Python 3.11.
    """

    __slots__ = ("body", "client", "headers", "method", "path", "path_params", "query", "route", "scheme", "task")

    def __init__(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Headers,
        body: Body,
        *,
        client: str = "",
        scheme: str = "http",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.client = client
        self.scheme = scheme
        self.route = "unmatched"
        self.path_params: Mapping[str, str] = _NO_PARAMETERS
        self.task: asyncio.Task[Any] | None = None


JSON = b"application/json"


class Response:
    """What is answered. `headers` are written as they are, after content-type and content-length.

    With `stream` the body follows in chunks (`body` is empty) and has no length; an error while streaming cuts the
    connection, so that a body cut short never looks complete.
    """

    __slots__ = ("body", "content_type", "headers", "status", "stream")

    def __init__(
        self,
        status: int = 200,
        body: bytes = b"",
        *,
        content_type: bytes | None = JSON,
        headers: list[tuple[bytes, bytes]] | None = None,
        stream: AsyncIterable[bytes] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers: list[tuple[bytes, bytes]] = [] if headers is None else headers
        self.stream = stream


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
"""The core: everything that serves HTTP here, layer or endpoint, has this shape."""

Layer: TypeAlias = Callable[[Handler], Handler]
"""Wraps a handler in one concern."""
