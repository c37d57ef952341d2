"""What is written is exactly one answer, and a body cut short never looks complete."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from coffee_core.wire.message import Request, Response
from tests.coffee_core.wire.conftest import Serve
from tests.support.raw_http import RawClient

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n"


async def stream(*pieces: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    """Pieces, and then perhaps an error."""
    for piece in pieces:
        yield piece
    if error is not None:
        raise error


async def test_a_small_answer_is_written_as_it_was_given(serve: Serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(201, b"{}", headers=[(b"etag", b'"1"'), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")])

    served = await serve(handler)
    async with await served.client() as client:
        answer = await client.ask(GET)
        (name, _), *others = answer.headers
        assert name == b"date"
        assert (answer.status, answer.body) == (201, b"{}")
        assert others == [
            (b"content-type", b"application/json"),
            (b"content-length", b"2"),
            (b"etag", b'"1"'),
            (b"set-cookie", b"a=b"),
            (b"set-cookie", b"c=d"),
        ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_head_has_the_headers_and_no_body(serve: Serve, streamed: bool) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, stream=stream(b"hello")) if streamed else Response(200, b"hello")

    served = await serve(handler)
    async with await served.client() as client:
        for _ in range(2):
            answer = await client.ask(HEAD, head_request=True)
            framing = (b"transfer-encoding", b"chunked") if streamed else (b"content-length", b"5")
            assert answer.status == 200
            assert framing in answer.headers


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_may_have_no_body_has_none(serve: Serve, status: int, streamed: bool) -> None:
    async def handler(request: Request) -> Response:
        return Response(status, stream=stream(b"hello")) if streamed else Response(status, b"hello")

    served = await serve(handler)
    async with await served.client() as client:
        for _ in range(2):
            answer = await client.ask(GET)
            assert answer.status == status
            assert {b"content-length", b"transfer-encoding", b"content-type"}.isdisjoint(dict(answer.headers))


async def test_a_stream_is_chunked_and_its_connection_goes_on(serve: Serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, stream=stream(b"", b"hello", b"", b" world"))

    served = await serve(handler)
    async with await served.client() as client:
        for _ in range(2):
            assert (await client.ask(GET)).body == b"hello world"


async def test_an_empty_piece_sends_the_head_at_once(serve: Serve) -> None:
    release = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b""
        await release.wait()
        yield b"late"

    async def handler(request: Request) -> Response:
        return Response(200, stream=pieces())

    served = await serve(handler)
    async with await served.client() as client:
        client.send(GET)
        assert (await client.head())[0] == 200
        release.set()
        assert await client.chunk() == b"late"


async def test_a_stream_for_http_1_0_ends_with_the_connection(serve: Serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, stream=stream(b"hello", b" world"))

    served = await serve(handler)
    async with await served.client() as client:
        answer = await client.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert (answer.body, answer.header(b"transfer-encoding")) == (b"hello world", b"")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_error_in_the_middle_of_a_stream_cuts_the_connection(serve: Serve, version: bytes) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, stream=stream(b"hello", error=RuntimeError("broken")))

    served = await serve(handler)
    async with await served.client() as client:
        answer = await client.ask(b"GET / HTTP/%b\r\nhost: a\r\n\r\n" % version)
        assert not answer.complete


async def test_an_error_before_a_streams_first_piece_is_a_500(serve: Serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, stream=stream(error=RuntimeError("broken")))

    served = await serve(handler)
    async with await served.client() as client:
        assert (await client.ask(GET)).status == 500
        assert (await client.ask(GET)).status == 500


async def test_a_handler_that_raises_is_a_500_without_its_words(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        raise RuntimeError("the password is hunter2")

    served = await serve(handler)
    with caplog.at_level(logging.ERROR, "coffee.wire"):
        async with await served.client() as client:
            answer = await client.ask(GET)
    assert (answer.status, answer.header(b"content-type")) == (500, b"application/problem+json")
    assert b"hunter2" not in answer.body
    assert "hunter2" in caplog.text


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=c", b"a\nb", b"a\rb"])
async def test_a_line_end_in_a_header_never_reaches_the_client(serve: Serve, value: bytes) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, headers=[(b"x", value)])

    served = await serve(handler)
    async with await served.client() as client:
        answer = await client.ask(GET)
        assert answer.status == 500
        assert b"x" not in dict(answer.headers)
        assert b"set-cookie" not in dict(answer.headers)


async def expect(client: RawClient, length: int) -> None:
    """Announce a body and hold it back."""
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % length)


@pytest.mark.parametrize("length", [5, 200_000])
async def test_a_body_that_is_held_back_is_asked_for(serve: Serve, length: int) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, b"%d" % len(await request.body.read(10**6)))

    served = await serve(handler)
    async with await served.client() as client:
        for _ in range(2):
            await expect(client, length)
            assert await client.head() == (100, [])
            assert (await client.ask(b"x" * length)).body == b"%d" % length


async def test_a_body_that_nobody_wants_is_not_asked_for(serve: Serve) -> None:
    async def handler(request: Request) -> Response:
        return Response(403)

    served = await serve(handler)
    async with await served.client() as client:
        await expect(client, 200_000)
        answer = await client.answer()
        assert (answer.status, answer.header(b"connection")) == (403, b"close")
        assert await client.closed()


@pytest.mark.parametrize(("length", "kept"), [(70_000, True), (900_000, False)])
async def test_the_rest_of_an_unread_body_is_dropped_if_it_is_small(serve: Serve, length: int, kept: bool) -> None:
    async def handler(request: Request) -> Response:
        return Response(403)

    served = await serve(handler, discard=100_000)
    async with await served.client() as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % length)
        assert (await client.answer()).status == 403
        client.send(b"x" * length)
        if kept:
            assert (await client.ask(GET)).status == 403
        else:
            assert await client.closed()
