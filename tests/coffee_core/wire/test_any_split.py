"""How the network cuts the bytes changes nothing, and no bytes get past the refusals."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coffee_core.wire.connection import Connection
from coffee_core.wire.front import Front
from coffee_core.wire.head import RequestHead
from coffee_core.wire.settings import WireSettings

LIMITS = WireSettings(max_request_line=200, max_head=400, max_headers=8, max_body=300, pipelined=10**6)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    abort = close

    def is_closing(self) -> bool:
        return self.ended

    def pause_reading(self) -> None:
        """Never needed here."""

    resume_reading = pause_reading


class Recorder(Connection):
    """Answers each request when it is complete, and remembers what it was."""

    def __init__(self, front: Front) -> None:
        super().__init__(front)
        self.requests: list[tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]] = []
        self.body = b""

    def request_received(self, head: RequestHead) -> None:
        self.body = b""
        if not head.length and not head.chunked:
            self.body_complete()

    def body_received(self, data: bytes) -> None:
        assert data
        self.body += data

    def body_complete(self) -> None:
        self.requests.append((self.head.method, self.head.target, self.head.headers, self.body))
        self.start_answer()
        self.transport.write(b".")
        self.finish_answer()


def read(pieces: list[bytes]) -> tuple[list[Any], bool, int]:
    """The requests in the pieces, whether the connection was ended, and the status of the refusal."""
    connection = Recorder(Front(LIMITS))
    wire = Wire()
    connection.connection_made(wire)
    for piece in pieces:
        if piece:
            connection.data_received(piece)
    status = wire.written.partition(b"HTTP/1.1 ")[2][:3]
    return connection.requests, wire.ended, int(status or 0)


FRAGMENTS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        b"POST /y HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        b"5\r\nhello\r\n",
        b"3;x=y\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\nx: y\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"host: b\r\n",
        b"content-length: 5\r\n",
        b"transfer-encoding: chunked\r\n",
        b"x" * 150,
        b"POST ",
        b" /",
        b" ",
        b":",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\x00",
        b"HTTP/1.1",
        b"ffffffff",
    ]
)
BYTES = st.lists(st.one_of(FRAGMENTS, st.binary(max_size=8)), max_size=14).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(BYTES, st.lists(st.integers(0, 600), max_size=12))
def test_any_split_of_the_bytes_has_the_same_result(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    whole, cut = read([data]), read(pieces)
    assert cut[:2] == whole[:2]
    assert bool(cut[2]) == bool(whole[2])


@settings(max_examples=200, deadline=None)
@given(BYTES)
def test_byte_by_byte_has_the_same_result_too(data: bytes) -> None:
    assert read([data[i : i + 1] for i in range(len(data))])[:2] == read([data])[:2]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10))
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    _, _, status = read(pieces)
    assert status in {0, 400, 413, 414, 417, 431, 501, 505}
