"""The circuit breaker: a failing service is given a rest, and a few requests find out when it is well again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from coffee_core.resilience.breaker import Breaker, BreakerPolicy, State
from gateway.data_plane.gauges import Gauges
from gateway.data_plane.settings import DataPlaneSettings
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import Answer, until
from tests.support.raw_upstream import RawUpstream, Visit, always, saying

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Moody:
    """Answers while it is `well`; otherwise it closes the connection after the request."""

    def __init__(self) -> None:
        self.well = False
        self.hold: asyncio.Event | None = None

    async def __call__(self, visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.request())
            if self.hold is not None:
                await self.hold.wait()
            if not self.well:
                return
            visit.say(OK)


def state(plane: Plane) -> State:
    """Of the only breaker."""
    return plane.front.groups["up"].breaker.state


async def broken(start: Start, script: Any, **settings: Any) -> Plane:
    """A plane whose breaker has just opened, after four failures."""
    plane = await start(script, **{"breaker_requests": 4, "breaker_open": 0.05, **settings})
    async with await plane.client() as client:
        for number in range(4):
            assert state(plane) is State.CLOSED, number
            assert (await client.ask(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")).status == 502
    assert state(plane) is State.OPEN
    return plane


async def test_an_open_breaker_refuses_at_once_and_says_when_to_come_back(start: Start) -> None:
    plane = await broken(start, Moody(), breaker_open=7)
    async with await plane.client() as client:
        answer = await client.ask(GET)
        assert (answer.status, answer.header(b"content-type")) == (503, b"application/problem+json")
        assert int(answer.header(b"retry-after")) in {6, 7}
        body = b"x" * 100
        sent = b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        assert (await client.ask(sent)).status == 503
        assert (await client.ask(GET)).status == 503
    assert len(plane.upstream.asked) == 4
    await plane.at_rest()


async def test_a_service_that_is_well_again_is_asked_by_few_and_then_by_all(start: Start) -> None:
    script = Moody()
    plane = await broken(start, script, breaker_probes=2)
    script.well, script.hold = True, asyncio.Event()
    await until(lambda: plane.front.groups["up"].breaker.retry_after == 1, "time moves")
    await asyncio.wait_for(_past(plane), 5)
    clients = [await plane.client() for _ in range(5)]
    for client in clients:
        client.send(GET)
    await until(lambda: plane.front.groups["up"].breaker.refused == 3, "two may pass, three may not")
    assert state(plane) is State.HALF_OPEN
    script.hold.set()
    statuses = sorted([(await client.answer()).status for client in clients])
    assert statuses == [200, 200, 503, 503, 503]
    assert state(plane) is State.CLOSED
    assert [(await client.ask(GET)).status for client in clients] == [200] * 5
    for client in clients:
        client.writer.close()


async def _past(plane: Plane) -> None:
    """Until the breaker's rest is over."""
    breaker = plane.front.groups["up"].breaker
    ends = plane.front.now + 0.05
    assert not breaker.closed
    await until(lambda: plane.front.now > ends, "the rest is over")


async def test_one_probe_that_fails_opens_it_again(start: Start) -> None:
    plane = await broken(start, Moody(), retries=0, replays=0)
    await _past(plane)
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 502
        assert state(plane) is State.OPEN
        assert (await client.ask(GET)).status == 503


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_probe_whose_client_leaves_makes_room_for_another(start: Start, how: str) -> None:
    script = Moody()
    plane = await broken(start, script, breaker_probes=1, breaker_open=0.2, wire={"half_close_grace": 0.02})
    script.well, script.hold = True, asyncio.Event()
    ends = plane.front.now + 0.2
    await until(lambda: plane.front.now > ends, "the rest is over")
    leaver = await plane.client()
    leaver.send(GET)
    await until(lambda: len(plane.upstream.asked) == 5, "it is the probe")
    leaver.reset() if how == "reset" else leaver.writer.close()
    await until(lambda: plane.pool.busy == 0, "it has left")
    script.hold.set()
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 200
    assert state(plane) is State.CLOSED


class Clock:
    """A time that stands still until told."""

    now = 100.0


def a_breaker(**settings: Any) -> tuple[Breaker, Clock]:
    """With its clock."""
    clock = Clock()
    breaker = Breaker("b", DataPlaneSettings(**settings).breaker_policy, clock)
    breaker.sweep(clock.now)
    return breaker, clock


def test_few_requests_say_nothing() -> None:
    breaker, _ = a_breaker(breaker_requests=5)
    for _ in range(4):
        breaker.failed(probe=False)
    assert breaker.closed
    breaker.failed(probe=False)
    assert not breaker.closed


def test_a_part_that_fails_is_borne_up_to_the_ratio() -> None:
    breaker, _ = a_breaker(breaker_requests=10, breaker_ratio=0.5)
    breaker.answers += 10
    for _ in range(9):
        breaker.failed(probe=False)
    assert breaker.closed
    breaker.failed(probe=False)
    assert breaker.state is State.OPEN


