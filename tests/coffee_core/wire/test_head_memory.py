"""A head that is remembered is read as it would be if it were not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffee_core.wire.beginnings import BeginningMemory
from coffee_core.wire.errors import WireError
from coffee_core.wire.head import RequestHead, read_request_head
from coffee_core.wire.head_memory import LARGEST
from coffee_core.wire.header_lines import HeaderLines
from coffee_core.wire.request_memory import RequestMemory
from tests.coffee_core.wire.test_second_opinion import LINES, METHODS, SPACES, TARGETS, VERSIONS, whole

FIELDS = sorted({*RequestHead.__struct_fields__} - {"known", "named"})
OF_ONE = [
    b"traceparent: 4\r\n",
    b"x-bb-requestid: 5\r\n",
    b"x-bb-requestid: \x01\r\n",
    b"host: a\r\n",
    b"x: y\r\n",
    b"content-length: 7\r\n",
    b"content-length: +8\r\n",
    b"content-length: 1234567890123456789\r\n",
    b"content_length: 9\r\n",
    b"transfer-encoding: chunked\r\n",
    b"connection: close\r\n",
]
MANY = [b"x-%d: y\r\n" % number for number in range(9)]
"""With two more lines too many."""
HEADS = st.lists(
    st.tuples(METHODS, SPACES, TARGETS, SPACES, VERSIONS, st.just(b"\r\n"), LINES, st.just(b"\r\n\r\n")).map(b"".join)
    | st.sampled_from(
        [
            b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET /b?c HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET /a HTTP/1.0\r\nhost: a\r\n\r\n",
            b"GET http://b/a HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\n\r\n",
            b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            b"GET /a HTTP/1.1\r\n\r\n",
        ]
    )
    | st.lists(
        st.sampled_from(
            [
                b"host: a\r\n",
                b"Authorization: Bearer a.b-c\r\n",
                b"authorization: Bearer d==\r\n",
                b"Authorization: Bearer e f\r\n",
                b"Authorization: Bearer \r\n",
                b"Authorization: Bearer  g\r\n",
                b"authorization: bearer h\r\n",
                b"Proxy-Authorization: Bearer i\r\n",
                b"x: authorization: Bearer j\r\n",
                b"x: y\r\n",
            ]
        ),
        min_size=1,
        max_size=4,
    ).map(lambda lines: b"GET /a HTTP/1.1\r\n%b\r\n" % b"".join(lines)),
    min_size=1,
    max_size=6,
)


def read(block: bytes, memory: RequestMemory | None) -> list[object] | tuple[int, str]:
    try:
        head = read_request_head(block, HeaderLines(4), max_line=100, max_headers=10, memory=memory)
    except WireError as error:
        return error.status, error.detail
    assert head.named is None or sorted(head.named.items()) == sorted(head.headers)
    return [getattr(head, name) for name in FIELDS]


def of_modules() -> RequestMemory:
    return BeginningMemory(3, HeaderLines(4), 10)


@pytest.mark.parametrize("make", [partial(RequestMemory, 3), of_modules], ids=["tokens apart", "beginnings"])
@settings(max_examples=1500, deadline=None)
@given(HEADS)
def test_memory_changes_no_reading(make: Callable[[], RequestMemory], sent: list[bytes]) -> None:
    memory = make()
    for head in sent * 3:
        block = whole(head)
        if block is not None:
            assert read(block, memory) == read(block, None)


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from([b"host: a\r\n", b"host: a\r\nconnection: keep-alive\r\n", b"x-0: y\r\n"]),
    st.lists(st.one_of(st.lists(st.sampled_from(OF_ONE), max_size=2), st.just(MANY)).map(b"".join), max_size=4),
)
def test_what_follows_a_known_beginning_is_read_as_strictly(beginning: bytes, tails: list[bytes]) -> None:
    memory = of_modules()
    for tail in [b"host: a\r\n" * (b"host" not in beginning), *tails] * 3:
        block = b"POST /a HTTP/1.1\r\n%btraceparent: 1\r\n%b\r\n" % (beginning, tail)
        assert read(block, memory) == read(block, None)


def known(block: bytes, memory: RequestMemory) -> bool:
    return read_request_head(block, HeaderLines(4), max_line=100, max_headers=100, memory=memory).known is not None


def test_the_second_time_is_remembered_and_the_first_takes_no_room() -> None:
    memory = RequestMemory(3)
    block = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
    assert not known(block, memory)
    assert not memory.known
    assert known(block, memory)
    assert known(b"GET /other HTTP/1.1\r\nhost: a\r\n\r\n", memory)
    assert len(memory.known) == 1


def test_what_frames_a_body_otherwise_than_by_length_upgrades_or_closes_is_read_each_time() -> None:
    memory = RequestMemory(3)
    for line in (
        b"transfer-encoding: chunked",
        b"content-length: 5\r\nexpect: 100-continue",
        b"connection: close",
        b"expect: 100-continue",
    ):
        block = b"POST / HTTP/1.1\r\nhost: a\r\n%b\r\n\r\n" % line
        assert not any(known(block, memory) for _ in range(3))
    assert not memory.known


def test_memory_is_bounded_in_number_and_size_and_forgets_when_told() -> None:
    memory = RequestMemory(3)
    for number in range(50):
        block = b"GET / HTTP/1.1\r\nhost: a\r\nx: %d\r\n\r\n" % number
        assert [known(block, memory) for _ in range(2)] == [False, True]
        assert len(memory.known) <= 3
    large = b"GET / HTTP/1.1\r\nhost: a\r\nx: %b\r\n\r\n" % (b"x" * LARGEST)
    assert not any(known(large, memory) for _ in range(3))
    memory.forget()
    assert not memory.known


def with_token(token: bytes, *, more: bytes = b"") -> bytes:
    return b"GET / HTTP/1.1\r\nhost: a\r\nAuthorization: Bearer %b\r\n%b\r\n" % (token, more)


def test_a_token_that_was_never_here_is_read_where_the_rest_is_known() -> None:
    memory = RequestMemory(3)
    assert [known(with_token(token), memory) for token in (b"a", b"b", b"c", b"d")] == [False, False, True, True]
    head = read_request_head(with_token(b"e.f"), HeaderLines(4), 100, 100, memory)
    assert head.headers == [(b"host", b"a"), (b"authorization", b"Bearer e.f")]
    assert head.host == b"a"
    assert head.known is not None
    assert head.known.token == b"e.f"
    for token in (b"", b"a b", b"a\tb", b"a,b"):
        assert not known(with_token(token), memory)


def test_no_token_is_kept_longer_than_it_is_told_to() -> None:
    memory = RequestMemory(3)
    for token in (b"SECRET1", b"SECRET2", b"SECRET3", b"SECRET3"):
        known(with_token(token, more=b"cookie: SECRET4\r\n"), memory)
    memory.forget()
    assert not known(with_token(b"other", more=b"cookie: SECRET4\r\n"), memory)


def test_frames_are_bounded_in_number() -> None:
    memory = RequestMemory(3)
    for number in range(20):
        more = b"x: %d\r\n" % number
        assert [known(with_token(b"%d" % turn, more=more), memory) for turn in range(3)] == [False, False, True]
    assert not known(with_token(b"new", more=b"x: 0\r\n"), memory)


def through_a_gateway(request: int, *, more: bytes = b"") -> bytes:
    own = b"traceparent: 00-%032x-%016x-00\r\nx-bb-requestid: %d\r\n" % (request, request, request)
    return b"POST /a HTTP/1.1\r\nhost: a\r\nx-bb-uid: 7\r\n%b%b\r\n" % (own, more)


def test_a_request_that_only_its_trace_and_id_tell_from_others_is_known() -> None:
    memory = of_modules()
    assert [known(through_a_gateway(number), memory) for number in range(4)] == [False, False, True, True]
    head = read_request_head(through_a_gateway(9, more=b"content-length: 12\r\n"), HeaderLines(4), 100, 100, memory)
    assert head.known is not None
    assert head.length == 12
    assert head.named == dict(head.headers)
    assert head.named[b"x-bb-requestid"] == b"9"
    assert len(memory.known) == 1
    for more in (
        b"x-bb-uid: 8\r\n",
        b"host: b\r\n",
        b"content-length: 1\r\ncontent-length: 1\r\n",
        b"connection: close\r\n",
    ):
        with suppress(WireError):
            assert not known(through_a_gateway(9, more=more), memory)


def test_the_lines_of_one_request_take_the_room_of_no_others() -> None:
    lines = HeaderLines(100)
    memory = BeginningMemory(3, lines, 10)
    for number in range(10):
        read_request_head(through_a_gateway(number), lines, 100, 10, memory)
    assert len(lines.known) == 2 + 2 * 2  # of the two requests that came before the beginning was known


def test_a_header_that_ends_like_authorization_is_no_token() -> None:
    memory = RequestMemory(10)
    for number in range(5):
        lines = b"Xuthorization: Bearer %d\r\nhost: a\r\nAuthorization: Bearer real\r\n\r\n" % number
        head = read_request_head(b"GET / HTTP/1.1\r\n" + lines, HeaderLines(4), 100, 100, memory)
        assert [value for name, value in head.headers if name == b"authorization"] == [b"Bearer real"]
        assert memory.framed(lines) is None
