"""What is tried again: only what is safe, after a wait, and never more than a part of what is answered."""

from __future__ import annotations

import asyncio

import pytest

from coffee_core.resilience.breaker import Breaker
from gateway.data_plane.retries import RetryBudget
from gateway.data_plane.settings import DataPlaneSettings
from gateway.data_plane.targets import Target
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.ports import free_port
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit, polite, saying

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi"
PUT = b"PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi"


def taken(plane: Plane) -> int:
    """Retries so far."""
    return plane.front.groups["up"].retries.taken


class FirstsDie:
    """An upstream whose first connections end without an answer."""

    def __init__(self, deaths: int) -> None:
        self.deaths = deaths

    async def __call__(self, visit: Visit, upstream: RawUpstream) -> None:
        if self.deaths:
            self.deaths -= 1
            upstream.asked.append(await visit.request())
            return
        await polite(visit, upstream)


@pytest.mark.parametrize(("request_bytes", "status"), [(GET, 200), (PUT, 502), (POST, 502)])
async def test_only_a_safe_request_is_repeated_when_a_new_connection_is_lost(
    start: Start, request_bytes: bytes, status: int
) -> None:
    plane = await start(FirstsDie(1))
    async with await plane.client() as client:
        assert (await client.ask(request_bytes)).status == status
    assert len(plane.upstream.asked) == (2 if status == 200 else 1)


async def test_a_request_is_repeated_once_and_no_more(start: Start) -> None:
    plane = await start(FirstsDie(9))
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 502
    assert len(plane.upstream.asked) == 2


async def test_a_repeat_goes_to_another_target(start: Start) -> None:
    dying: list[RawUpstream] = []

    async def first_drawn_dies(visit: Visit, upstream: RawUpstream) -> None:
        if not dying:
            dying.append(upstream)
        await (FirstsDie(99) if upstream in dying else polite)(visit, upstream)

    async with RawUpstream(first_drawn_dies) as one, RawUpstream(first_drawn_dies) as other:
        plane = await start(targets=[Target("127.0.0.1", one.port), Target("127.0.0.1", other.port)])
        async with await plane.client() as client:
            assert (await client.ask(GET)).status == 200
        assert (len(one.asked), len(other.asked)) == (1, 1)


async def test_an_answer_is_an_answer_and_not_asked_for_again(start: Start) -> None:
    plane = await start(saying(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"))
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 503
    assert (len(plane.upstream.asked), taken(plane)) == (1, 0)


async def test_a_service_that_comes_back_in_a_moment_is_waited_for_even_with_a_post(start: Start) -> None:
    port = free_port()
    # 40 waits, each half a second on average and two at the most, beside a bind that takes milliseconds
    plane = await start(targets=[Target("127.0.0.1", port)], retries=40, retry_burst=50, retry_delay=0.2)
    async with await plane.client() as client:
        client.send(POST)
        await until(lambda: taken(plane) > 0, "it was refused once")
        server = await asyncio.start_server(_serve, "127.0.0.1", port)
        assert (await client.answer()).body == b"ok"
        server.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\nhi")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
    writer.close()


async def test_one_that_leaves_during_the_wait_leaves_nothing(start: Start) -> None:
    plane = await start(targets=[Target("127.0.0.1", free_port())], retries=9, retry_delay=60, retry_longest=60)
    tasks = len(asyncio.all_tasks())
    client = await plane.client()
    client.send(GET)
    await until(lambda: taken(plane) == 1, "it waits")
    client.reset()
    await until(lambda: not plane.front.connections, "it has left")
    await until(lambda: len(asyncio.all_tasks()) <= tasks, "nobody waits")
    assert plane.pool.open == 0


async def test_a_spent_budget_ends_retries_and_not_requests(start: Start) -> None:
    plane = await start(FirstsDie(3), retry_burst=1, retry_rate=0, retry_ratio=0)
    async with await plane.client() as client:
        statuses = [(await client.ask(GET)).status for _ in range(4)]
    # the first dies twice, its repeat included; the next dies and may not be repeated
    assert statuses == [502, 502, 200, 200]
    budget = plane.front.groups["up"].retries
    assert (budget.taken, budget.denied) == (1, 1)


class Clock:
    """A time that stands still until told."""

    now = 100.0


def test_the_budget_grows_with_answers_and_with_time_up_to_a_bound() -> None:
    clock = Clock()
    settings = DataPlaneSettings(retry_burst=2, retry_ratio=0.1, retry_rate=0.5)
    breaker = Breaker("b", settings.breaker_policy, clock)
    budget = RetryBudget(settings, clock, breaker)

    def available() -> int:
        count = 0
        while budget.take():
            count += 1
        return count

    assert available() == 2
    breaker.answers += 9
    assert available() == 0
    breaker.answers += 1
    assert available() == 1
    clock.now += 2
    assert available() == 1
    breaker.answers += 1_000_000
    assert available() == 2


def test_waits_grow_up_to_a_bound_and_differ() -> None:
    settings = DataPlaneSettings(retry_delay=0.1, retry_longest=0.4)
    budget = RetryBudget(settings, Clock(), Breaker("b", settings.breaker_policy, Clock()))
    for attempt, longest in enumerate((0.1, 0.2, 0.4, 0.4)):
        waits = {budget.delay(attempt) for _ in range(50)}
        assert len(waits) > 1
        assert 0 <= min(waits) <= max(waits) <= longest
