"""Targets are asked whether they are well, if that is configured; and what fails in passing rests in any case."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.data_plane.targets import Target
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit, polite

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
QUICK = {"health_path": "/health/ready", "health_interval": 0.01, "health_timeout": 0.5}


class Patient:
    """Serves everything, and says how it is when asked for its health."""

    def __init__(self) -> None:
        self.health = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        self.checks = 0
        self.upstream = RawUpstream(self)

    async def __call__(self, visit: Visit, upstream: RawUpstream) -> None:
        while True:
            asked = await visit.request()
            if asked.line.startswith(b"GET /health/ready "):
                self.checks += 1
                if not self.health:
                    await visit.reader.read(-1)
                visit.say(self.health)
                continue
            upstream.asked.append(asked)
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


@pytest.fixture
async def patients() -> AsyncIterator[tuple[Patient, Patient]]:
    """Two targets."""
    both = (Patient(), Patient())
    async with both[0].upstream, both[1].upstream:
        yield both


async def begun(start: Start, patients: tuple[Patient, Patient], **settings: object) -> Plane:
    targets = [Target("127.0.0.1", patient.upstream.port) for patient in patients]
    return await start(targets=targets, **{**QUICK, **settings})


@pytest.mark.parametrize(
    "health",
    [
        pytest.param(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", id="it says so"),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n", id="it says something else"
        ),
        pytest.param(b"garbage\r\n\r\n", id="it talks nonsense"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", id="it does not finish"),
        pytest.param(b"", id="it is silent"),
    ],
)
async def test_a_target_that_is_not_well_gets_no_requests_until_it_is(
    start: Start, patients: tuple[Patient, Patient], health: bytes
) -> None:
    ill, well = patients
    good, ill.health = ill.health, health
    plane = await begun(start, patients, health_timeout=0.05)
    first, second = plane.front.upstreams.pools()
    await until(lambda: first.unhealthy, "it was found out")
    assert not second.unhealthy
    async with await plane.client() as client:
        for _ in range(6):
            assert (await client.ask(GET)).status == 200
    assert (len(ill.upstream.asked), len(well.upstream.asked)) == (0, 6)
    ill.health = good
    await until(lambda: not first.ejected, "it is back")


async def test_if_no_target_is_well_all_are_asked(start: Start, patients: tuple[Patient, Patient]) -> None:
    for patient in patients:
        patient.health = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"
    plane = await begun(start, patients)
    await until(lambda: all(pool.unhealthy for pool in plane.front.upstreams.pools()), "both were found out")
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 200
    assert all(pool.ejected for pool in plane.front.upstreams.pools()), "an answer does not outweigh a check"


async def test_a_good_check_brings_an_ejected_target_back_before_its_time(
    start: Start, patients: tuple[Patient, Patient]
) -> None:
    plane = await begun(start, patients, eject_after=1, eject_for=3600)
    plane.pool.failed()
    assert plane.pool.ejected
    await until(lambda: not plane.pool.ejected, "it is back")


async def test_nobody_is_asked_unless_that_is_configured(start: Start, patients: tuple[Patient, Patient]) -> None:
    plane = await begun(start, patients, health_path="")
    tasks = [task for task in asyncio.all_tasks() if "HealthCheck" in repr(task)]
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 200
    assert not tasks
    assert patients[0].checks + patients[1].checks == 0


async def test_checks_end_with_the_gateway_and_leave_no_connection(
    start: Start, patients: tuple[Patient, Patient]
) -> None:
    plane = await begun(start, patients)
    await until(lambda: patients[0].checks > 3, "checks run")
    await plane.front.drain()
    assert not [task for task in asyncio.all_tasks() if "HealthCheck" in repr(task)]
    await until(lambda: patients[0].upstream.open + patients[1].upstream.open == 0, "no connection is left")


async def test_a_target_that_was_ejected_gets_one_request_at_a_time_until_it_answers(start: Start) -> None:
    release = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.request())
            await release.wait()
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with RawUpstream(script) as back, RawUpstream(polite) as other:
        plane = await start(
            targets=[Target("127.0.0.1", back.port, weight=100), Target("127.0.0.1", other.port)],
            eject_after=1,
            eject_for=0.01,
        )
        plane.pool.failed()
        await until(lambda: not plane.pool.ejected, "its rest is over")
        async with await plane.client() as first, await plane.client() as second:
            first.send(GET)
            await until(lambda: len(back.asked) == 1, "it is tried")
            for _ in range(3):
                assert (await second.ask(GET)).status == 200
            assert len(back.asked) == 1
            release.set()
            assert (await first.answer()).status == 200
            while len(back.asked) < 2:  # once in a hundred times the other is drawn
                assert (await second.ask(GET)).status == 200
        assert (len(back.asked), plane.pool.failures) == (2, 0)
