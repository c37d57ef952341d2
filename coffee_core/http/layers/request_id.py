"""Layer: the request's id, and with it the request context, which the context layer fills in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from contextvars import Token
from typing import Final

import uuid_utils

from coffee_core.domain.context import CURRENT, RequestContext
from coffee_core.http.streams import closing
from coffee_core.wire.identity import REQUEST_ID
from coffee_core.wire.message import Handler, Request, Response

WELL_FORMED: Final = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
).fullmatch
"""UUIDv7 (RFC 9562 section 5.7). Nothing else is taken from a caller: an id stands in every log line."""


def request_id(following: Handler) -> Handler:
    """Keep a well-formed id or make one, put an anonymous context around the request, and return the id."""

    async def handle(request: Request) -> Response:
        given = request.headers.get(REQUEST_ID)
        text = str(uuid_utils.uuid7()) if given is None or WELL_FORMED(given) is None else given.decode().lower()
        token = CURRENT.set(RequestContext(request_id=text, client_address=request.client))
        try:
            response = await following(request)
        except BaseException:
            CURRENT.reset(token)
            raise
        if response.stream is None:
            CURRENT.reset(token)
        else:
            response.stream = _in_context(response.stream, token)
        response.headers.append((REQUEST_ID, text.encode()))
        return response

    return handle


async def _in_context(stream: AsyncIterable[bytes], token: Token[RequestContext]) -> AsyncIterator[bytes]:
    """A body is streamed in its request's context, which ends with it."""
    try:
        async with closing(stream) as chunks:
            async for chunk in chunks:
                yield chunk
    finally:
        with suppress(ValueError):  # closed by the collector, in a context of its own: that one is not ours to change
            CURRENT.reset(token)
