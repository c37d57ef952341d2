"""Whoever is slow is waited for, in both directions, and memory does not grow for it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

from coffee_core.wire.listen import bind
from coffee_core.wire.message import Request, Response
from coffee_core.wire.server import HandlerFront
from coffee_core.wire.settings import WireSettings
from gateway.data_plane.client_side import GatewayConnection
from gateway.data_plane.forwarding import Forwarding
from gateway.data_plane.targets import Target
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit

SIZE = 30_000_000
MOST = 2_000_000
"""Bytes that may be in the gateway at any time: windows and one read on each side, far below SIZE."""


def held(plane: Plane) -> int:
    """What waits in the gateway to be written."""
    clients = sum(client.transport.get_write_buffer_size() for client in plane.front.connections)
    visits = [client.forwarding.connection for client in plane.front.connections if client.forwarding]  # type: ignore[attr-defined]
    return clients + sum(visit.transport.get_write_buffer_size() for visit in visits if visit)


async def test_a_slow_reader_makes_the_upstream_wait(start: Start) -> None:
    sent = 0

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        nonlocal sent
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
        for _ in range(SIZE // 100_000):
            visit.say(b"x" * 100_000)
            await visit.writer.drain()
            sent += 100_000
        await visit.request()

    plane = await start(script)
    async with await plane.client(receive_buffer=8192) as client:
        client.send(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
        await client.head()
        await until(lambda: any(not c.writable for c in plane.front.connections), "the client's side is full")
        await until(lambda: plane.pool.busy == 1 and held(plane) > 0, "something waits")
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert held(plane) < MOST
        assert sent < SIZE
        left = SIZE
        while left:
            left -= len(await client.reader.read(1 << 20))
            assert held(plane) < MOST
    assert sent == SIZE


async def test_a_slow_upstream_makes_the_client_wait(start: Start) -> None:
    read = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        asked = await visit.head()
        await read.wait()
        body = await visit.body(asked)
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n%8d" % len(body))
        await visit.request()

    plane = await start(script)
    async with await plane.client() as client:
        client.send(b"PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % SIZE + b"x" * SIZE)
        await until(lambda: any(not c.reading for c in plane.front.connections), "reading has paused")
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert held(plane) < MOST
        assert client.writer.transport.get_write_buffer_size() > SIZE // 3
        read.set()
        assert (await client.answer()).body == b"%8d" % SIZE


async def test_a_reader_that_stops_is_cut_and_its_upstream_is_free(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            visit.say(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await visit.writer.drain()

    plane = await start(script, wire={"write_timeout": 0.1})
    async with await plane.client(receive_buffer=8192) as client:
        client.send(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
        await client.head()
        await plane.at_rest()
        assert plane.pool.open == 0


async def test_a_body_that_nobody_read_leaves_the_next_caller_alone(start: Start) -> None:
    """The module paused reading in the middle of it, and answered: its connection is another caller's next."""
    answer = asyncio.Event()

    async def deaf(_: Request) -> Response:
        await answer.wait()
        return Response(403, b"{}")

    module = HandlerFront(deaf, WireSettings())
    (sock,) = bind()
    await module.start([sock])
    plane = await start(targets=[Target("127.0.0.1", sock.getsockname()[1])], head_timeout=5.0)
    body = b"x" * (WireSettings().body_window + 1)
    async with await plane.client() as one, await plane.client() as other:
        one.send(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await until(lambda: any(not each.reading for each in module.connections), "the module reads no more")
        answer.set()
        assert (await one.answer()).status == 403
        for client in (other, one):
            assert (await client.ask(b"GET /b HTTP/1.1\r\nhost: a\r\n\r\n")).status == 403
    await module.drain()


async def test_a_connection_with_an_unsent_body_is_nobody_elses(start: Start) -> None:
    """The upstream answers and reads no more, while the end of a body waits to be written to it."""
    answer = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.head())
        if len(upstream.asked) == 1:
            cast("asyncio.Transport", visit.writer.transport).pause_reading()
            await answer.wait()
            visit.say(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n")
            await asyncio.Event().wait()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    plane = await start(script, head_timeout=5.0)
    async with await plane.client() as client, await plane.client() as other:
        client.send(b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        await until(lambda: bool(plane.upstream.asked), "the head has been passed on")
        (asked,) = [each for each in connections(plane) if each.forwarding is not None]
        forwarding = asked.forwarding
        assert isinstance(forwarding, Forwarding)
        upstream = forwarding.connection
        assert upstream is not None
        taken, piece = 0, b"x" * 16_000
        while not upstream.transport.get_write_buffer_size():
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            taken += len(piece)
            await until(partial(seen, asked, taken), "the gateway has the piece")
        client.send(b"0\r\n\r\n")
        await until(lambda: forwarding.request_complete, "the gateway has all of it")
        answer.set()
        assert (await client.answer()).status == 413
        for each in (other, client):
            assert (await each.ask(b"GET /b HTTP/1.1\r\nhost: a\r\n\r\n")).status == 200


def seen(client: GatewayConnection, size: int) -> bool:
    return client.seen == size


def connections(plane: Plane) -> list[GatewayConnection]:
    return [each for each in plane.front.connections if isinstance(each, GatewayConnection)]
