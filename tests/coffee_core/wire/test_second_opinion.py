"""What the front accepts llhttp accepts too, and reads the same fields: two readers that differ are how requests are
smuggled."""

from __future__ import annotations

import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coffee_core.wire.answer_lines import AnswerLines
from coffee_core.wire.errors import WireError
from coffee_core.wire.head import read_request_head, read_response_head
from coffee_core.wire.header_lines import HeaderLines

NAMES = st.sampled_from(
    [b"host", b"Content-Length", b"transfer-encoding", b"Connection", b"upgrade", b"x-a", b"Content_Length", b"expect"]
) | st.binary(min_size=0, max_size=6)
VALUES = st.sampled_from(
    [b"a", b"0", b"5", b"+5", b"5, 5", b"chunked", b"gzip, chunked", b"chunked, gzip", b"close", b"100-continue", b""]
) | st.binary(max_size=8)
COLONS = st.sampled_from([b":", b": ", b":\t", b" :", b"", b"::"])
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\r\n"])
LINES = st.lists(st.tuples(NAMES, COLONS, VALUES, ENDS).map(b"".join), max_size=5).map(b"".join)
METHODS = st.sampled_from([b"GET", b"POST", b"get", b"PRI", b"QUERY", b"G\x00T"])
TARGETS = st.sampled_from([b"/", b"/a?b=c", b"*", b"http://a/b", b"/\xff", b"/a b", b"/\t", b"//"]) | st.binary(
    max_size=6
)
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1", b""])
SPACES = st.sampled_from([b" ", b" ", b" ", b"  ", b"\t"])


class Opinion:
    """What llhttp read."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def whole(block: bytes) -> bytes | None:
    """As a connection would hand it over: to the first empty line."""
    end = block.find(b"\r\n\r\n")
    return None if end < 0 else block[: end + 4]


@settings(max_examples=1500, deadline=None)
@given(st.tuples(METHODS, SPACES, TARGETS, SPACES, VERSIONS, ENDS, LINES, st.just(b"\r\n\r\n")).map(b"".join))
@example(b"GET /\xff HTTP/1.0\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nhost: a\r\nx: \xff\t \r\n\r\n")
@example(b"POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
@example(b"GET /\xff HTTP/1.0\r\n\r\n")
def test_of_a_request(sent: bytes) -> None:
    block = whole(sent)
    if block is None:
        return
    try:
        head = read_request_head(block, HeaderLines(4), max_line=100, max_headers=10)
    except WireError:
        return
    opinion = Opinion()
    parser = httptools.HttpRequestParser(opinion)
    try:
        parser.feed_data(block)
    except httptools.HttpParserUpgrade:
        assert head.upgrade or head.connection
    assert opinion.complete
    assert parser.get_method() == head.method
    assert opinion.target.endswith(head.target)
    assert opinion.headers == head.headers


@settings(max_examples=1500, deadline=None)
@given(
    st.tuples(
        VERSIONS, SPACES, st.sampled_from([b"200", b"204", b"99", b"600", b"20x"]), st.just(b" OK"), ENDS, LINES,
        st.just(b"\r\n\r\n"),
    ).map(b"".join)
)  # fmt: skip
def test_of_an_answer(sent: bytes) -> None:
    block = whole(sent)
    if block is None:
        return
    try:
        head = read_response_head(block, AnswerLines(4), max_headers=10, head_request=False)
    except WireError:
        return
    opinion = Opinion()
    parser = httptools.HttpResponseParser(opinion)
    parser.feed_data(block)
    assert opinion.complete
    assert parser.get_status_code() == head.status
    assert opinion.headers == head.headers


@given(LINES)
def test_a_line_that_was_read_before_means_what_it_meant(sent: bytes) -> None:
    block = whole(b"GET / HTTP/1.1\r\nhost: a\r\n" + sent + b"\r\n\r\n")
    assert block is not None
    lines = HeaderLines(100)
    readings = []
    for known in (lines, lines, HeaderLines(1)):
        try:
            head = read_request_head(block, known, max_line=100, max_headers=10)
            readings.append((head.headers, head.chunked, head.length, head.keep_alive))
        except WireError as error:
            readings.append(error.status)
    assert readings[0] == readings[1] == readings[2]


def test_the_lines_remembered_are_bounded_and_none_of_them_is_a_secret() -> None:
    lines = HeaderLines(10, size=40)
    for number in range(100):
        lines.read(b"x-%d: y" % number)
        assert len(lines.known) <= 10
    lines.read(b"Authorization: Bearer abc")
    lines.read(b"Cookie: a=b")
    lines.read(b"x: " + b"y" * 40)
    assert all(name.startswith(b"x-") for name, _ in lines.known.values())
