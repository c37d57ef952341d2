"""How the network cuts an upstream's bytes changes nothing about the answer, and no bytes get past the refusals."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coffee_core.wire.head import ResponseHead
from coffee_core.wire.outbox import Outbox
from gateway.data_plane.pool import Pool
from gateway.data_plane.settings import DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.data_plane.upstream_side import UpstreamConnection


class Wire(asyncio.Transport):
    """A transport to nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads."""

    def abort(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.ended


class Clock:
    """Stands still."""

    now = 0.0


class Recorder:
    """An `Asker` that remembers what it was told."""

    def __init__(self, head_request: bool, upgrading: bytes) -> None:
        self.head_request = head_request
        self.upgrading = upgrading
        self.request_complete = True
        self.status = 0
        self.body = b""
        self.ending = ""

    def upstream_continues(self) -> None:
        assert not self.status

    def upstream_informs(self, head: ResponseHead) -> None:
        assert not self.status

    def upstream_answers(self, head: ResponseHead, piece: bytes, *, done: bool) -> None:
        assert not self.status
        self.status = head.status
        self.body = piece

    def upstream_body(self, piece: bytes, *, done: bool) -> None:
        assert self.status
        assert not self.ending
        self.body += piece

    def _end(self, how: str) -> None:
        assert not self.ending
        self.ending = how

    def upstream_done(self) -> None:
        self._end("done")

    def upstream_switches(self, head: ResponseHead, early: bytes) -> None:
        self.status = 101
        self.body = early

    def upstream_lost(self) -> None:
        self._end("lost")

    def upstream_fails(self, detail: str) -> None:
        self._end("failed")

    def tunnel_data(self, data: bytes) -> None:
        assert self.status == 101
        self.body += data

    def tunnel_over(self) -> None:
        self._end("over")

    def upstream_full(self) -> None:
        """Never."""

    def upstream_free(self) -> None:
        """Never."""


def answer(pieces: list[bytes], *, head_request: bool = False, upgrading: bytes = b"") -> tuple[Any, ...]:
    """What the asker heard, and whether the connection is used again."""
    pool = Pool(Target("up", 80), DataPlaneSettings(max_head=400, max_headers=8), Clock(), Outbox(lambda _: None))
    pool.open = 1
    wire, asker = Wire(), Recorder(head_request, upgrading)
    connection = UpstreamConnection(pool)
    connection.connection_made(wire)
    connection.ask(asker, b"")
    for piece in pieces:
        if piece and not wire.ended:
            connection.data_received(piece)
    kept = bool(pool.idle) and not wire.ended
    connection.connection_lost(None)
    body = asker.body if asker.ending == "done" or asker.status == 101 else b""
    return asker.status if asker.ending != "failed" else 0, body, asker.ending, kept


FRAGMENTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 204 No\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"content-length: 5\r\n",
        b"content-length: 0\r\n",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        b"x: y\r\n",
        b"\r\n",
        b"hello",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"0\r\nx: y\r\n\r\n",
        b"\n",
        b"\r",
        b" ",
        b"y" * 200,
    ]
)
BYTES = st.lists(st.one_of(FRAGMENTS, st.binary(max_size=6)), max_size=12).map(b"".join)
STARTED = st.tuples(st.sampled_from([b"HTTP/1.1 200 OK\r\n", b""]), BYTES).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(STARTED, st.lists(st.integers(0, 600), max_size=10), st.booleans(), st.sampled_from([b"", b"websocket"]))
def test_any_split_of_the_bytes_has_the_same_result(data: bytes, cuts: list[int], head: bool, upgrading: bytes) -> None:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert (
        answer(pieces, head_request=head, upgrading=upgrading)[:3]
        == answer([data], head_request=head, upgrading=upgrading)[:3]
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    assert answer(pieces)[2] in {"done", "lost", "failed"}
