"""One connection carries many questions: each has its own answer, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import struct
from collections.abc import Awaitable
from pathlib import Path

import pytest

from gateway.data_plane.client_side import GatewayConnection
from gateway.data_plane.verdict_stream import LONGEST, VerdictStream
from gateway.verdict.decision import Decision, RequestHead
from gateway.verdict.pending import Pending
from tests.gateway.data_plane.conftest import REQUEST_ID, PathVerdict, Plane, Start
from tests.support.memory_transport import MemoryTransport
from tests.support.raw_http import RawClient, until
from tests.support.verdict_proxy import HTTP, OPENING, PEER, Told, VerdictProxy, frame, get, question, read

HERE = "127.0.0.0/8"
PING = frame(struct.pack(">I", 0))


async def opened(plane: Plane) -> VerdictProxy:
    return await VerdictProxy.open(await plane.client())


def streams(plane: Plane) -> list[VerdictStream]:
    forwardings = [each.forwarding for each in plane.front.connections if isinstance(each, GatewayConnection)]
    return [each for each in forwardings if isinstance(each, VerdictStream)]


async def pending(plane: Plane, count: int) -> list[tuple[Pending[Decision], Decision]]:
    """What is being decided, once it is so many."""
    await until(lambda: len(plane.verdict.pending) == count, "they are being decided")
    return plane.verdict.pending


# who may open one


async def test_who_may_ask_is_heard_and_for_all_others_there_is_nothing_here(start: Start) -> None:
    ours, another = await start(asked_from=HERE), await start(asked_from="198.51.100.0/24")
    async with await opened(ours) as proxy, await another.client() as client:
        assert (await proxy.ask(get(b"/a"))).status == 0
        for _ in range(2):  # the connection stays one for requests
            assert (await client.ask(OPENING)).status == 404
    assert streams(another) == []


async def test_who_comes_by_a_socket_file_is_on_this_machine(start: Start, tmp_path: Path) -> None:
    for number, (network, status) in enumerate({"127.0.0.1/32": 101, "127.0.0.2/31": 404}.items()):
        path = tmp_path / str(number)
        await start(asked_from=network, unix=path)
        async with RawClient(*await asyncio.open_unix_connection(path)) as client:
            client.send(OPENING)
            assert (await client.head())[0] == status


async def test_without_networks_that_may_ask_there_is_no_stream(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        assert (await client.ask(OPENING)).status == 200  # of the upstream: this path is one like all others


@pytest.mark.parametrize(("address", "status"), [(b"127.0.0.1", 101), (b"198.51.100.7", 404)])
async def test_behind_a_balancer_it_is_its_client_who_asks(start: Start, address: bytes, status: int) -> None:
    plane = await start(asked_from=HERE, proxied=HERE)
    async with await plane.client() as client:
        client.send(b"PROXY TCP4 %b 127.0.0.1 1 2\r\n" % address + OPENING)
        assert (await client.head())[0] == status


# questions and answers


async def test_each_kind_of_decision_is_an_answer_of_its_own(start: Start) -> None:
    plane = await start(asked_from=HERE)
    async with await opened(plane) as proxy:
        through, refused, own = await proxy.ask_all([(get(path), HTTP, PEER) for path in (b"/a?b", b"/no", b"/own")])
    assert through == Told(
        1, 0, REQUEST_ID, b"", b"3\t7\tPAID", b"up/a?b", b"x-bb-uid: 7\r\nx-bb-requestid: %b\r\n" % REQUEST_ID
    )
    assert (refused.status, refused.header(b"www-authenticate")) == (401, b"Bearer")
    assert refused.header(b"content-type") == b"application/problem+json"
    assert refused.header(b"cache-control") == b"no-store"
    assert json.loads(refused.rest)["requestId"].encode() == refused.request_id == REQUEST_ID
    assert own.status == 404  # there is nothing at a proxy


class Wire(MemoryTransport):
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def frames(data: bytes) -> list[bytes]:
    found = []
    while data:
        upto = 4 + struct.unpack_from(">I", data)[0]
        found.append(data[4:upto])
        data = data[upto:]
    return found


async def test_however_questions_are_cut_the_answers_are_the_same(start: Start) -> None:
    plane = await start(asked_from=HERE)
    front = plane.front

    def answers(pieces: list[bytes]) -> list[bytes]:
        wire, client = Wire(), front.connection()
        client.connection_made(wire)  # type: ignore[arg-type]  # as much of a transport as is needed
        for piece in pieces:
            client.data_received(piece)
        front.outbox.flush()  # type: ignore[union-attr]
        client.connection_lost(None)
        return frames(wire.written.partition(b"\r\n\r\n")[2])

    asked = [question(1, get(b"/a")), question(2, get(b"/no")), PING, question(3, b"x"), question(4, get(b"/b"))]
    data = b"".join(asked)
    whole = answers([OPENING, data])
    statuses = [read(each).status for each in whole if len(each) > 4]
    assert (statuses, len(whole)) == ([0, 401, 400, 0], 5)
    masked = [each for number, each in enumerate(whole) if number != 3]  # that one has an id of its own each time
    for cut in range(len(data) + 1):
        for pieces in ([OPENING, data[:cut], data[cut:]], [OPENING + data[:cut], data[cut:]]):
            found = answers([piece for piece in pieces if piece])
            assert [each for number, each in enumerate(found) if number != 3] == masked, cut
    assert len(answers([OPENING, *[data[at : at + 1] for at in range(len(data))]])) == 5


async def test_many_questions_in_one_write_have_as_many_answers(start: Start) -> None:
    plane = await start(asked_from=HERE)
    async with await opened(plane) as proxy:
        for _ in range(2):
            told = await proxy.ask_all([(get(b"/%d" % number), HTTP, PEER) for number in range(1000)])
            assert [each.target for each in told] == [b"up/%d" % number for number in range(1000)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_who_is_waited_for_holds_up_nobody(start: Start, order: tuple[int, ...]) -> None:
    plane = await start(asked_from=HERE)
    async with await opened(plane) as proxy:
        waiting = [proxy.put(get(b"/pending/%d" % number)) for number in range(3)]
        at_once = proxy.put(get(b"/now"))
        assert (await proxy.told()).number == at_once
        decisions = await pending(plane, 3)
        for number in order:
            decisions[number][0].tell(decisions[number][1])
            told = await proxy.told()
            assert (told.number, told.target) == (waiting[number], b"up/%d" % number)


@pytest.mark.parametrize(("path", "status"), [(b"/a", 0), (b"/no", 401), (b"/own", 404)])
async def test_what_is_decided_later_is_answered_as_what_is_decided_at_once(
    start: Start, path: bytes, status: int
) -> None:
    plane = await start(asked_from=HERE)
    plane.verdict.release.set()
    async with await opened(plane) as proxy:
        at_once = await proxy.ask(get(path))
        assert at_once.status == status
        proxy.put(get(b"/pending" + path))
        ((decision, outcome),) = await pending(plane, 1)
        decision.tell(outcome)
        for told in (await proxy.told(), await proxy.ask(get(b"/later" + path))):
            assert told[1:6] == at_once[1:6]
            assert status or told.rest == at_once.rest


async def test_who_asks_whether_somebody_is_there_hears_the_same(start: Start) -> None:
    plane = await start(asked_from=HERE)
    async with await opened(plane) as proxy:
        proxy.put(get(b"/pending/a"))
        for number in (0, 1, 2**32 - 1):
            proxy.client.send(frame(struct.pack(">I", number)))
            assert await proxy.frame() == struct.pack(">I", number)


# who does not keep to the protocol


def raw(*, number: int = 9, scheme: int = HTTP, peer: int = 0, behind: bytes = b"") -> bytes:
    return frame(struct.pack(">IBB", number, scheme, peer) + behind)


@pytest.mark.parametrize(
    "sent",
    [
        *[pytest.param(struct.pack(">I", length) + b"\0" * 8, id=f"{length} bytes") for length in range(4)],
        pytest.param(struct.pack(">II", LONGEST + 1, 1), id="too long"),
        pytest.param(b"\xff" * 8, id="the longest there is"),
        pytest.param(question(9, get(b"/a"), scheme=2), id="an unknown scheme"),
        pytest.param(question(9, get(b"/a"), scheme=255), id="the last scheme"),
        pytest.param(frame(struct.pack(">IB", 9, HTTP)), id="a scheme and no more"),
        pytest.param(raw(behind=get(b"/a")), id="no peer"),
        pytest.param(question(9, get(b"/a"), peer=b"example.com"), id="a peer with a name"),
        pytest.param(question(9, get(b"/a"), peer=b"203.0.113.256"), id="a peer that is no address"),
        pytest.param(question(9, get(b"/a"), peer=b"203.0.113.9\r\n"), id="an address and more"),
        pytest.param(question(9, get(b"/a"), peer=b"\xd9\xa1.1.1.1"), id="digits of another script"),
        pytest.param(raw(peer=12, behind=PEER), id="a peer that is longer than its question"),
        pytest.param(question(1, get(b"/pending/a")) * 2, id="a number that is another's"),
    ],
)
async def test_who_does_not_keep_to_the_protocol_is_not_listened_to_any_more(
    start: Start, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    plane = await start(asked_from=HERE)
    async with await opened(plane) as proxy, await opened(plane) as other:
        other.put(get(b"/pending/b"))
        ((decision, outcome),) = await pending(plane, 1)
        with caplog.at_level(logging.WARNING):
            proxy.client.send(sent)
            assert await proxy.client.closed()
        warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
        assert [each.startswith("a proxy that asks for verdicts does not keep to") for each in warnings] == [True]
        decision.tell(outcome)
        assert (await other.told()).target == b"up/b"
        assert (await other.ask(get(b"/c"))).target == b"up/c"
        assert len(streams(plane)) == 1


@pytest.mark.parametrize("more", [0, 1, 8, 21, 255])
async def test_no_peer_and_no_head_is_read_from_the_next_question(start: Start, more: int) -> None:
    """Behind the sign of a zone Python takes any bytes for a part of an address."""
    plane = await start(asked_from=HERE)
    peer = b"fe80::1%"
    async with await opened(plane) as proxy:
        proxy.client.send(question(1, get(b"/a")))
        assert (await proxy.told()).status == 0
        short = raw(peer=min(len(peer) + more, 255), behind=peer)
        proxy.client.send(short + question(2, get(b"/b" * 150)))
        if more:
            assert await proxy.client.closed()
        else:  # a peer, and a head that is empty
            assert [(await proxy.told()).status for _ in range(2)] == [400, 0]


async def test_the_longest_question_is_heard(start: Start) -> None:
    plane = await start(asked_from=HERE)
    async with await opened(plane) as proxy:
        told = await proxy.ask(b"x" * (LONGEST - 6 - len(PEER)))
        assert told.status == 431
        assert (await proxy.ask(get(b"/a"))).status == 0


# who leaves, and what fails


@pytest.mark.parametrize("how", ["reset", "end", "half an end"])
async def test_for_a_proxy_that_has_left_nothing_is_decided_any_more(start: Start, how: str) -> None:
    plane = await start(asked_from=HERE)
    async with await opened(plane) as proxy:
        proxy.put(get(b"/pending/a"))
        proxy.put(get(b"/later/a"))
        ((decision, outcome),) = await pending(plane, 1)
        await until(lambda: len(streams(plane)[0]._waiting) == 2, "both are waited for")
        (task,) = [each for each in streams(plane)[0]._waiting.values() if isinstance(each, asyncio.Future)]
        if how == "reset":
            proxy.client.reset()
        elif how == "end":
            proxy.client.writer.close()
        else:
            proxy.client.half_close()
        await until(lambda: decision.over and task.cancelled(), "nobody waits any more")
        decision.tell(outcome)
        if how == "half an end":
            assert await proxy.client.rest() == b""
    await plane.at_rest()
    assert list(plane.front.metrics.series) == [("verdict", b"", 101)]
    (line,) = await plane.log(1)
    assert (line["status"], line["end"]) == (101, "complete" if how != "reset" else "left")


class Faulty(PathVerdict):
    """Fails where the path says so."""

    def decide(self, head: RequestHead) -> Decision | Awaitable[Decision]:
        if head.target.startswith(b"/fault"):
            raise ValueError("a fault of ours")
        return super().decide(head)


async def test_a_decision_that_fails_is_a_500_for_its_question_alone(start: Start) -> None:
    plane = await start(asked_from=HERE, verdict=Faulty())
    async with await opened(plane) as proxy:
        proxy.put(get(b"/pending/a"))
        proxy.put(get(b"/pending/b"))
        decisions = await pending(plane, 2)
        fault, fine = await proxy.ask_all([(get(b"/fault?secret"), HTTP, PEER), (get(b"/c"), HTTP, PEER)])
        assert (fault.status, fine.target) == (500, b"up/c")
        problem = json.loads(fault.rest)
        assert (problem["requestId"].encode(), problem["instance"]) == (fault.request_id, "/fault")
        for decision, outcome in ((decisions[0][0], RuntimeError("another")), decisions[1]):
            decision.tell(outcome)
        told = {each.number: each for each in [await proxy.told(), await proxy.told()]}
        assert (told[1].status, told[2].target) == (500, b"up/b")
    assert sum(plane.front.metrics.series["verdict", b"", 500].counts) == 2


async def test_a_question_whose_task_fails_is_a_500_as_well(start: Start) -> None:
    class Failing(PathVerdict):
        async def _later(self, head: RequestHead) -> Decision:
            await self.release.wait()
            if head.target == b"/cancelled":
                raise asyncio.CancelledError
            raise RuntimeError("a fault of ours")

    plane = await start(asked_from=HERE, verdict=Failing())
    async with await opened(plane) as proxy:
        for path in (b"/later/a", b"/later/cancelled"):
            proxy.put(get(path))
        plane.verdict.release.set()
        assert [(await proxy.told()).status for _ in range(2)] == [500, 500]
        assert (await proxy.ask(get(b"/a"))).status == 0


# draining


async def test_draining_ends_a_stream_when_its_questions_are_answered(start: Start) -> None:
    plane = await start(asked_from=HERE, wire={"drain_timeout": 60.0, "linger": 60.0})
    async with await opened(plane) as proxy, await opened(plane) as idle:
        waiting = proxy.put(get(b"/pending/a"))
        ((decision, outcome),) = await pending(plane, 1)
        drain = asyncio.create_task(plane.front.drain())
        assert await idle.client.closed()
        assert (await proxy.ask(get(b"/b"))).target == b"up/b"  # sweeps have been, and this one is still heard
        decision.tell(outcome)
        assert (await proxy.told()).number == waiting
        assert await proxy.client.closed()
    async with asyncio.timeout(5):
        await drain


async def test_what_is_not_decided_in_time_is_cut_at_the_end_of_the_drain(start: Start) -> None:
    plane = await start(asked_from=HERE, wire={"drain_timeout": 0.05})
    async with await opened(plane) as proxy:
        proxy.put(get(b"/pending/a"))
        ((decision, _),) = await pending(plane, 1)
        await plane.front.drain()
        assert await proxy.client.closed()
        assert decision.over


# back-pressure and metrics


async def test_a_proxy_that_does_not_read_is_not_heard_until_it_does(start: Start) -> None:
    plane = await start(asked_from=HERE)
    async with await VerdictProxy.open(await plane.client(receive_buffer=8192)) as proxy:
        ask, asked, size = b"".join([question(number, get(b"/no")) for number in range(100)]), 0, 0
        (connection,) = plane.front.connections
        while connection.reading or not proxy.client.writer.transport.get_write_buffer_size():
            proxy.client.send(ask)
            asked += 100
            await asyncio.sleep(0)
            size = max(size, connection.transport.get_write_buffer_size())
            assert asked < 1_000_000
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert not connection.reading
            size = max(size, connection.transport.get_write_buffer_size())
        assert size < 2_000_000
        assert proxy.client.writer.transport.get_write_buffer_size()
        statuses = [(await proxy.told()).status for _ in range(asked)]
        assert statuses == [401] * asked
        assert (await proxy.ask(get(b"/a"))).status == 0


async def test_questions_are_counted_by_what_was_answered(start: Start) -> None:
    plane = await start(asked_from=HERE)
    async with await opened(plane) as proxy:
        await proxy.ask_all([(get(path), HTTP, PEER) for path in (b"/a", b"/b", b"/no", b"/c", b"/own")])
        await proxy.ask(b"no head")
        proxy.put(get(b"/pending/a"))
        ((decision, outcome),) = await pending(plane, 1)
        decision.tell(outcome)
        await proxy.told()
        proxy.client.send(PING)
        await proxy.frame()
    await plane.at_rest()
    counted = {key: sum(series.counts) for key, series in plane.front.metrics.series.items()}
    expected = {200: 4, 401: 1, 404: 1, 400: 1, 101: 1}
    assert counted == {("verdict", b"", status): count for status, count in expected.items()}
