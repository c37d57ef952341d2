"""Lines of answers that were read before mean what they meant, and go on as they went."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from coffee_core.wire.answer_lines import AnswerLines
from coffee_core.wire.errors import WireError
from coffee_core.wire.head import ResponseHead, read_response_head
from coffee_core.wire.head_memory import LARGEST, HeadMemory
from tests.coffee_core.wire.test_second_opinion import LINES, whole

FIELDS = sorted({*ResponseHead.__slots__} - {"lines"})
DROPS = frozenset((b"connection", b"content-length", b"transfer-encoding", b"x-a"))


def read(block: bytes, lines: AnswerLines) -> list[object] | int:
    try:
        head = read_response_head(block, lines, max_headers=10, head_request=False)
    except WireError as error:
        return error.status
    passing = [b"%b: %b\r\n" % (name, value) for name, value in head.headers if name not in DROPS]
    assert head.passing == b"".join(passing)
    return [getattr(head, name) for name in FIELDS]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([b"200 OK", b"304", b"100 Continue", b"2x"]), LINES), min_size=1, max_size=4))
def test_memory_changes_no_reading(sent: list[tuple[bytes, bytes]]) -> None:
    lines = AnswerLines(5, DROPS)
    for status, text in sent * 2:
        block = whole(b"HTTP/1.1 " + status + b"\r\n" + text + b"\r\n\r\n")
        assert block is not None
        assert read(block, lines) == read(block, AnswerLines(1, DROPS))


def test_the_lines_remembered_are_bounded_and_none_sets_a_cookie() -> None:
    lines = AnswerLines(10, size=40)
    for number in range(100):
        lines.read(b"x-%d: y" % number)
        assert len(lines.known) <= 10
    lines.read(b"Set-Cookie: a=b")
    lines.read(b"x: " + b"y" * 40)
    assert all(name.startswith(b"x-") for name, *_ in lines.known.values())


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n%b\r\n"


def known(block: bytes, memory: HeadMemory[ResponseHead], *, head_request: bool = False) -> bool:
    """After it was read three times."""
    for _ in range(3):
        read_response_head(block, AnswerLines(5), max_headers=10, head_request=head_request, memory=memory)
    return block in memory.known


def test_heads_that_come_again_are_remembered_as_they_were_read() -> None:
    memory: HeadMemory[ResponseHead] = HeadMemory(10)
    for more in (b"", b"etag: a\r\n", b"connection: close\r\n", b"x-a: b\r\n"):
        block = OK % more
        assert known(block, memory)
        fresh = read_response_head(block, AnswerLines(5), max_headers=10, head_request=False)
        assert [getattr(memory.known[block], name) for name in FIELDS] == [getattr(fresh, name) for name in FIELDS]


def test_cookies_answers_to_head_and_long_heads_are_not_remembered() -> None:
    memory: HeadMemory[ResponseHead] = HeadMemory(10)
    assert not known(OK % b"Set-Cookie: a=b\r\n", memory)
    assert not known(OK % b"etag: a\r\n", memory, head_request=True)
    assert not known(OK % (b"x: " + b"y" * LARGEST + b"\r\n"), memory)
    assert not memory.known


def test_the_heads_remembered_are_bounded() -> None:
    memory: HeadMemory[ResponseHead] = HeadMemory(3)
    for number in range(20):
        assert known(OK % (b"etag: %d\r\n" % number), memory)
        assert len(memory.known) <= 3
