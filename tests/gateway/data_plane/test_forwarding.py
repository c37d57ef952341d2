"""A request reaches its upstream as it was meant, and the answer its client."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.gateway.data_plane.conftest import REQUEST_ID, Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit, always, saying

GET = b"GET /a?b=c HTTP/1.1\r\nhost: gateway\r\n\r\n"


async def test_what_the_verdict_says_is_what_the_upstream_gets(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        answer = await client.ask(
            b"GET /a?b=c HTTP/1.1\r\nHost: gateway\r\nX-BB-Uid: 1\r\nx-test: yes\r\nkeep-alive: 5\r\n"
            b"connection: keep-alive, x-hop\r\nx-hop: 1\r\nproxy-authorization: secret\r\n\r\n"
        )
    assert (answer.status, answer.body) == (200, b"GET /a?b=c HTTP/1.1 ")
    assert answer.header(b"x-bb-requestid") == REQUEST_ID
    (asked,) = plane.upstream.asked
    assert asked.line == b"GET /a?b=c HTTP/1.1"
    assert asked.headers == [
        (b"host", b"127.0.0.1:%d" % plane.upstream.port),
        (b"x-test", b"yes"),
        (b"x-bb-uid", b"7"),
        (b"x-bb-requestid", REQUEST_ID),
    ]


async def test_connections_are_kept_on_both_sides(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        for _ in range(5):
            assert (await client.ask(GET)).status == 200
    assert len(plane.upstream.visits) == 1
    await plane.at_rest()


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE"])
async def test_a_body_with_a_length_keeps_it(start: Start, method: bytes) -> None:
    plane = await start()
    async with await plane.client() as client:
        answer = await client.ask(method + b" /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")
    assert answer.body == method + b" /x HTTP/1.1 hello"
    assert plane.upstream.asked[0].header(b"content-length") == b"5"


async def test_a_chunked_body_stays_chunked_without_extensions_and_trailers(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        client.send(b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;evil=1\r\nhel\r\n")
        await until(lambda: bool(plane.upstream.visits), "the beginning has been passed on")
        answer = await client.ask(b"2\r\nlo\r\n0\r\nx-bb-uid: 1\r\n\r\n")
    assert answer.body == b"POST /x HTTP/1.1 hello"
    assert plane.upstream.asked[0].header(b"transfer-encoding") == b"chunked"


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_megabyte_goes_both_ways(start: Start, framing: str) -> None:
    plane = await start()
    body = bytes(range(256)) * 4096
    if framing == "length":
        sent = b"content-length: %d\r\n\r\n%b" % (len(body), body)
    else:
        chunks = [body[i : i + 50_000] for i in range(0, len(body), 50_000)]
        sent = (
            b"transfer-encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks)
            + b"0\r\n\r\n"
        )
    async with await plane.client() as client:
        for _ in range(3):
            answer = await client.ask(b"PUT /x HTTP/1.1\r\nhost: a\r\n" + sent)
            assert answer.body == b"PUT /x HTTP/1.1 " + body
    await plane.at_rest()


@pytest.mark.parametrize(
    ("said", "body"),
    [
        pytest.param(b"content-length: 5\r\n\r\nhello", b"hello", id="a length"),
        pytest.param(b"content-length: 0\r\n\r\n", b"", id="a length of nothing"),
        pytest.param(
            b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nt: u\r\n\r\n", b"hello", id="chunks"
        ),
        pytest.param(b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"", id="no chunks"),
        pytest.param(b"\r\nhello", b"hello", id="until the end"),
        pytest.param(b"connection: close\r\ncontent-length: 5\r\n\r\nhello", b"hello", id="a length and the end"),
    ],
)
async def test_every_framing_of_an_answer_is_read(start: Start, said: bytes, body: bytes) -> None:
    plane = await start(saying(b"HTTP/1.1 200 OK\r\n" + said))
    async with await plane.client() as client:
        for _ in range(2):
            answer = await client.ask(GET)
            assert (answer.status, answer.body, answer.complete) == (200, body, True)


async def test_headers_of_the_hop_and_of_the_gateway_stop_here(start: Start) -> None:
    plane = await start(
        saying(
            b"HTTP/1.1 200 Fine\r\ncontent-length: 2\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\n"
            b"x-bb-requestid: forged\r\nx-bb-identity: statement\r\naccess-control-allow-origin: *\r\n"
            b'set-cookie: a=b\r\nset-cookie: c=d\r\netag: "1"\r\n\r\nok'
        )
    )
    async with await plane.client() as client:
        answer = await client.ask(GET)
    assert answer.headers == [
        (b"set-cookie", b"a=b"),
        (b"set-cookie", b"c=d"),
        (b"etag", b'"1"'),
        (b"content-length", b"2"),
        (b"x-bb-requestid", REQUEST_ID),
    ]


async def test_a_head_request_gets_the_length_of_a_body_that_does_not_come(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        for _ in range(2):
            answer = await client.ask(b"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", head_request=True)
            assert (answer.status, answer.header(b"content-length")) == (200, b"17")
    assert len(plane.upstream.visits) == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_none(start: Start, status: int) -> None:
    plane = await start(always(b'HTTP/1.1 %d X\r\netag: "1"\r\n\r\n' % status))
    async with await plane.client() as client:
        for _ in range(2):
            answer = await client.ask(GET)
            assert (answer.status, answer.header(b"etag")) == (status, b'"1"')
            assert b"transfer-encoding" not in dict(answer.headers)
    assert len(plane.upstream.visits) == 1


async def test_http_1_0_gets_a_chunked_answer_until_the_end(start: Start) -> None:
    plane = await start(always(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
    async with await plane.client() as client:
        answer = await client.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert (answer.body, answer.header(b"transfer-encoding")) == (b"hello", b"")
        assert await client.closed()


async def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % number for number in range(40)))
        bodies = [(await client.answer()).body for _ in range(40)]
    assert bodies == [b"GET /%d HTTP/1.1 " % number for number in range(40)]
    assert len(plane.upstream.visits) == 1


@pytest.mark.parametrize("refused", [True, False])
async def test_a_body_is_asked_for_by_who_wants_it(start: Start, refused: bool) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        asked = await visit.head()
        assert asked.header(b"expect") == b"100-continue"
        if refused:
            visit.say(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n")
            return
        visit.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n" + await visit.body(asked))

    plane = await start(script)
    async with await plane.client() as client:
        client.send(b"PUT /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        if refused:
            answer = await client.answer()
            assert (answer.status, answer.header(b"connection")) == (413, b"close")
            assert await client.closed()
        else:
            assert await client.head() == (100, [])
            assert (await client.ask(b"hello")).body == b"hello"


HINTS = (
    b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\nx-bb-identity: secret\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n"
    b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
)


async def test_interim_answers_arrive_without_what_is_not_for_the_client(start: Start) -> None:
    plane = await start(always(HINTS))
    async with await plane.client() as client:
        client.send(GET)
        assert await client.head() == (103, [(b"link", b"</x>")])
        assert await client.head() == (102, [])
        assert (await client.answer()).body == b"ok"
        assert (await client.ask(GET)).status == 103, "and the connection goes on"


async def test_an_http_1_0_client_gets_no_interim_answer(start: Start) -> None:
    plane = await start(always(HINTS))
    async with await plane.client() as client:
        answer = await client.ask(b"GET /x HTTP/1.0\r\nhost: a\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"ok")


async def test_server_sent_events_arrive_one_by_one(start: Start) -> None:
    more = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(3):
            visit.say(b"9\r\ndata: %d\n\n\r\n" % number)
            await more.wait()
            more.clear()
        visit.say(b"0\r\n\r\n")
        await visit.request()

    plane = await start(script)
    async with await plane.client() as client:
        client.send(GET)
        assert (await client.head())[0] == 200
        for number in range(3):
            assert await client.chunk() == b"data: %d\n\n" % number
            more.set()
        assert await client.chunk() == b""


async def test_an_answer_may_come_before_the_request_has_ended(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.head()
        visit.say(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno")
        await visit.reader.read(-1)

    plane = await start(script)
    async with await plane.client() as client:
        client.send(b"PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 50000000\r\n\r\n" + b"x" * 100_000)
        answer = await client.answer()
        assert (answer.status, answer.body, answer.header(b"connection")) == (403, b"no", b"close")
    await plane.at_rest()
    assert plane.pool.open == 0


async def test_a_decision_that_takes_its_time_keeps_the_body(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        client.send(b"PUT /later/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        client.send(b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n")
        await until(lambda: bool(plane.front.connections), "it is being decided")
        assert not plane.upstream.visits
        plane.verdict.release.set()
        assert (await client.answer()).body == b"PUT /x HTTP/1.1 hello"
        assert (await client.answer()).body == b"GET /next HTTP/1.1 "


@pytest.mark.parametrize("when", [b"", b"/later"])
async def test_a_refusal_is_a_problem_and_the_connection_goes_on(start: Start, when: bytes) -> None:
    plane = await start()
    plane.verdict.release.set()
    async with await plane.client() as client:
        for _ in range(2):
            answer = await client.ask(b"POST %b/no HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello" % when)
            assert (answer.status, answer.header(b"content-type")) == (401, b"application/problem+json")
            assert answer.header(b"www-authenticate") == b"Bearer"
            assert json.loads(answer.body)["requestId"].encode() == answer.header(b"x-bb-requestid") == REQUEST_ID
    assert not plane.upstream.visits


@pytest.mark.parametrize("when", [b"", b"/later"])
@pytest.mark.parametrize("size", [0, 5, 300_000])
async def test_the_gateways_own_routes_are_answered_by_the_edge(start: Start, when: bytes, size: int) -> None:
    plane = await start()
    plane.verdict.release.set()
    async with await plane.client() as client:
        for _ in range(2):
            answer = await client.ask(
                b"POST %b/own/x HTTP/1.1\r\nhost: a\r\nX-BB-Uid: 1\r\nx_bb_partner-id: 2\r\n"
                b"content-length: %d\r\n\r\n%b" % (when, size, b"x" * size)
            )
            assert answer.status == 200
            assert answer.header(b"x-bb-requestid") == REQUEST_ID
            seen = json.loads(answer.body)
            assert seen["body"] == size
            assert [name for name in seen["headers"] if "bb" in name] == ["x-bb-requestid"]
    assert not plane.upstream.visits


async def test_an_upstream_without_targets_is_503(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        answer = await client.ask(b"GET /missing HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (answer.status, answer.header(b"retry-after")) == (503, b"1")
        assert (await client.ask(GET)).status == 200
