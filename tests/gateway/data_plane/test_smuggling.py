"""No request reaches an upstream that the verdict has not seen, however it is wrapped."""

from __future__ import annotations

import pytest

from tests.gateway.data_plane.conftest import Start
from tests.support.raw_upstream import RawUpstream, Visit

HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nhost: a\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", id="CL.TE"),
        pytest.param(POST + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n", id="TE.CL"),
        pytest.param(POST + b"transfer-encoding: xchunked\r\n\r\n", id="TE.TE, another coding"),
        pytest.param(POST + b"transfer-encoding:\x0bchunked\r\n\r\n", id="TE.TE, a vertical tab"),
        pytest.param(POST + b"transfer-encoding\r\n: chunked\r\n\r\n", id="TE.TE, a broken line"),
        pytest.param(POST + b"transfer-encoding : chunked\r\n\r\n", id="TE.TE, a space"),
        pytest.param(POST + b"x: y\r\n transfer-encoding: chunked\r\n\r\n", id="TE.TE, a continued line"),
        pytest.param(POST + b"transfer_encoding: chunked\r\n\r\n", id="TE.TE, an underscore"),
        pytest.param(POST + b"content-length: 0\r\ncontent-length: 44\r\n\r\n", id="CL.CL"),
        pytest.param(POST + b"content-length: 00000000000000000000000\r\n\r\n", id="a long zero"),
        pytest.param(POST + b"x: y\ncontent-length: 44\r\n\r\n", id="a line feed"),
        pytest.param(POST + b"x: y\rcontent-length: 44\r\n\r\n", id="a carriage return"),
        pytest.param(b"GET http://b/x HTTP/1.1\r\nhost: a\r\n\r\n", id="two hosts"),
        pytest.param(b"GET /x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", id="two host lines"),
        pytest.param(POST + b"transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", id="a chunk that is too long"),
        pytest.param(POST + b"transfer-encoding: chunked\r\n\r\n0\r\n\r", id="an end that is no end"),
    ],
)
async def test_what_is_ambiguous_hides_no_request(start: Start, sent: bytes) -> None:
    plane = await start()
    async with await plane.client() as client:
        client.send(sent + HIDDEN)
        assert b"HTTP/1.1 4" in (first := await client.rest()) or b"HTTP/1.1 5" in first
        assert first.count(b"HTTP/1.1 ") == 1
    assert not [asked for asked in plane.upstream.asked if b"/hidden" in asked.line]


async def test_a_hidden_request_in_a_body_stays_a_body(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        sized = b"content-length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN
        chunked = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
        for sent in (sized, chunked):
            assert (await client.ask(POST + sent)).body == b"POST /x HTTP/1.1 " + HIDDEN
    assert [asked.line for asked in plane.upstream.asked] == [b"POST /x HTTP/1.1"] * 2


async def test_a_get_with_a_body_takes_it_along(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        answer = await client.ask(b"GET /x HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(HIDDEN), HIDDEN))
        assert answer.body == b"GET /x HTTP/1.1 " + HIDDEN
    assert len(plane.upstream.asked) == 1


async def test_a_body_left_unread_by_the_upstream_is_no_request_on_the_next_connection(start: Start) -> None:
    """An upstream that answers without reading leaves the rest of the body on the wire: that connection is not used
    again."""

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.head())
            visit.say(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n")

    plane = await start(script)
    async with await plane.client() as client:
        client.send(POST + b"content-length: %d\r\n\r\n" % (len(HIDDEN) + 10))
        assert (await client.answer()).status == 401
        client.send(b"x" * 10 + HIDDEN)
        assert (await client.ask(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n")).status == 401
    assert [asked.line for asked in plane.upstream.asked] == [b"POST /x HTTP/1.1", b"GET /next HTTP/1.1"]


async def test_an_upgrade_to_cleartext_http_2_is_not_passed_on(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        answer = await client.ask(
            b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
            b"http2-settings: AAA\r\n\r\n"
        )
        assert answer.status == 200
    assert {b"upgrade", b"connection", b"http2-settings"}.isdisjoint(dict(plane.upstream.asked[0].headers))


async def test_an_upgrade_with_a_body_is_not_passed_on(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        answer = await client.ask(
            b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\nhi"
        )
        assert answer.body == b"GET /x HTTP/1.1 hi"
    assert {b"upgrade", b"connection"}.isdisjoint(dict(plane.upstream.asked[0].headers))
