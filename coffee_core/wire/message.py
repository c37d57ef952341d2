"""One HTTP request and one response, as every server adapter hands them over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import msgspec

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


class BufferedBody(msgspec.Struct, eq=False, gc=False):
    """A body that is already here."""

    data: bytes = b""

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


NO_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType({})


class Request(msgspec.Struct, eq=False):
    """What was asked. `path` is percent-decoded once and normalised, `query` is raw; `client` and `scheme` come from
    the connection until the client-address layer has looked at trusted proxies.

    `route` is the matched route's template (`GET /x-service/api/x/{id}`), for logs and metrics: bounded in number.
    `task` is the one that answers it, where the server says so: asking asyncio costs a system call on Python 3.11.
    """

    method: str
    path: str
    query: bytes
    headers: Headers
    body: Body
    client: str = ""
    scheme: str = "http"
    route: str = "unmatched"
    path_params: Mapping[str, str] = NO_PARAMETERS
    task: asyncio.Task[Any] | None = None


JSON = b"application/json"


class Response(msgspec.Struct, eq=False):
    """What is answered. `headers` are written as they are, after content-type and content-length.

    With `stream` the body follows in chunks (`body` is empty) and has no length; an error while streaming cuts the
    connection, so that a body cut short never looks complete.
    """

    status: int = 200
    body: bytes = b""
    content_type: bytes | None = JSON
    headers: list[tuple[bytes, bytes]] = []
    stream: AsyncIterable[bytes] | None = None


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
"""The core: everything that serves HTTP here, layer or endpoint, has this shape."""

Layer: TypeAlias = Callable[[Handler], Handler]
"""Wraps a handler in one concern."""