def test_what_failed_before_the_window_is_forgotten() -> None:
    breaker, clock = a_breaker(breaker_requests=5, breaker_window=10)
    for _ in range(4):
        breaker.failed(probe=False)
    for _ in range(24):
        clock.now += 0.5
        breaker.sweep(clock.now)
    for _ in range(4):
        breaker.failed(probe=False)
    assert breaker.closed
    breaker.failed(probe=False)
    assert breaker.state is State.OPEN


def test_what_was_sent_before_it_opened_does_not_keep_it_open() -> None:
    breaker, clock = a_breaker(breaker_requests=1, breaker_probes=1, breaker_open=5)
    breaker.failed(probe=False)
    clock.now += 6
    assert breaker.admit()
    breaker.failed(probe=False)
    assert breaker.state is State.HALF_OPEN
    breaker.probe_answered()
    assert breaker.closed
    breaker.answers += 3
    assert breaker.closed


def test_probes_that_dawdle_are_not_waited_for() -> None:
    breaker, clock = a_breaker(breaker_requests=1, breaker_probes=1, breaker_open=5)
    breaker.failed(probe=False)
    clock.now += 6
    assert breaker.admit()
    assert not breaker.admit()
    clock.now += 6
    assert breaker.admit()
    breaker.probe_left()
    breaker.probe_left()
    assert breaker.admit()
    assert not breaker.admit()


def test_a_ratio_of_two_never_opens() -> None:
    breaker, _ = a_breaker(breaker_requests=1, breaker_ratio=2)
    for _ in range(100):
        breaker.failed(probe=False)
    assert breaker.closed


@pytest.mark.parametrize(("status", "opens"), [(502, True), (504, True), (500, False), (503, False), (404, False)])
async def test_answers_that_say_that_the_service_is_not_there_count_as_failures(
    start: Start, status: int, opens: bool
) -> None:
    answer = b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status
    plane = await start(always(answer), breaker_requests=3)
    async with await plane.client() as client:
        answers: list[Answer] = [await client.ask(GET) for _ in range(3)]
    assert {answer.status for answer in answers} == {status}
    assert (state(plane) is State.OPEN) == opens


async def test_an_answer_that_is_broken_off_counts_as_a_failure(start: Start) -> None:
    plane = await start(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"), breaker_requests=2)
    for _ in range(2):
        async with await plane.client() as client:
            assert not (await client.ask(GET)).complete
    assert state(plane) is State.OPEN


async def test_a_full_queue_of_ours_is_no_failure_of_theirs(start: Start) -> None:
    script = Moody()
    script.well, script.hold = True, asyncio.Event()
    plane = await start(script, connections=1, waiting=0, breaker_requests=2)
    async with await plane.client() as first, await plane.client() as second:
        first.send(GET)
        await until(lambda: bool(plane.upstream.asked), "the only connection is busy")
        for _ in range(5):
            assert (await second.ask(GET)).status == 503
        assert state(plane) is State.CLOSED
        script.hold.set()
        assert (await first.answer()).status == 200


async def test_gauges_say_what_the_plane_is_doing(start: Start) -> None:
    plane = await broken(start, Moody(), breaker_open=60, eject_for=60)
    registry = CollectorRegistry()
    registry.register(Gauges(plane.front))
    async with await plane.client() as client:
        await client.ask(GET)
        text = generate_latest(registry).decode()
    target = f'target="127.0.0.1:{plane.upstream.port}",upstream="up"'
    for line in (
        "gateway_clients 1.0",
        "gateway_access_log_dropped_total 0.0",
        f'gateway_upstream_connections{{state="idle",{target}}} 0.0',
        f'gateway_upstream_connections{{state="busy",{target}}} 0.0',
        f"gateway_upstream_waiting{{{target}}} 0.0",
        f"gateway_upstream_ejected{{{target}}} 1.0",
        'gateway_breaker_state{state="open",upstream="up"} 1.0',
        'gateway_breaker_state{state="closed",upstream="up"} 0.0',
        'gateway_breaker_opened_total{upstream="up"} 1.0',
        'gateway_breaker_refused_total{upstream="up"} 1.0',
        'gateway_upstream_failures_total{upstream="up"} 4.0',
    ):
        assert line in text


def test_what_fails_before_the_first_sweep_counts() -> None:
    class Now:
        now = 0.0

    clock = Now()
    breaker = Breaker("up", BreakerPolicy(requests=4), clock)
    breaker.failed(probe=False)
    breaker.failed(probe=False)
    clock.now = 100.0
    breaker.sweep(100.0)
    breaker.failed(probe=False)
    breaker.failed(probe=False)
    assert breaker.state is State.OPEN
