"""Layer: keeps what an error report needs of a request, bounded; it costs nothing until there is an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Final
from urllib.parse import parse_qsl

import orjson

from coffee_core.observability.redaction import MASK, redact, redact_pairs, redact_text
from coffee_core.wire.message import Body, BufferedBody, Handler, Layer, Request, Response

PAIRS_MAX: Final = 100
"""Headers, parameters or form fields in one report."""

VALUE_MAX: Final = 500
"""Characters of one header's or parameter's value."""


class RecordedBody:
    """A body that remembers its first bytes as they are read."""

    __slots__ = ("_body", "_limit", "complete", "seen")

    def __init__(self, body: Body, limit: int) -> None:
        self._body = body
        self._limit = limit
        self.seen = bytearray()
        self.complete = True

    async def read(self, limit: int) -> bytes:
        """All of it."""
        data = await self._body.read(limit)
        self._note(data)
        return data

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """As it arrives."""
        async for chunk in self._body.chunks(limit):
            self._note(chunk)
            yield chunk

    def _note(self, data: bytes) -> None:
        room = self._limit - len(self.seen)
        self.seen += data[:room]
        self.complete = self.complete and len(data) <= room


def request_capture(limit: int) -> Layer:
    """Make the request's body remember its first `limit` bytes. One that is buffered already needs no help."""

    def layer(following: Handler) -> Handler:
        def handle(request: Request) -> Awaitable[Response]:
            if type(request.body) is not BufferedBody:
                request.body = RecordedBody(request.body, limit)
            return following(request)

        return handle

    return layer


def captured(request: Request, limit: int) -> dict[str, object]:
    """The request as an error report has it: without secrets and personal data, each part bounded."""
    query = parse_qsl(request.query[: PAIRS_MAX * VALUE_MAX].decode("latin-1"), keep_blank_values=True)
    headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.items())
    return {
        "method": request.method,
        "route": request.route,
        "path": redact_text(request.path[:VALUE_MAX]),
        "query": redact_pairs(_bounded(query)),
        "headers": redact_pairs(_bounded(list(headers))),
        "body": _body(request, limit),
    }


def _bounded(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name[:VALUE_MAX], value[:VALUE_MAX]) for name, value in pairs[:PAIRS_MAX]]


def _body(request: Request, limit: int) -> object:
    """The body, if it is whole and of a kind whose secrets can be found by their names; else only its size."""
    body = request.body
    if isinstance(body, BufferedBody):
        data, complete = body.data, len(body.data) <= limit
    elif isinstance(body, RecordedBody):
        data, complete = bytes(body.seen), body.complete
    else:
        return None
    if not data:
        return None
    media = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if complete and (media.endswith(b"json") or not media):
        try:
            return redact(orjson.loads(data))
        except orjson.JSONDecodeError:
            pass
    elif complete and media == b"application/x-www-form-urlencoded":
        return redact_pairs(_bounded(parse_qsl(data.decode("latin-1"), keep_blank_values=True)))
    return f"{MASK} ({'' if complete else 'more than '}{len(data)} bytes)"
