"""A job runs in one worker at a time, as the platform itself, again and again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from coffee_core.domain.context import RequestContext, current
from coffee_core.domain.errors import RuleError
from coffee_core.messaging import jobs as jobs_file
from coffee_core.messaging.job_table import JobTable
from coffee_core.messaging.jobs import Job, JobRunner
from coffee_core.messaging.stats import MessagingStats
from coffee_core.persistence.pool import Pool
from tests.coffee_core.messaging.sample import until


def a_job(run: Callable[[], Awaitable[None]], every_seconds: float = 0.02) -> Job:
    return Job(name=f"job_{uuid.uuid4().hex}", every_seconds=every_seconds, run=run)


@asynccontextmanager
async def running(pool: Pool, *jobs: Job, stats: MessagingStats | None = None) -> AsyncIterator[JobRunner]:
    runner = JobRunner(jobs, JobTable(pool), stats or MessagingStats())
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        runner.stop()
        await asyncio.wait_for(task, 10)


async def test_a_job_runs_again_and_again_as_the_platform_itself(pool: Pool) -> None:
    seen: list[RequestContext] = []

    async def run() -> None:
        seen.append(current())

    async with running(pool, a_job(run)):
        await until(lambda: len(seen) >= 3)
    assert all(context.is_operator for context in seen)
    assert len({context.request_id for context in seen}) == len(seen)


async def test_several_workers_run_it_one_at_a_time(pool: Pool) -> None:
    at_once = most = runs = 0

    async def run() -> None:
        nonlocal at_once, most, runs
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        runs += 1

    job = a_job(run)
    async with running(pool, job), running(pool, job), running(pool, job):
        await until(lambda: runs >= 10)
    assert most == 1


async def test_it_does_not_come_sooner_than_it_is_due_whichever_worker_asks(pool: Pool) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1

    job = a_job(run, every_seconds=3600)
    async with running(pool, job):
        await until(lambda: runs == 1)
    table = JobTable(pool)
    assert not await table.claim(job.name, uuid.uuid4(), 30)
    connection = await pool.take()
    await connection.raw.execute("UPDATE coffee.job SET next_at = now() WHERE name = $1", job.name)
    pool.give(connection)
    assert await table.claim(job.name, uuid.uuid4(), 30)


async def test_a_failure_is_noted_and_the_job_comes_again(pool: Pool) -> None:
    runs, stats = 0, MessagingStats()

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuleError("not today")
        if runs == 2:
            raise ZeroDivisionError

    job = a_job(run)
    async with running(pool, job, stats=stats):
        await until(lambda: stats.jobs[job.name, "done"] >= 1)
    assert stats.jobs[job.name, "failed"] == 2


async def test_the_last_error_can_be_read_in_the_table(pool: Pool) -> None:
    stats = MessagingStats()

    async def run() -> None:
        raise RuleError("not today")

    job = a_job(run, every_seconds=3600)
    async with running(pool, job, stats=stats):
        await until(lambda: stats.jobs[job.name, "failed"] == 1)
    connection = await pool.take()
    error = await connection.raw.fetchval("SELECT error FROM coffee.job WHERE name = $1", job.name)
    pool.give(connection)
    assert error == "RuleError: not today"


async def test_stopping_waits_for_the_run_in_hand(pool: Pool) -> None:
    started, gate, ended = asyncio.Event(), asyncio.Event(), False

    async def run() -> None:
        nonlocal ended
        started.set()
        await gate.wait()
        ended = True

    async with running(pool, a_job(run)) as runner:
        await started.wait()
        runner.stop()
        assert not ended
        gate.set()
    assert ended


async def test_a_job_whose_lease_was_lost_is_stopped(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker runs it by then: two at once would be worse than one unfinished."""
    monkeypatch.setattr(jobs_file, "LEASE_SECONDS", 0.3)
    started, stopped, stats = asyncio.Event(), asyncio.Event(), MessagingStats()

    async def run() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    job = a_job(run, every_seconds=3600)
    async with running(pool, job, stats=stats):
        await started.wait()
        connection = await pool.take()
        await connection.raw.execute("UPDATE coffee.job SET holder = $2 WHERE name = $1", job.name, uuid.uuid4())
        pool.give(connection)
        await asyncio.wait_for(stopped.wait(), 10)
        await until(lambda: stats.jobs[job.name, "failed"] == 1)


def test_two_jobs_of_one_name_are_refused(pool: Pool) -> None:
    async def run() -> None: ...

    job = a_job(run)
    with pytest.raises(ValueError, match=job.name):
        JobRunner([job, job], JobTable(pool), MessagingStats())
