"""A client that leaves takes its request with it: no work, connection, waiter, task or descriptor stays."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.gateway.data_plane.conftest import Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"


async def silent(visit: Visit, upstream: RawUpstream) -> None:
    """Takes the request and never answers."""
    upstream.asked.append(await visit.request())
    await visit.reader.read(-1)


async def half(visit: Visit, upstream: RawUpstream) -> None:
    """Begins an answer."""
    upstream.asked.append(await visit.request())
    visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
    await visit.reader.read(-1)


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("script", [silent, half])
async def test_the_upstream_learns_that_its_client_has_left(start: Start, script: object, how: str) -> None:
    plane = await start(script, wire={"half_close_grace": 0.05})
    client = await plane.client()
    client.send(GET)
    await until(lambda: bool(plane.upstream.asked), "the upstream was asked")
    if script is half:
        await client.head()
    client.reset() if how == "reset" else client.writer.close()
    await plane.at_rest()
    assert plane.pool.open == 0
    (line,) = await plane.log(1)
    assert (line["status"], line["end"]) == (200 if script is half else 499, "left")


@pytest.mark.parametrize("body", [b"content-length: 5\r\n\r\nhello", b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"])
async def test_one_that_sends_no_more_gets_the_answers_it_asked_for(start: Start, body: bytes) -> None:
    release = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.request())
            await release.wait()
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    plane = await start(script, wire={"half_close_grace": 10})
    async with await plane.client() as client:
        client.send(b"PUT /a HTTP/1.1\r\nhost: a\r\n" + body + GET * 2)
        client.half_close()
        await until(lambda: any(each.eof for each in plane.front.connections), "its end has been seen")
        await until(lambda: bool(plane.upstream.asked), "the first is under way")
        release.set()
        assert [(await client.answer()).body for _ in range(3)] == [b"ok"] * 3
        assert await client.closed()
    await plane.at_rest()


async def test_one_that_leaves_in_its_body_leaves_nothing(start: Start) -> None:
    plane = await start()
    for begun in (b"content-length: 100000\r\n\r\nhello", b"transfer-encoding: chunked\r\n\r\n5\r\nhel"):
        before = len(plane.upstream.visits)
        client = await plane.client()
        client.send(b"PUT /a HTTP/1.1\r\nhost: a\r\n" + begun)
        await until(lambda: len(plane.upstream.visits) > before, "the upstream was asked")  # noqa: B023 - awaited here
        client.reset()
        await plane.at_rest()
    assert not plane.upstream.asked
    assert plane.pool.open == 0


async def test_one_that_leaves_while_it_waits_for_its_turn_leaves_the_queue(start: Start) -> None:
    plane = await start(silent, connections=1, wait_timeout=5)
    first, second = await plane.client(), await plane.client()
    first.send(GET)
    await until(lambda: bool(plane.upstream.asked), "the only connection is busy")
    second.send(GET)
    await until(lambda: plane.pool.busy == 2, "the second waits")
    second.reset()
    await until(lambda: plane.pool.busy == 1, "it has left the queue")
    first.reset()
    await plane.at_rest()


async def test_one_that_leaves_while_it_is_being_decided_about_is_forgotten(start: Start) -> None:
    plane = await start()
    client = await plane.client()
    client.send(b"GET /later/a HTTP/1.1\r\nhost: a\r\n\r\n")
    await until(lambda: bool(plane.front.connections), "it is being decided")
    client.reset()
    await plane.at_rest()
    plane.verdict.release.set()
    assert not plane.upstream.visits


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


DISCONNECTS = int(os.environ.get("COFFEE_TEST_DISCONNECTS", "600"))
"""In full: 10000."""


@pytest.mark.timeout(60 + DISCONNECTS // 25)
async def test_many_that_leave_at_any_moment_leave_nothing(start: Start) -> None:
    count = DISCONNECTS
    plane = await start(connections=4, wire={"half_close_grace": 0.02})
    warm = await plane.client()
    await warm.ask(GET)
    warm.reset()
    await plane.at_rest()
    await plane.log(1)
    plane.front.upstreams.close()
    await until(lambda: plane.upstream.open == 0, "the upstream's side is closed as well")
    tasks, before = len(asyncio.all_tasks()), descriptors()
    request = b"PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 20000\r\n\r\n" + b"x" * 20_000
    for number in range(count):
        client = await plane.client()
        client.send(request[: number % 150 * len(request) // 140])
        if number % 3 == 0:
            await client.flush()
        client.reset() if number % 2 else client.writer.close()
    await plane.at_rest()
    plane.front.upstreams.close()
    await until(lambda: plane.upstream.open == 0, "the upstream's side is closed as well")
    await until(lambda: len(asyncio.all_tasks()) <= tasks, "no task is left")
    await until(lambda: descriptors() <= before, "no descriptor is left")
