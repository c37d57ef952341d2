"""Everything a client can make large has a bound with an answer of its own."""

from __future__ import annotations

import pytest

from coffee_core.domain.errors import TooLargeError
from coffee_core.wire.message import Request, Response
from tests.coffee_core.wire.conftest import Serve


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        pytest.param(414, b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", id="a long request line"),
        pytest.param(414, b"GET /" + b"x" * 9000, id="a request line without end"),
        pytest.param(431, b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 5000 + b"\r\n\r\n", id="a long header"),
        pytest.param(431, b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 9000, id="a header without end"),
        pytest.param(431, b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 20 + b"\r\n", id="many headers"),
        pytest.param(413, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100001\r\n\r\n", id="a large body"),
        pytest.param(
            413,
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 25,
            id="a body in too many chunks",
        ),
    ],
)
async def test_more_than_the_bound_is_refused(serve: Serve, status: int, sent: bytes) -> None:
    served = await serve(max_request_line=1000, max_head=4000, max_headers=20, max_body=100_000)
    async with await served.client() as client:
        answer = await client.ask(sent)
        assert answer.status == status
        assert await client.closed()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /" + b"x" * (1000 - 14) + b" HTTP/1.1\r\nhost: a\r\n\r\n", id="a request line"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * (4000 - 32) + b"\r\n\r\n", id="a head"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 19 + b"\r\n", id="headers"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n" + b"x" * 1000, id="a body"),
    ],
)
async def test_exactly_the_bound_is_served(serve: Serve, sent: bytes) -> None:
    served = await serve(max_request_line=1000, max_head=4000, max_headers=20, max_body=1000)
    async with await served.client() as client:
        assert (await client.ask(sent)).status == 200


async def test_a_body_above_the_endpoints_bound_is_refused_before_it_is_sent(serve: Serve) -> None:
    async def handler(request: Request) -> Response:
        try:
            await request.body.read(1000)
        except TooLargeError as error:
            return Response(413, error.detail.encode())
        return Response(200)

    served = await serve(handler, discard=10)
    async with await served.client() as client:
        answer = await client.ask(
            b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1000000\r\n\r\n"
        )
        assert (answer.status, answer.header(b"connection")) == (413, b"close")
        assert await client.closed()
