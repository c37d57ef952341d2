"""What an upstream says is believed only where it has one meaning; a confused one is dropped and harms nobody else."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.data_plane.conftest import Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit, always, saying

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200", id="half a status line"),
        pytest.param(OK + b"content-length: 5\r\n", id="half a head"),
        pytest.param(b"\x00\x01\x02\r\n\r\n", id="garbage"),
        pytest.param(b"220 mail ESMTP\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/2 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="a status of four digits"),
        pytest.param(b"HTTP/1.1 099 OK\r\n\r\n", id="a status below 100"),
        pytest.param(b"\r\nHTTP/1.1 200 OK\r\n\r\n", id="an empty line first"),
        pytest.param(b"HTTP/1.1 200 OK\ncontent-length: 0\n\n", id="line feeds alone"),
        pytest.param(OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!", id="two lengths"),
        pytest.param(OK + b"content-length: 5, 5\r\n\r\nhello", id="a list of lengths"),
        pytest.param(OK + b"content-length: -1\r\n\r\n", id="a negative length"),
        pytest.param(OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", id="length and coding"),
        pytest.param(OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="another coding"),
        pytest.param(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", id="chunks in HTTP/1.0"),
        pytest.param(OK + b"content-length : 5\r\n\r\nhello", id="a space before the colon"),
        pytest.param(OK + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n", id="a line that goes on"),
        pytest.param(OK + b"x: a\x00b\r\ncontent-length: 0\r\n\r\n", id="NUL in a header"),
        pytest.param(OK + b"x: y\r\n" * 300 + b"\r\n", id="too many headers"),
        pytest.param(OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n", id="a head too long"),
        pytest.param(OK + b"x: " + b"y" * 200_000, id="a head without end"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + OK + b"content-length: 0\r\n\r\n", id="endless 100s"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="a 100 and nothing more"),
        pytest.param(b"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", id="an unasked upgrade"),
        pytest.param(OK + b"transfer-encoding: chunked\r\n\r\n8000000000000000\r\nx", id="a chunk of 2^63"),
        pytest.param(OK + b"transfer-encoding: chunked\r\n\r\nxyz\r\n", id="a chunk of nonsense"),
    ],
)
async def test_what_is_no_answer_is_502(start: Start, said: bytes) -> None:
    plane = await start(saying(said))
    async with await plane.client() as client:
        for _ in range(2):
            answer = await client.ask(GET)
            assert (answer.status, answer.header(b"content-type")) == (502, b"application/problem+json")
    await until(lambda: plane.pool.open == 0, "the connection was dropped")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param((OK + b"content-length: 10\r\n\r\n", b"hello"), id="a length that is not reached"),
        pytest.param((OK + b"transfer-encoding: chunked\r\n\r\n", b"a\r\nhello"), id="a chunk that is not reached"),
        pytest.param((OK + b"transfer-encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"), id="chunks without a last"),
        pytest.param((OK + b"transfer-encoding: chunked\r\n\r\n", b"5\r\nhello\r\nzz\r\n"), id="chunks and nonsense"),
        pytest.param((OK + b"transfer-encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\n"), id="chunks without an end"),
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_an_answer_cut_short_never_looks_complete(start: Start, said: tuple[bytes, ...], version: bytes) -> None:
    plane = await start(saying(*said))
    async with await plane.client() as client:
        answer = await client.ask(b"GET /a HTTP/%b\r\nhost: a\r\n\r\n" % version)
    # 502 if the gateway saw the fault before it had passed anything on
    assert answer.status == 502 or not answer.complete
    (line,) = await plane.log(1)
    assert (line["status"], line["end"]) == ((502, "complete") if answer.complete else (200, "cut"))


async def test_an_answer_until_the_end_that_is_reset_is_cut(start: Start) -> None:
    passed_on = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(OK + b"\r\nhello")
        await passed_on.wait()
        visit.reset()

    plane = await start(script)
    async with await plane.client() as client:
        client.send(GET)
        assert (await client.head())[0] == 200
        assert await client.chunk() == b"hello"
        passed_on.set()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.chunk()


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged", id="a second answer"),
        pytest.param(b"garbage", id="garbage"),
    ],
)
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(OK + b"content-length: 5\r\n\r\nhello", id="after a length"),
        pytest.param(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", id="after chunks"),
    ],
)
async def test_bytes_after_an_answer_reach_nobody(start: Start, first: bytes, more: bytes) -> None:
    plane = await start(always(first + more))
    async with await plane.client() as client:
        for _ in range(3):
            assert (await client.ask(GET)).body == b"hello"
    assert len(plane.upstream.visits) == 3


async def test_bytes_that_nobody_asked_for_end_an_idle_connection(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(OK + b"content-length: 5\r\n\r\nhello")
        await visit.writer.drain()
        await until(lambda: len(plane.pool.idle) == 1, "the connection is idle")
        visit.say(OK + b"content-length: 6\r\n\r\nforged")
        await visit.reader.read(-1)

    plane = await start(script)
    async with await plane.client() as client:
        assert (await client.ask(GET)).body == b"hello"
        await until(lambda: plane.pool.open == 0, "it was dropped")
        assert (await client.ask(GET)).body == b"hello"


async def test_a_body_in_the_answer_to_head_reaches_nobody(start: Start) -> None:
    plane = await start(always(OK + b"content-length: 5\r\n\r\nhello"))
    async with await plane.client() as client:
        answer = await client.ask(b"HEAD /a HTTP/1.1\r\nhost: a\r\n\r\n", head_request=True)
        assert (answer.status, answer.header(b"content-length")) == (200, b"5")
        assert (await client.ask(GET)).body == b"hello"
    assert len(plane.upstream.visits) == 2


async def test_another_request_is_served_while_one_upstream_misbehaves(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        asked = await visit.request()
        visit.say(b"garbage\r\n\r\n" if asked.line.startswith(b"GET /bad") else OK + b"content-length: 2\r\n\r\nok")

    plane = await start(script)
    async with await plane.client() as one, await plane.client() as other:
        one.send(b"GET /bad HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await other.ask(GET)).body == b"ok"
        assert (await one.answer()).status == 502
        assert (await one.ask(GET)).body == b"ok"
