"""A client that dawdles costs a connection for a bounded time, and memory for none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from coffee_core.wire.message import Request, Response
from tests.coffee_core.wire.conftest import Serve
from tests.support.raw_http import until


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"GET / HT", id="a head that stops"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel", id="a small body that stops"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 500000\r\n\r\nhel", id="a large body that stops"),
        pytest.param(
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", id="a chunk that stops"
        ),
    ],
)
async def test_what_stops_half_way_is_answered_408(serve: Serve, begun: bytes) -> None:
    served = await serve(head_timeout=0.05, body_timeout=0.05)
    async with await served.client() as client:
        answer = await client.ask(begun)
        assert (answer.status, answer.header(b"connection")) == (408, b"close")
        assert await client.closed()
    await until(lambda: not served.front.leaving, "its handler has ended")


async def test_a_head_that_comes_byte_by_byte_does_not_get_more_time(serve: Serve) -> None:
    served = await serve(head_timeout=0.1)
    async with await served.client() as client:

        async def drip() -> None:
            while True:
                client.send(b"x")
                await asyncio.sleep(0.01)

        client.send(b"GET /")
        dripping = asyncio.create_task(drip())
        answer = await client.answer()
        dripping.cancel()
        assert answer.status == 408


async def test_a_body_that_drips_is_below_the_rate(serve: Serve) -> None:
    served = await serve(body_timeout=0.1, body_rate=10_000)
    async with await served.client() as client:

        async def drip() -> None:
            while True:
                client.send(b"x")
                await asyncio.sleep(0.01)

        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n")
        dripping = asyncio.create_task(drip())
        answer = await client.answer()
        dripping.cancel()
        assert answer.status == 408


async def test_a_streamed_answer_waits_for_its_reader(serve: Serve) -> None:
    made = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(2000):
            made += 1
            yield b"x" * 16384

    async def handler(request: Request) -> Response:
        return Response(200, stream=pieces())

    served = await serve(handler)
    async with await served.client(receive_buffer=8192) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await client.head()
        await until(lambda: any(not c.writable for c in served.front.connections), "the producer was paused")
        before = made
        assert before < 1000  # 32 MB in all, of which the kernel took some
        for _ in range(2000):
            assert len(await client.chunk()) == 16384
        assert await client.chunk() == b""
        assert made == 2000


async def test_an_answer_that_nobody_reads_is_cut(serve: Serve) -> None:
    ended = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            ended.set()

    async def handler(request: Request) -> Response:
        return Response(200, stream=pieces())

    served = await serve(handler, write_timeout=0.1)
    async with await served.client(receive_buffer=8192) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        async with asyncio.timeout(5):
            await ended.wait()
        await until(lambda: not served.front.connections, "the connection is gone")


async def test_a_body_that_nobody_reads_yet_stays_with_its_sender(serve: Serve) -> None:
    release = asyncio.Event()

    async def handler(request: Request) -> Response:
        await release.wait()
        return Response(200, b"%d" % len(await request.body.read(10**8)))

    served = await serve(handler, body_window=100_000, body_timeout=0.05)
    size = 20_000_000
    async with await served.client() as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size)
        client.send(b"x" * size)
        await until(lambda: any(not c.reading for c in served.front.connections), "reading paused")
        await asyncio.sleep(0.15)  # longer than body_timeout: time that we do not read is not the client's
        assert client.writer.transport.get_write_buffer_size() > size // 4
        release.set()
        assert (await client.answer()).body == b"%d" % size
