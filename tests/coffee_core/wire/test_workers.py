"""Several processes behind one address: none of them is missed when it goes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.raw_http import BOUND, RawClient

PROGRAM = str(Path(__file__).with_name("worker_program.py"))
Start = Callable[[int], Awaitable[tuple[asyncio.subprocess.Process, int]]]


async def ask(port: int, path: str = "/") -> int:
    """Which process answers; 0 if none did."""
    try:
        async with await RawClient.connect(port) as client:
            request = f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
            return int((await client.ask(request.encode())).body)
    except (OSError, asyncio.IncompleteReadError):
        return 0


async def pids(port: int, wanted: Callable[[set[int]], bool]) -> set[int]:
    """Ask until the set of processes that answer is as wanted."""
    seen: set[int] = set()
    async with asyncio.timeout(BOUND):
        while not wanted(seen):
            seen.add(await ask(port))
            seen.discard(0)
    return seen


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start the program with so many workers; it is stopped at the end."""
    started: list[asyncio.subprocess.Process] = []

    async def begin(workers: int) -> tuple[asyncio.subprocess.Process, int]:
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable, PROGRAM, str(port), str(workers), stderr=asyncio.subprocess.PIPE
        )
        started.append(process)
        return process, port

    yield begin
    for process in started:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(BOUND):
            await process.communicate()


async def test_connections_are_spread_over_the_workers(start: Start) -> None:
    supervisor, port = await start(2)
    answering = await pids(port, lambda seen: len(seen) == 2)
    assert supervisor.pid not in answering


async def test_a_worker_that_dies_is_replaced(start: Start) -> None:
    _, port = await start(2)
    before = await pids(port, lambda seen: len(seen) == 2)
    assert await ask(port, "/die") == 0
    await pids(port, lambda seen: len(seen - before) == 1)


async def test_a_rolling_restart_loses_no_request(start: Start) -> None:
    supervisor, port = await start(2)
    before = await pids(port, lambda seen: len(seen) == 2)
    slow = [asyncio.create_task(ask(port, "/slow")) for _ in range(8)]
    supervisor.send_signal(signal.SIGHUP)
    answers: set[int] = set()
    async with asyncio.timeout(BOUND):
        while len(answers - before) < 2:
            answers.add(await ask(port))
    assert 0 not in answers
    assert all([await task for task in slow])


async def test_a_stopped_program_finishes_what_it_has_begun(start: Start) -> None:
    supervisor, port = await start(2)
    await pids(port, lambda seen: len(seen) == 2)
    slow = [asyncio.create_task(ask(port, "/slow")) for _ in range(8)]
    async with asyncio.timeout(BOUND):
        await ask(port)
        supervisor.terminate()
        assert all([await task for task in slow])
        assert await supervisor.wait() == 0
    assert await ask(port) == 0


async def test_workers_that_drain_for_different_times_end_well(start: Start) -> None:
    """The supervisor waited a second time for the one that had ended first, and died of it with status 1."""
    supervisor, port = await start(2)
    await pids(port, lambda seen: len(seen) == 2)
    slow = asyncio.create_task(ask(port, "/slow"))
    async with asyncio.timeout(BOUND):
        await ask(port)
        supervisor.terminate()
        assert await slow
        assert await supervisor.wait() == 0


async def test_one_worker_needs_no_supervisor(start: Start) -> None:
    process, port = await start(1)
    assert await pids(port, lambda seen: len(seen) == 1) == {process.pid}
    process.terminate()
    async with asyncio.timeout(BOUND):
        assert await process.wait() == 0
