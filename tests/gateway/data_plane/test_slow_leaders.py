"""Whoever waits for the answer to an equal request waits for its upstream, and never for its client to read."""

from __future__ import annotations

import asyncio

from gateway.data_plane.cache_rules import CacheSettings
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import RawClient, until
from tests.support.raw_upstream import RawUpstream, Visit

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
SHARED = {"everything": CacheSettings(coalesce=True)}
SIZE = 30_000_000
SHORTER = 8_000_000
"""Both are more than the kernel holds for one who does not read."""
PIECE = 100_000


class Large:
    """Its first answer is large and comes when it is told to; the others are small."""

    def __init__(self, framing: bytes, size: int) -> None:
        self.open = asyncio.Event()
        self.sent = 0
        self._framing = framing
        self._size = size

    async def __call__(self, visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.request())
            if len(upstream.asked) > 1:
                visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsmall")
                continue
            await self.open.wait()
            chunked = self._framing.startswith(b"transfer-encoding")
            visit.say(b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n%b\r\n\r\n" % self._framing)
            while self.sent < self._size:
                piece = b"x" * PIECE
                visit.say(b"%x\r\n%b\r\n" % (PIECE, piece) if chunked else piece)
                await visit.writer.drain()
                self.sent += PIECE
            visit.say(b"0\r\n\r\n" if chunked else b"")


async def followed(plane: Plane) -> tuple[RawClient, RawClient]:
    """One whose request is under way and who does not read, and another who waits for the same answer."""
    leader, waiter = await plane.client(receive_buffer=4096), await plane.client()
    leader.send(GET)
    await until(lambda: len(plane.upstream.asked) == 1, "the first asks")
    waiter.send(GET)
    caching = plane.front.caching
    assert caching is not None
    await until(lambda: any(flight.waiting for flight in caching._flights.values()), "the other one waits")
    return leader, waiter


def unsent(plane: Plane) -> int:
    """Bytes of answers that the gateway keeps for those who do not read."""
    return sum(connection.transport.get_write_buffer_size() for connection in plane.front.connections)


async def test_a_shared_answer_comes_as_fast_as_its_upstream_sends_it(start: Start) -> None:
    large = Large(b"content-length: %d" % SIZE, SIZE)
    plane = await start(large, cache_routes=SHARED, cache_answer_bytes=SIZE, cache_bytes=2 * SIZE)
    leader, waiter = await followed(plane)
    large.open.set()
    answer = await waiter.answer()
    assert (len(answer.body), answer.header(b"cache-status")) == (SIZE, b"coffee; fwd=uri-miss; collapsed")
    assert unsent(plane) > 0, "the first one has not read it"
    assert len((await leader.answer()).body) == SIZE
    assert len(plane.upstream.asked) == 1
    async with leader, waiter:
        pass
    await plane.at_rest()


async def test_an_answer_too_long_to_share_holds_up_nobody_and_does_not_pile_up(start: Start) -> None:
    large = Large(b"transfer-encoding: chunked", SIZE)
    plane = await start(large, cache_routes=SHARED, cache_answer_bytes=SHORTER)
    leader, waiter = await followed(plane)
    large.open.set()
    assert (await waiter.answer()).body == b"small"
    await until(lambda: any(not each.writable for each in plane.front.connections), "the first one's side is full")
    for _ in range(20):
        await asyncio.sleep(0.01)
        assert unsent(plane) < SHORTER + 2_000_000
    assert large.sent < SIZE
    assert len((await leader.answer()).body) == SIZE
    async with leader, waiter:
        pass
    await plane.at_rest()
