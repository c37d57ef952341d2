"""Scheduled work: each job runs in one process at a time, however many workers there are."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import uuid_utils.compat as uuid_utils

from coffee_core.domain.context import OPERATOR_PARTNER, RequestContext
from coffee_core.domain.errors import CoffeeError, UnavailableError
from coffee_core.domain.plan import Plan
from coffee_core.messaging.job_table import JobTable
from coffee_core.messaging.stats import MessagingStats
from coffee_core.persistence.unit_of_work import acting_as

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""A worker that has died keeps others from its job this long; a living one renews three times in this time."""

LOOK_SECONDS = 5.0
"""How often a worker looks whether a job is due, where the job itself does not come more often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that `coffee worker` runs every `every_seconds` after its last end, in one process at a time.

    It runs as the platform itself (`OPERATOR_PARTNER`) in one unit of work. What it does must bear being done again: a
    worker that dies in the middle leaves it to another.
    """

    name: str
    """Unique in the platform."""
    every_seconds: float
    run: Callable[[], Awaitable[None]]


class JobRunner:
    """Runs the jobs of one process until it is told to stop."""

    def __init__(self, jobs: Iterable[Job], table: JobTable, stats: MessagingStats) -> None:
        self._jobs = list(jobs)
        names = [job.name for job in self._jobs]
        if len(set(names)) < len(names):
            raise ValueError(f"two jobs have the same name: {sorted(names)}")
        self._table = table
        self._stats = stats
        self._holder = uuid.uuid4()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin no further run."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop()`, and until the runs in hand have ended."""
        await asyncio.gather(*(self._repeat(job) for job in self._jobs))

    async def _repeat(self, job: Job) -> None:
        pause = min(job.every_seconds, LOOK_SECONDS)
        while not self._stopping.is_set():
            try:
                if await self._table.claim(job.name, self._holder, LEASE_SECONDS):
                    await self._run(job)
            except UnavailableError as error:
                log.warning("job %s waits for the database: %s", job.name, error.detail)
            try:
                async with asyncio.timeout(pause * random.uniform(0.8, 1)):  # noqa: S311  # spreads the workers
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def _run(self, job: Job) -> None:
        work = asyncio.create_task(self._once(job))
        keeper = asyncio.create_task(self._keep(job, work))
        try:
            error = await work
        except asyncio.CancelledError:
            if not keeper.done() or keeper.cancelled():  # we are being cancelled, not our job by its keeper
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                raise
            error = "its lease was lost"
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        self._stats.jobs[job.name, "done" if error is None else "failed"] += 1
        await self._table.finish(job.name, self._holder, job.every_seconds, error)

    async def _once(self, job: Job) -> str | None:
        context = RequestContext(request_id=str(uuid_utils.uuid7()), partner_id=OPERATOR_PARTNER, plan=Plan.PAID)
        try:
            async with acting_as(context):
                await job.run()
        except CoffeeError as error:
            log.error("job %s failed: %s", job.name, error.detail)  # noqa: TRY400  # a sentence of ours says enough
            return f"{type(error).__name__}: {error.detail}"
        except Exception as error:
            log.exception("job %s failed", job.name)
            return f"{type(error).__name__}: {error}"
        return None

    async def _keep(self, job: Job, work: asyncio.Task[str | None]) -> None:
        """Renew the lease; a job whose lease is lost is stopped, because another worker runs it now."""
        end = asyncio.get_running_loop().time() + LEASE_SECONDS
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            asked = asyncio.get_running_loop().time()
            try:
                held = await self._table.renew(job.name, self._holder, LEASE_SECONDS)
            except UnavailableError:
                held = asked < end
            else:
                end = asked + LEASE_SECONDS
            if not held:
                log.error("job %s is stopped: its lease was lost", job.name)
                work.cancel()
                return
