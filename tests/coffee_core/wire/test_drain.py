"""Stopping loses no request that was accepted."""

from __future__ import annotations

import asyncio

import pytest

from coffee_core.wire.message import Request, Response
from tests.coffee_core.wire.conftest import Serve
from tests.support.raw_http import RawClient, until

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


async def test_a_request_in_flight_is_finished_and_idle_connections_are_closed(serve: Serve) -> None:
    release = asyncio.Event()

    async def handler(request: Request) -> Response:
        if request.path == "/slow":
            await release.wait()
        return Response(200, b"done")

    served = await serve(handler, drain_timeout=5)
    async with await served.client() as idle, await served.client() as busy:
        assert (await idle.ask(GET)).status == 200
        busy.send(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        await until(lambda: any(c.phase == 3 for c in served.front.connections), "a request is in flight")
        drain = asyncio.create_task(served.front.drain())
        assert await idle.closed()
        with pytest.raises(ConnectionRefusedError):
            await RawClient.connect(served.port)
        assert not drain.done()
        release.set()
        answer = await busy.answer()
        assert (answer.body, answer.header(b"connection")) == (b"done", b"close")
        assert await busy.closed()
        await drain


async def test_who_has_connected_and_not_asked_yet_is_answered_while_others_are_told_to_go(serve: Serve) -> None:
    served = await serve(drain_timeout=5, drain_first=5)
    async with await served.client() as idle, await served.client() as new:
        assert (await idle.ask(GET)).status == 200
        await until(lambda: len(served.front.connections) == 2, "both are accepted")
        drain = asyncio.create_task(served.front.drain())
        assert await idle.closed()
        answer = await new.ask(GET)
        assert (answer.status, answer.header(b"connection")) == (200, b"close")
        assert await new.closed()
        await drain


async def test_who_connects_and_never_asks_does_not_hold_a_drain_up(serve: Serve) -> None:
    served = await serve(drain_timeout=5, drain_first=0.05)
    async with await served.client() as silent:
        await until(lambda: len(served.front.connections) == 1, "it is accepted")
        await served.front.drain()
        assert await silent.closed()


async def test_what_does_not_finish_is_cut(serve: Serve) -> None:
    cancelled = asyncio.Event()

    async def handler(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Response(200)

    served = await serve(handler, drain_timeout=0.05)
    async with await served.client() as client:
        client.send(GET)
        await until(lambda: any(c.phase == 3 for c in served.front.connections), "a request is in flight")
        await served.front.drain()
        assert await client.closed()
    assert cancelled.is_set()
