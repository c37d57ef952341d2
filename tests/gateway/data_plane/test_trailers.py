"""Trailers pass where both sides know them, and say nothing that a head could not have said."""

from __future__ import annotations

import pytest

from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import BOUND
from tests.support.raw_upstream import RawUpstream, Visit, always

TE = b"GET /a HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n"
ANSWER = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    b"server-timing: db;dur=53\r\nx-bb-uid: 9\r\nContent-Length: 5\r\nset-cookie: a=b\r\nx-checksum:abc\r\n\r\n"
)


async def said(plane: Plane, request: bytes) -> bytes:
    """The answer's body with its framing."""
    import asyncio

    async with await plane.client() as client:
        client.send(request)
        await client.head()
        async with asyncio.timeout(BOUND):
            return await client.reader.readuntil(b"\r\n\r\n")


async def test_an_answers_trailers_reach_who_reads_them(start: Start) -> None:
    plane = await start(always(ANSWER))
    assert await said(plane, TE) == b"5\r\nhello\r\n0\r\nserver-timing: db;dur=53\r\nx-checksum:abc\r\n\r\n"
    headers = plane.upstream.asked[0].headers
    assert (b"te", b"trailers") in headers
    assert (b"connection", b"te") in headers


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n", id="not asked for"),
        pytest.param(b"GET /a HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n", id="not of this hop"),
        pytest.param(b"GET /a HTTP/1.1\r\nhost: a\r\nte: gzip\r\nconnection: te\r\n\r\n", id="something else"),
    ],
)
async def test_others_get_none(start: Start, request_: bytes) -> None:
    plane = await start(always(ANSWER))
    assert await said(plane, request_) == b"5\r\nhello\r\n0\r\n\r\n"
    assert b"te" not in dict(plane.upstream.asked[0].headers)


async def test_a_requests_trailers_pass_but_for_what_the_verdict_would_have_dropped(start: Start) -> None:
    got: list[bytes] = []

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.head()
        got.append(await visit.reader.readuntil(b"\r\n\r\n"))
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    plane = await start(script)
    forged = (
        b"x-bb-uid: 1\r\nX_BB_Partner-Id: 1\r\nauthorization: Bearer x\r\ncookie: a\r\nhost: b\r\ncontent-length: 1\r\n"
        b"transfer-encoding: chunked\r\nx-forwarded-for: 1.1.1.1\r\nexpect: 100-continue\r\nte: x\r\nif-match: *\r\n"
    )
    async with await plane.client() as client:
        for when in (b"", b"/later"):
            plane.verdict.release.set()
            sent = b"POST %b/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n" % when
            assert (await client.ask(sent + forged + b"x-checksum: abc\r\n\r\n")).status == 200
    assert got == [b"2\r\nhi\r\n0\r\nx-checksum: abc\r\n\r\n"] * 2


async def test_trailers_of_one_request_are_not_those_of_the_next(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        begun = b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
        assert (await client.ask(begun + b"x-bb-uid: 1\r\n\r\n")).status == 200
        assert (await client.ask(begun + b"\r\n")).status == 200
