"""A caller who sends little does not make the gateway keep, or its upstreams do, much."""

from __future__ import annotations

import asyncio

import pytest

from gateway.data_plane.cache_rules import CacheSettings
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
SIZE = 30_000


async def large(visit: Visit, upstream: RawUpstream) -> None:
    """Answers that come whole, in one piece."""
    while True:
        upstream.asked.append(await visit.request())
        visit.say(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: %d\r\n\r\n%b" % (SIZE, b"x" * SIZE))


def unsent(plane: Plane) -> int:
    """Bytes of answers that the gateway keeps."""
    return sum(connection.transport.get_write_buffer_size() for connection in plane.front.connections)


@pytest.mark.parametrize("kept", [False, True], ids=["forwarded", "from the cache"])
async def test_answers_do_not_pile_up_for_one_who_asks_and_does_not_read(start: Start, kept: bool) -> None:
    routes = {"everything": CacheSettings()} if kept else {}
    plane = await start(large, cache_routes=routes)
    async with await plane.client() as first:
        assert (await first.ask(GET)).status == 200
    async with await plane.client(receive_buffer=4096) as client:
        client.send(GET * 2000)
        (one,) = [each for each in plane.front.connections if each.peer and each.phase >= 0][-1:]
        await until(lambda: not one.writable, "the client does not read")
        for _ in range(50):
            await asyncio.sleep(0)
            assert unsent(plane) < 64 * 1024 + 2 * SIZE
        asked = len(plane.upstream.asked)
        assert asked < 1000
        # and one who reads again gets all that he asked for
        for _ in range(2000):
            answer = await client.answer()
            assert (answer.status, len(answer.body)) == (200, SIZE)
    assert len(plane.upstream.asked) == (1 if kept else 2001)
    assert len(await plane.log(2001)) == 2001


async def test_one_who_never_reads_is_cut_and_logged_once(start: Start) -> None:
    plane = await start(large, wire={"write_timeout": 0.2})
    async with await plane.client(receive_buffer=4096) as client:
        client.send(GET * 2000)
        await until(lambda: bool(plane.front.connections), "it is there")
        await until(lambda: not plane.front.connections, "it was cut")
    answered = len(plane.upstream.asked)
    assert answered < 1500
    assert len(await plane.log(answered)) in {answered, answered + 1}
    await plane.at_rest()
