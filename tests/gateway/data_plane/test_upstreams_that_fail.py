"""Time-outs, closed connections and full pools: each has its answer, and a repeat only where it is safe."""

from __future__ import annotations

import asyncio

import pytest

from coffee_core.wire.listen import bind
from gateway.data_plane.targets import Target
from tests.gateway.data_plane.conftest import Start
from tests.support.raw_http import RawClient, until
from tests.support.raw_upstream import RawUpstream, Visit, polite

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"


async def silent(visit: Visit, upstream: RawUpstream) -> None:
    """Takes the request and never answers."""
    upstream.asked.append(await visit.request())
    await visit.reader.read(-1)


async def test_silence_is_504_and_the_client_may_go_on(start: Start) -> None:
    plane = await start(silent, head_timeout=0.05)
    async with await plane.client() as client:
        for _ in range(2):
            answer = await client.ask(GET)
            assert (answer.status, answer.header(b"content-type")) == (504, b"application/problem+json")
    await plane.at_rest()


async def test_a_route_may_have_a_shorter_time_out_than_its_upstream(start: Start) -> None:
    plane = await start(silent, head_timeout=60)
    async with await plane.client() as client:
        assert (await client.ask(b"GET /hasty HTTP/1.1\r\nhost: a\r\n\r\n")).status == 504
    await plane.at_rest()


