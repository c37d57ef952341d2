"""A connection becomes a tunnel when both ends want it, and ends with either."""

from __future__ import annotations

import pytest

from tests.gateway.data_plane.conftest import Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit

SWITCH = (
    b"GET /ws HTTP/1.1\r\nhost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nsec-websocket-accept: s\r\n\r\n"
)


async def echo(visit: Visit, upstream: RawUpstream) -> None:
    """Switches, greets, and sends back what it gets."""
    upstream.asked.append(await visit.request())
    visit.say(SWITCHED + b"welcome")
    while data := await visit.reader.read(65536):
        visit.say(data)
        await visit.writer.drain()


async def test_a_websocket_goes_through(start: Start) -> None:
    plane = await start(echo)
    async with await plane.client() as client:
        client.send(SWITCH)
        status, headers = await client.head()
        assert status == 101
        assert dict(headers)[b"upgrade"] == b"websocket"
        assert dict(headers)[b"connection"] == b"upgrade"
        assert dict(headers)[b"sec-websocket-accept"] == b"s"
        assert await client.reader.readexactly(7) == b"welcome"
        for size in (1, 1000, 500_000):
            client.send(b"x" * size)
            assert await client.reader.readexactly(size) == b"x" * size
    asked = plane.upstream.asked[0]
    assert (asked.header(b"connection"), asked.header(b"upgrade")) == (b"upgrade", b"websocket")
    await plane.at_rest()
    assert plane.pool.open == 0
    (line,) = await plane.log(1)
    assert (line["status"], line["bytes"]) == (101, 501_001)


async def test_bytes_that_come_with_the_request_wait_for_the_switch(start: Start) -> None:
    plane = await start(echo)
    async with await plane.client() as client:
        client.send(SWITCH + b"early")
        assert (await client.head())[0] == 101
        assert await client.reader.readexactly(12) == b"welcomeearly"


async def test_the_upstreams_end_is_the_clients_end(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(SWITCHED + b"bye")

    plane = await start(script)
    async with await plane.client() as client:
        client.send(SWITCH)
        assert (await client.head())[0] == 101
        assert await client.rest() == b"bye"
    await plane.at_rest()


async def test_a_client_that_sends_no_more_still_hears_the_rest(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(SWITCHED)
        said = await visit.reader.read(-1)
        visit.say(b"you said " + said)

    plane = await start(script)
    async with await plane.client() as client:
        client.send(SWITCH)
        await client.head()
        client.send(b"hello")
        client.half_close()
        assert await client.rest() == b"you said hello"


async def test_a_refused_upgrade_is_an_answer_like_any_other(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            await visit.request()
            visit.say(b"HTTP/1.1 426 No\r\ncontent-length: 2\r\n\r\nno")

    plane = await start(script)
    async with await plane.client() as client:
        for _ in range(2):
            answer = await client.ask(SWITCH)
            assert (answer.status, answer.body) == (426, b"no")


@pytest.mark.parametrize("protocol", [b"h2c", b"other", b"websocket, h2c"])
async def test_a_switch_to_something_else_is_502(start: Start, protocol: bytes) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: %b\r\n\r\n" % protocol)

    plane = await start(script)
    async with await plane.client() as client:
        assert (await client.ask(SWITCH)).status == 502
    assert plane.pool.open == 0


async def test_a_tunnel_in_which_nothing_moves_is_cut(start: Start) -> None:
    plane = await start(echo, idle_timeout=0.1)
    async with await plane.client() as client:
        client.send(SWITCH)
        await client.head()
        assert await client.rest() == b"welcome"
    await plane.at_rest()


async def test_a_slow_reader_in_a_tunnel_is_waited_for(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(SWITCHED)
        for _ in range(300):
            visit.say(b"x" * 100_000)
            await visit.writer.drain()

    plane = await start(script)
    async with await plane.client(receive_buffer=8192) as client:
        client.send(SWITCH)
        await client.head()
        await until(lambda: any(not c.writable for c in plane.front.connections), "the client's side is full")
        assert sum(c.transport.get_write_buffer_size() for c in plane.front.connections) < 2_000_000
        assert len(await client.rest()) == 30_000_000
