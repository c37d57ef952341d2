"""Small writes leave together at the end of the turn, in order, and before an end of their connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffee_core.wire.outbox import SMALL, GatheringTransport, Outbox


class Recorded(asyncio.Transport):
    """Says what was done to it, in order."""

    def __init__(self, said: list[object]) -> None:
        super().__init__()
        self.said = said
        self.gone = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.gone:
            raise RuntimeError("the handler is closed")
        self.said.append(bytes(data))

    def is_closing(self) -> bool:
        return self.gone

    def close(self) -> None:
        self.said.append("close")
        self.gone = True

    def abort(self) -> None:
        self.said.append("abort")
        self.gone = True

    def write_eof(self) -> None:
        self.said.append("eof")

    def get_write_buffer_size(self) -> int:
        return 0


def by_hand() -> tuple[Outbox, list[object], GatheringTransport]:
    outbox, said = Outbox(lambda _: None), list[object]()
    return outbox, said, GatheringTransport(Recorded(said), outbox)


def test_small_writes_wait_and_leave_as_one() -> None:
    outbox, said, transport = by_hand()
    transport.write(b"a")
    transport.write(b"b")
    assert (said, transport.get_write_buffer_size()) == ([], 2)
    outbox.flush()
    outbox.flush()
    assert (said, transport.get_write_buffer_size()) == ([b"ab"], 0)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(1, 3).map(lambda n: n * SMALL // 2) | st.integers(0, 9) | st.none(), max_size=12))
def test_all_that_is_written_arrives_in_order(sizes: list[int | None]) -> None:
    """`None`: the end of a turn."""
    outbox, said, transport = by_hand()
    sent = b""
    for number, size in enumerate(sizes):
        if size is None:
            outbox.flush()
        else:
            transport.write(bytes([number]) * size)
            sent += bytes([number]) * size
        assert transport.get_write_buffer_size() <= SMALL
    transport.close()
    assert said.pop() == "close"
    assert b"".join(each for each in said if isinstance(each, bytes)) == sent


def test_what_waits_is_written_before_an_end_and_lost_in_an_abort() -> None:
    for act, expected in (("close", [b"a", "close"]), ("write_eof", [b"a", "eof"]), ("abort", ["abort"])):
        outbox, said, transport = by_hand()
        transport.write(b"a")
        getattr(transport, act)()
        outbox.flush()
        assert said == expected


def test_a_buffer_that_changes_after_it_was_written_is_sent_as_it_was() -> None:
    outbox, said, transport = by_hand()
    buffer = bytearray(b"before")
    transport.write(buffer)
    buffer[:] = b"later!"
    outbox.flush()
    assert said == [b"before"]


def test_one_that_cannot_be_written_keeps_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    outbox, said = Outbox(lambda _: None), list[object]()

    class Broken(Recorded):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            raise OSError("broken")

    left, broken, whole = (GatheringTransport(made(said), outbox) for made in (Recorded, Broken, Recorded))
    for transport in (left, broken, whole):
        transport.write(b"x")
    assert isinstance(left.inner, Recorded)
    left.inner.gone = True  # its client left within the turn: nobody's fault
    outbox.flush()
    assert said == ["abort", b"x"]
    assert len(caplog.records) == 1


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    try:
        yield transport, theirs
    finally:
        transport.abort()
        theirs.close()


async def test_the_turn_of_the_loop_ends_the_waiting() -> None:
    async with connected() as (inner, theirs):
        transport = GatheringTransport(inner, Outbox())
        transport.write(b"a")
        transport.write(b"b")
        with pytest.raises(BlockingIOError):
            theirs.recv(10)
        assert await asyncio.get_running_loop().sock_recv(theirs, 10) == b"ab"
