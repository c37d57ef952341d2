"""Stopping loses no request that was accepted, and closes what it opened."""

from __future__ import annotations

import asyncio

from tests.gateway.data_plane.conftest import Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"


async def test_a_request_in_flight_is_finished(start: Start) -> None:
    release = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        await release.wait()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await visit.reader.read(-1)

    plane = await start(script, wire={"drain_timeout": 5})
    async with await plane.client() as client:
        client.send(GET)
        await until(lambda: bool(plane.upstream.asked), "it is in flight")
        drain = asyncio.create_task(plane.front.drain())
        await until(lambda: plane.front.draining, "it drains")
        release.set()
        answer = await client.answer()
        assert (answer.body, answer.header(b"connection")) == (b"ok", b"close")
        await drain
    await until(lambda: plane.upstream.open == 0, "connections to the upstream are closed")


async def test_what_does_not_finish_is_cut_on_both_sides(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        await visit.reader.read(-1)

    plane = await start(script, wire={"drain_timeout": 0.05})
    async with await plane.client() as client:
        client.send(GET)
        await until(lambda: bool(plane.upstream.asked), "it is in flight")
        await plane.front.drain()
        assert await client.closed()
    await until(lambda: plane.upstream.open == 0, "the upstream has learned it")
