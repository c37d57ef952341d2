"""Work for a client that has gone is cancelled, and nothing of it stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coffee_core.wire.message import Request, Response
from tests.coffee_core.wire.conftest import Serve
from tests.support.raw_http import until


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_the_handler_of_a_client_that_left_is_cancelled(serve: Serve, how: str) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Response(200)

    served = await serve(handler, half_close_grace=0.05)
    client = await served.client()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    await started.wait()
    client.reset() if how == "reset" else client.writer.close()
    async with asyncio.timeout(5):
        await cancelled.wait()
    await until(lambda: not served.front.connections and not served.front.leaving, "nothing is left")


async def test_a_stream_that_lost_its_reader_is_closed(serve: Serve) -> None:
    closed = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: x\n\n"
                await asyncio.sleep(0.005)
        finally:
            closed.set()

    async def handler(request: Request) -> Response:
        return Response(200, content_type=b"text/event-stream", stream=pieces())

    served = await serve(handler)
    client = await served.client()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    await client.head()
    await client.chunk()
    client.writer.close()
    async with asyncio.timeout(5):
        await closed.wait()


async def test_a_body_that_breaks_off_is_not_taken_for_complete(serve: Serve) -> None:
    outcome: list[object] = []

    async def handler(request: Request) -> Response:
        try:
            outcome.append(await request.body.read(10**6))
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise
        return Response(200)

    served = await serve(handler, buffered_body=10)
    async with await served.client() as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nhalf")
        await until(lambda: bool(served.front.connections), "connected")
        client.half_close()
        assert (await client.answer()).status == 400
    await until(lambda: outcome == ["cancelled"], "the handler was cancelled")


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_visits_of_every_length_leave_no_descriptor_behind(serve: Serve) -> None:
    served = await serve()
    before = descriptors()
    for number in range(200):
        client = await served.client()
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[: number % 28])
        client.reset() if number % 2 else client.writer.close()
    await until(lambda: not served.front.connections, "all are gone")
    await until(lambda: descriptors() <= before, "their descriptors too")