async def test_an_answer_that_falls_silent_is_cut(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        await visit.reader.read(-1)

    plane = await start(script, idle_timeout=0.05)
    async with await plane.client() as client:
        assert not (await client.ask(GET)).complete
    await plane.at_rest()


async def test_a_refused_connection_is_502(start: Start) -> None:
    (probe,) = bind()
    port = probe.getsockname()[1]
    probe.close()
    plane = await start(targets=[Target("127.0.0.1", port)])
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 502
    assert plane.pool.open == 0


async def test_a_target_that_does_not_accept_is_504(start: Start) -> None:
    # TEST-NET-1 (RFC 5737): packets to it go nowhere, or are refused at once where there is no route
    plane = await start(targets=[Target("192.0.2.1", 80)], connect_timeout=0.05)
    async with await plane.client() as client:
        assert (await client.ask(GET)).status in {502, 504}
    assert plane.pool.open == 0


class ClosesIdle:
    """An upstream that closes a connection at the very moment its second request arrives."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    async def __call__(self, visit: Visit, upstream: RawUpstream) -> None:
        asked = await visit.request()
        self.lines.append(asked.line)
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await visit.reader.readexactly(1)  # and close


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(GET, 200, id="a GET is sent again"),
        pytest.param(b"PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", 200, id="a small PUT is sent again"),
        pytest.param(b"DELETE /a HTTP/1.1\r\nhost: a\r\n\r\n", 200, id="a DELETE is sent again"),
        pytest.param(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", 502, id="a POST is not"),
        pytest.param(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 502, id="an empty POST is not"),
        pytest.param(b"PATCH /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", 502, id="a PATCH is not"),
        pytest.param(
            b"PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000,
            502,
            id="a large PUT is not",
        ),
    ],
)
async def test_on_a_connection_that_was_closed_meanwhile(start: Start, sent: bytes, status: int) -> None:
    script = ClosesIdle()
    plane = await start(script)
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 200
        assert (await client.ask(sent)).status == status
    assert len(script.lines) == (2 if status == 200 else 1)


async def test_a_repeat_that_fails_as_well_is_502(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        if len(upstream.asked) == 1:
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            upstream.asked.append(await visit.request())

    plane = await start(script)
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 200
        assert (await client.ask(GET)).status == 502
    assert len(plane.upstream.asked) == 3


async def test_an_answer_that_has_begun_is_never_asked_for_again(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        upstream.asked.append(await visit.request())
        visit.say(b"HTTP/1.1 2")

    plane = await start(script)
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 200
        assert (await client.ask(GET)).status == 502
    assert len(plane.upstream.asked) == 2


async def test_requests_beyond_the_pool_wait_in_order_and_beyond_the_queue_are_503(start: Start) -> None:
    release = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            asked = await visit.request()
            upstream.asked.append(asked)
            await release.wait()
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n%2d" % len(upstream.asked))

    plane = await start(script, connections=1, waiting=2, wait_timeout=5)
    clients = [await plane.client() for _ in range(4)]
    for number, client in enumerate(clients[:3]):
        client.send(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % number)
        await until(lambda: plane.pool.busy == number + 1, "it is under way, or waits")  # noqa: B023 - awaited here
    answer = await clients[3].ask(GET)
    assert (answer.status, answer.header(b"retry-after")) == (503, b"1")
    release.set()
    for client in clients[:3]:
        assert (await client.answer()).status == 200
    assert [asked.line for asked in plane.upstream.asked] == [b"GET /%d HTTP/1.1" % number for number in range(3)]
    for client in clients:
        client.writer.close()
    await plane.at_rest()
    assert plane.pool.open == 1


async def test_a_turn_that_does_not_come_is_503(start: Start) -> None:
    plane = await start(silent, connections=1, wait_timeout=0.05)
    async with await plane.client() as first, await plane.client() as second:
        first.send(GET)
        await until(lambda: bool(plane.upstream.asked), "the only connection is busy")
        assert (await second.ask(GET)).status == 503


async def test_a_connection_that_is_lost_makes_room_for_who_waits(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        if len(upstream.asked) > 1:
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            return
        await until(lambda: plane.pool.busy == 2, "another waits")

    plane = await start(script, connections=1)
    async with await plane.client() as first, await plane.client() as second:
        first.send(b"POST /a HTTP/1.1\r\nhost: a\r\n\r\n")
        await until(lambda: bool(plane.upstream.asked), "the only connection is busy")
        assert (await second.ask(GET)).body == b"ok"
        assert (await first.answer()).status == 502


async def test_idle_connections_age(start: Start) -> None:
    plane = await start(keep_alive=0.05)
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 200
        await until(lambda: plane.pool.open == 0, "the idle connection was closed")
        assert (await client.ask(GET)).status == 200


async def test_a_dead_target_is_passed_over(start: Start) -> None:
    (held,) = bind()  # it does not listen, and nobody else is given its port
    dead = held.getsockname()[1]
    async with RawUpstream(polite) as alive:
        plane = await start(
            targets=[Target("127.0.0.1", dead), Target("127.0.0.1", alive.port)], eject_after=2, eject_for=60
        )

        async def ask(client: RawClient) -> None:
            assert (await client.ask(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")).status == 200
            plane.front.upstreams.close()
            await until(lambda: plane.front.upstreams.pools()[1].open == 0, "each asks anew")

        async with await plane.client() as client:
            while plane.pool.failures < 2:  # which target is drawn first is chance
                await ask(client)
            for _ in range(10):
                await ask(client)
        assert plane.pool.failures == 2
    held.close()


async def test_requests_go_to_the_target_with_the_least_to_do(start: Start) -> None:
    busy: list[RawUpstream] = []

    async def silent_first(visit: Visit, upstream: RawUpstream) -> None:
        """Which of them is drawn first is chance: that one is busy from then on."""
        if busy:
            await polite(visit, upstream)
        else:
            busy.append(upstream)
            await silent(visit, upstream)

    async with RawUpstream(silent_first) as one, RawUpstream(silent_first) as other:
        plane = await start(targets=[Target("127.0.0.1", one.port), Target("127.0.0.1", other.port)])
        async with await plane.client() as stuck, await plane.client() as client:
            stuck.send(GET)
            await until(lambda: bool(one.asked or other.asked), "one target is busy")
            for _ in range(5):
                assert (await client.ask(GET)).status == 200
        assert sorted((len(one.asked), len(other.asked))) == [1, 5]
