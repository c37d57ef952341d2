"""One connection, many requests, in order."""

from __future__ import annotations

import asyncio

from coffee_core.wire.message import Request, Response
from tests.coffee_core.wire.conftest import Serve
from tests.support.raw_http import until

GET = b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n"


async def test_a_connection_carries_one_request_after_another(serve: Serve) -> None:
    served = await serve()
    async with await served.client() as client:
        for number in range(3):
            answer = await client.ask(GET % number)
            assert (answer.status, answer.body) == (200, b"GET /%d ? " % number)
        assert len(served.front.connections) == 1


async def test_pipelined_requests_are_answered_in_order_even_if_the_first_takes_longest(serve: Serve) -> None:
    release = asyncio.Event()

    async def handler(request: Request) -> Response:
        if request.path == "/0":
            await release.wait()
        return Response(200, request.path.encode())

    served = await serve(handler)
    async with await served.client() as client:
        client.send(b"".join(GET % number for number in range(50)))
        await client.flush()
        release.set()
        assert [(await client.answer()).body for _ in range(50)] == [b"/%d" % number for number in range(50)]


async def test_pipelined_bodies_stay_apart(serve: Serve) -> None:
    served = await serve()
    first = b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nfirst"
    second = b"POST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    second += b"3\r\nsec\r\n3;x=y\r\nond\r\n0\r\nt: u\r\n\r\n"
    async with await served.client() as client:
        client.send(first + second + GET % 3)
        bodies = [(await client.answer()).body for _ in range(3)]
    assert bodies == [b"POST /1 ? first", b"POST /2 ? second", b"GET /3 ? "]


async def test_reading_pauses_while_too_much_is_pipelined(serve: Serve) -> None:
    release = asyncio.Event()

    async def handler(request: Request) -> Response:
        await release.wait()
        return Response(200, request.path.encode())

    served = await serve(handler, pipelined=1000)
    async with await served.client() as client:
        client.send(b"".join(GET % number for number in range(500)))
        await until(lambda: any(not c.reading for c in served.front.connections), "reading paused")
        release.set()
        assert [(await client.answer()).body for _ in range(500)] == [b"/%d" % number for number in range(500)]


async def test_connection_close_is_honoured(serve: Serve) -> None:
    served = await serve()
    async with await served.client() as client:
        answer = await client.ask(b"GET / HTTP/1.1\r\nhost: a\r\nConnection: Close\r\n\r\n")
        assert answer.header(b"connection") == b"close"
        assert await client.closed()


async def test_http_1_0_gets_its_answer_and_the_end(serve: Serve) -> None:
    served = await serve()
    async with await served.client() as client:
        answer = await client.ask(b"GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        assert (answer.status, answer.body, answer.header(b"connection")) == (200, b"GET /x ? ", b"close")
        assert await client.closed()


async def test_an_idle_connection_is_closed_without_a_word(serve: Serve) -> None:
    served = await serve(idle_timeout=0.05)
    async with await served.client() as client:
        assert (await client.ask(GET % 1)).status == 200
        assert await client.closed()


async def test_a_connection_beyond_the_bound_is_told_so(serve: Serve) -> None:
    served = await serve(max_connections=1)
    async with await served.client() as first, await served.client() as second:
        assert (await first.ask(GET % 1)).status == 200
        assert (await second.answer()).status == 503
        assert await second.closed()
        assert (await first.ask(GET % 2)).status == 200


async def test_a_half_closed_client_gets_the_answers_it_asked_for(serve: Serve) -> None:
    served = await serve()
    async with await served.client() as client:
        client.send(GET % 1 + GET % 2)
        client.half_close()
        assert [(await client.answer()).body for _ in range(2)] == [b"GET /1 ? ", b"GET /2 ? "]
        assert await client.closed()
