"""More requests than a service can take: few wait, none for long, and who is refused learns it at once."""

from __future__ import annotations

import asyncio
from collections import Counter

from prometheus_client import CollectorRegistry, generate_latest

from gateway.data_plane.gauges import Gauges
from gateway.data_plane.pool import Pool
from gateway.data_plane.settings import DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.data_plane.upstreams import Upstream
from tests.gateway.data_plane.conftest import Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"


async def test_a_bound_on_requests_under_way_refuses_the_next_at_once(start: Start) -> None:
    release = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.request())
            await release.wait()
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    plane = await start(script, concurrency={"up": 2})
    async with await plane.client() as one, await plane.client() as two, await plane.client() as three:
        one.send(GET)
        two.send(GET)
        await until(lambda: len(plane.upstream.asked) == 2, "two are under way")
        answer = await three.ask(GET)
        assert (answer.status, answer.header(b"retry-after")) == (503, b"1")
        assert answer.header(b"content-type") == b"application/problem+json"
        release.set()
        assert [(await client.answer()).status for client in (one, two)] == [200, 200]
        assert (await three.ask(GET)).status == 200
    registry = CollectorRegistry()
    registry.register(Gauges(plane.front))
    assert 'gateway_upstream_refused_total{upstream="up"} 1.0' in generate_latest(registry).decode()
    await plane.at_rest()


async def test_in_overload_the_newest_is_served_and_none_waits_long(start: Start) -> None:
    """The queue never empties: who waits longest has the least use for his answer."""
    turns: asyncio.Queue[None] = asyncio.Queue()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.request())
            await turns.get()
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    plane = await start(script, connections=1, wait_timeout=30, shed_after=0.05, shed_wait=2)
    clients = [await plane.client() for _ in range(4)]
    first, second, third, fourth = clients
    first.send(GET)
    await until(lambda: len(plane.upstream.asked) == 1, "the only connection is busy")
    second.send(b"GET /second HTTP/1.1\r\nhost: a\r\n\r\n")
    await until(lambda: plane.pool.waiting == 1, "one waits")
    await until(plane.pool._overload, "it is overload")
    third.send(b"GET /third HTTP/1.1\r\nhost: a\r\n\r\n")
    await until(lambda: plane.pool.waiting == 2, "two wait")
    turns.put_nowait(None)
    assert (await first.answer()).status == 200
    await until(lambda: len(plane.upstream.asked) == 2, "somebody has the turn")
    assert plane.upstream.asked[1].line.startswith(b"GET /third")
    fourth.send(b"GET /fourth HTTP/1.1\r\nhost: a\r\n\r\n")
    answer = await fourth.answer()
    assert (answer.status, answer.header(b"retry-after")) == (503, b"1")
    assert plane.pool.shed == {"full": 0, "wait": 0, "overload": 1}
    turns.put_nowait(None)
    turns.put_nowait(None)
    assert (await third.answer()).status == 200
    assert (await second.answer()).status == 200
    for client in clients:
        client.writer.close()
    await plane.at_rest()


class Clock:
    now = 0.0


def test_weights_are_shares_when_idle_and_when_busy_the_less_busy_is_taken() -> None:
    settings = DataPlaneSettings()
    pools = [Pool(Target("a", 1, weight=weight), settings, Clock()) for weight in (6, 3, 3)]
    group = Upstream("up", pools, Clock())
    drawn = Counter(pools.index(group._draw()) for _ in range(4000))
    assert 1700 < drawn[0] < 2300
    assert 700 < drawn[1] < 1300
    pools[0].open = 6
    pools[1].open = 3
    drawn = Counter(pools.index(group._draw()) for _ in range(2000))
    assert drawn[2] > drawn[0]
    assert drawn[2] > drawn[1]
    busy = [0, 0, 0]
    for pool in pools:
        pool.open = 0
    for _ in range(1200):
        chosen = group._draw()
        chosen.open += 1
        busy[pools.index(chosen)] += 1
    assert abs(busy[0] - 600) < 30
    assert abs(busy[1] - 300) < 30


def test_a_target_that_rests_is_not_drawn() -> None:
    settings = DataPlaneSettings()
    pools = [Pool(Target("a", 1), settings, Clock()) for _ in range(3)]
    group = Upstream("up", pools, Clock())
    pools[1].ejected_until = 5.0
    assert {pools.index(group._draw()) for _ in range(200)} == {0, 2}
