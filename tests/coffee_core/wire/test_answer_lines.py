"""Lines of answers that were read before mean what they meant, and go on as they went."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from coffee_core.wire.answer_lines import AnswerLines
from coffee_core.wire.errors import WireError
from coffee_core.wire.head import ResponseHead, read_response_head
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
