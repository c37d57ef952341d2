"""What two servers could read differently is refused, and its connection closed, so that nothing can hide behind it."""

from __future__ import annotations

import pytest

from tests.coffee_core.wire.conftest import Serve

GET = b"GET / HTTP/1.1\r\nhost: a\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"

REFUSED = [
    # framing
    (400, "length and coding", POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, "coding and length", POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
    (400, "two lengths", POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
    (400, "the same length twice", POST + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
    (400, "a list of lengths", POST + b"content-length: 5, 5\r\n\r\nhello"),
    (400, "a signed length", POST + b"content-length: +5\r\n\r\nhello"),
    (400, "a negative length", POST + b"content-length: -5\r\n\r\nhello"),
    (400, "a hexadecimal length", POST + b"content-length: 0x5\r\n\r\nhello"),
    (400, "a length with an underscore", POST + b"content-length: 1_0\r\n\r\nhellohello"),
    (400, "a length in other digits", POST + b"content-length: \xd9\xa5\r\n\r\nhello"),
    (400, "an empty length", POST + b"content-length:\r\n\r\n"),
    (400, "a length beyond 2^64", POST + b"content-length: 99999999999999999999\r\n\r\n"),
    (413, "a length beyond the bound", POST + b"content-length: 999999999999\r\n\r\n"),
    (501, "another coding", POST + b"transfer-encoding: gzip\r\n\r\n"),
    (501, "a coding that contains chunked", POST + b"transfer-encoding: xchunked\r\n\r\n"),
    (501, "two codings", POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (400, "chunked, but not last", POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    (400, "chunked twice", POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, "identity and chunked", POST + b"transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, "a coding in HTTP/1.0", b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, "a vertical tab in the coding", POST + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    (400, "an underscored length", POST + b"content_length: 5\r\n\r\nhello"),
    (400, "an underscored coding", POST + b"transfer_encoding: chunked\r\n\r\n0\r\n\r\n"),
    # lines
    (400, "line feeds alone", b"GET / HTTP/1.1\nhost: a\n\n"),
    (400, "one line feed alone", b"GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n"),
    (400, "a carriage return inside a value", GET + b"x: a\rb\r\n\r\n"),
    (400, "a line that goes on in the next", GET + b"x: a\r\n b\r\n\r\n"),
    (400, "a first line that goes on", b"GET / HTTP/1.1\r\n host: a\r\nhost: a\r\n\r\n"),
    (400, "an empty line first", b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "a space before the colon", GET + b"content-length : 5\r\n\r\nhello"),
    (400, "a tab before the colon", GET + b"x\t: y\r\n\r\n"),
    (400, "no colon", GET + b"x\r\n\r\n"),
    (400, "no name", GET + b": y\r\n\r\n"),
    (400, "a name that is no token", GET + b"x(y): z\r\n\r\n"),
    (400, "a name in other letters", GET + b"\xc3\xa9: z\r\n\r\n"),
    (400, "NUL in a value", GET + b"x: a\x00b\r\n\r\n"),
    (400, "NUL in a name", GET + b"x\x00: b\r\n\r\n"),
    (400, "a control character in a value", GET + b"x: a\x01b\r\n\r\n"),
    (400, "DEL in a value", GET + b"x: a\x7fb\r\n\r\n"),
    # request lines
    (400, "two spaces", b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "a space at the end", b"GET / HTTP/1.1 \r\nhost: a\r\n\r\n"),
    (400, "a tab", b"GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "a space in the target", b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "no version", b"GET /\r\nhost: a\r\n\r\n"),
    (400, "another protocol", b"GET / RTSP/1.0\r\nhost: a\r\n\r\n"),
    (400, "a lower case version", b"GET / http/1.1\r\nhost: a\r\n\r\n"),
    (505, "HTTP/0.9", b"GET / HTTP/0.9\r\nhost: a\r\n\r\n"),
    (505, "HTTP/1.2", b"GET / HTTP/1.2\r\nhost: a\r\n\r\n"),
    (505, "HTTP/2 in text", b"GET / HTTP/2.0\r\nhost: a\r\n\r\n"),
    (505, "the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (501, "an unknown method", b"BREW / HTTP/1.1\r\nhost: a\r\n\r\n"),
    (501, "a lower case method", b"get / HTTP/1.1\r\nhost: a\r\n\r\n"),
    (501, "a tunnel", b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n"),
    (501, "an echo of credentials", b"TRACE / HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "a method that is no token", b"G(T / HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    # targets
    (400, "an asterisk", b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "an authority", b"GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "an absolute target of another host", b"GET http://b/x HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "an absolute target with user information", b"GET http://a@b/x HTTP/1.1\r\nhost: b\r\n\r\n"),
    (400, "an absolute target of another scheme", b"GET ftp://a/x HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "a dot segment", b"GET /a/%2e%2e/b HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "an encoded slash", b"GET /a%2fb HTTP/1.1\r\nhost: a\r\n\r\n"),
    (400, "a fragment", b"GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n"),
    # hosts
    (400, "no host", b"GET / HTTP/1.1\r\n\r\n"),
    (400, "an empty host", b"GET / HTTP/1.1\r\nhost:\r\n\r\n"),
    (400, "two hosts", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
    (400, "the same host twice", b"GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n"),
    (400, "a list of hosts", b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
    (400, "a path in the host", b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
    (400, "user information in the host", b"GET / HTTP/1.1\r\nhost: a@b\r\n\r\n"),
    # others
    (417, "an unknown expectation", POST + b"expect: a cookie\r\ncontent-length: 1\r\n\r\n"),
    (400, "two content types", POST + b"content-type: a/b\r\ncontent-type: c/d\r\ncontent-length: 0\r\n\r\n"),
    (400, "two tenants", GET + b"x-bb-partner-id: 1\r\nX-BB-Partner-Id: 2\r\n\r\n"),
]


@pytest.mark.parametrize(("status", "sent"), [pytest.param(s, data, id=what) for s, what, data in REFUSED])
async def test_it_is_refused_and_nothing_after_it_is_read(serve: Serve, status: int, sent: bytes) -> None:
    served = await serve(head_timeout=0.2)
    async with await served.client() as client:
        answer = await client.ask(sent + SMUGGLED)
        assert answer.status == status, answer
        assert answer.header(b"content-type") == b"application/problem+json"
        assert answer.header(b"connection") == b"close"
        assert await client.closed()


CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"5\nhello\r\n0\r\n\r\n", id="a size line that ends in a line feed"),
        pytest.param(b"5\rhello\r\n0\r\n\r\n", id="a size line that ends in a carriage return"),
        pytest.param(b"5 \r\nhello\r\n0\r\n\r\n", id="a space after the size"),
        pytest.param(b" 5\r\nhello\r\n0\r\n\r\n", id="a space before the size"),
        pytest.param(b"0x5\r\nhello\r\n0\r\n\r\n", id="a prefix"),
        pytest.param(b"+5\r\nhello\r\n0\r\n\r\n", id="a sign"),
        pytest.param(b"5_0\r\nhello\r\n0\r\n\r\n", id="an underscore"),
        pytest.param(b"-1\r\nhello\r\n0\r\n\r\n", id="a negative size"),
        pytest.param(b"\r\nhello\r\n0\r\n\r\n", id="no size"),
        pytest.param(b"8000000000000000\r\nhello\r\n0\r\n\r\n", id="a size of 2^63"),
        pytest.param(b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", id="a size of 2^64-1"),
        pytest.param(b"10000000000000005\r\nhello\r\n0\r\n\r\n", id="a size that wraps around"),
        pytest.param(b"0000000000000000000000005\r\nhello\r\n0\r\n\r\n", id="many leading zeros"),
        pytest.param(b"5;" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n", id="an endless extension"),
        pytest.param(b"5;x\ny\r\nhello\r\n0\r\n\r\n", id="a line feed in an extension"),
        pytest.param(b"5;x\x00\r\nhello\r\n0\r\n\r\n", id="NUL in an extension"),
        pytest.param(b"5\r\nhello!\r\n0\r\n\r\n", id="a chunk longer than it said"),
        pytest.param(b"6\r\nhello\r\n0\r\n\r\n", id="a chunk shorter than it said"),
        pytest.param(b"5\r\nhello\n0\r\n\r\n", id="a chunk that ends in a line feed"),
        pytest.param(b"5\r\nhello0\r\n\r\n", id="a chunk that does not end"),
        pytest.param(b"0\r\nx y: z\r\n\r\n", id="a malformed trailer"),
        pytest.param(b"0\r\n" + b"x: y\r\n" * 2000 + b"\r\n", id="endless trailers"),
    ],
)
async def test_a_chunked_body_is_to_the_letter_or_refused(serve: Serve, body: bytes) -> None:
    served = await serve(body_timeout=0.5)
    async with await served.client() as client:
        answer = await client.ask(CHUNKED + body + SMUGGLED)
        assert answer.status in {400, 431}, answer
        assert await client.closed()


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        pytest.param(b"GET http://a/x?y HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /x ?y ", id="an absolute target"),
        pytest.param(b"GET http://A HTTP/1.1\r\nhost: a\r\n\r\n", b"GET / ? ", id="an absolute target without a path"),
        pytest.param(
            CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0\r\nx: y\r\n\r\n', b"POST / ? hello", id="extensions and trailers"
        ),
        pytest.param(CHUNKED + b"00A\r\nhellohello\r\n0\r\n\r\n", b"POST / ? hellohello", id="a size in upper case"),
        pytest.param(POST + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", b"POST / ? ", id="a coding in mixed case"),
        pytest.param(POST + b"content-length:\t 5 \r\n\r\nhello", b"POST / ? hello", id="space around a value"),
        pytest.param(GET + b"x: \xc3\xa9\r\n\r\n", b"GET / ? ", id="bytes above ASCII in a value"),
        pytest.param(GET + b"host_: b\r\nupgrade: h2c\r\n\r\n", b"GET / ? ", id="an upgrade that is not asked for"),
        pytest.param(
            GET + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n", b"GET / ? ", id="an upgrade nobody takes up"
        ),
        pytest.param(b"GET /%41%20%c3%a9 HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", b"GET /A \xc3\xa9 ? ", id="an IPv6 host"),
    ],
)
async def test_what_is_unambiguous_is_served(serve: Serve, sent: bytes, body: bytes) -> None:
    served = await serve()
    async with await served.client() as client:
        for _ in range(2):
            answer = await client.ask(sent)
            assert (answer.status, answer.body) == (200, body.decode().encode())
