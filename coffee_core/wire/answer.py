"""A Response as bytes."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus

from coffee_core.wire.errors import PROBLEM, problem
from coffee_core.wire.message import Response


@lru_cache(maxsize=256)
def status_line(status: int) -> bytes:
    """With the reason phrase of the registry, if there is one."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())


def has_body(status: int) -> bool:
    """Whether an answer with this status may have a body (RFC 9110 section 6.4.1)."""
    return status >= 200 and status not in {204, 304}


@lru_cache(maxsize=256)
def _beginning(status: int, media: bytes | None, date: bytes) -> tuple[bytes, int]:
    """The lines before the framing, and how many: all answers of one kind have the same until the date changes."""
    head = b"%bdate: %b\r\n" % (status_line(status), date)
    if media is None or not has_body(status):
        return head, 2
    return b"%bcontent-type: %b\r\n" % (head, media), 3


def answer_head(response: Response, framing: bytes, date: bytes, *, keep_alive: bool) -> bytes:
    """Everything before the body, with the empty line. `framing` is a header line, or nothing.

    A line end inside a header is a `ValueError`: what a handler copies into one must not become another.
    """
    head, count = _beginning(response.status, response.content_type, date)
    if framing:
        head += framing
        count += 1
    headers = response.headers
    if headers:
        head += b"".join([b"%b: %b\r\n" % header for header in headers])
        count += len(headers)
    if not keep_alive:
        head += b"connection: close\r\n"
        count += 1
    if not head.count(b"\n") == head.count(b"\r") == count:
        raise ValueError(f"a header of this {response.status} answer contains a line end")
    return head + b"\r\n"


def problem_answer(status: int, detail: str, date: bytes) -> bytes:
    """A whole answer: a problem that ends its connection."""
    body = problem(status, detail)
    response = Response(status, content_type=PROBLEM)
    return answer_head(response, b"content-length: %d\r\n" % len(body), date, keep_alive=False) + body
