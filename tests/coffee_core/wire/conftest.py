"""A server for each test, small enough to be asked about its insides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from coffee_core.wire.listen import bind
from coffee_core.wire.message import Handler, Request, Response
from coffee_core.wire.server import HandlerFront
from coffee_core.wire.settings import WireSettings
from tests.support.raw_http import RawClient


class Served:
    """A front that listens, and how to reach it."""

    def __init__(self, front: HandlerFront, port: int) -> None:
        self.front = front
        self.port = port

    async def client(self, *, receive_buffer: int = 0) -> RawClient:
        """A new connection."""
        return await RawClient.connect(self.port, receive_buffer=receive_buffer)


Serve = Callable[..., Awaitable[Served]]


async def echo(request: Request) -> Response:
    """Says what it was asked."""
    body = await request.body.read(10_000_000)
    text = b"%b %b ?%b " % (request.method.encode(), request.path.encode(), request.query)
    return Response(200, text + body, content_type=b"text/plain")


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(handler, **settings)`; sweeps are quick so that time-outs need not be long."""
    served: list[Served] = []

    async def start(handler: Handler = echo, **settings: float) -> Served:
        front = HandlerFront(
            handler,
            WireSettings(**{"sweep": 0.01, "drain_timeout": 0.2, "drain_idle": 0.02, "drain_first": 0.02, **settings}),
        )  # type: ignore[arg-type]
        (sock,) = bind()
        await front.start([sock])
        served.append(Served(front, sock.getsockname()[1]))
        return served[-1]

    yield start
    for one in served:
        await one.front.drain()
