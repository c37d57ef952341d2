"""Work apart from requests, in one process: relay, listeners and jobs, from a start without hurry to a clean drain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from coffee_core.domain.errors import UnavailableError
from coffee_core.domain.tasks import end_tasks
from coffee_core.messaging.broker import Broker
from coffee_core.messaging.inbox import PostgresInbox
from coffee_core.messaging.job_table import JobTable
from coffee_core.messaging.jobs import Job, JobRunner
from coffee_core.messaging.listeners import Listener, Listeners
from coffee_core.messaging.middleware.chain import Parts
from coffee_core.messaging.outbox_table import OutboxTable
from coffee_core.messaging.relay import Relay
from coffee_core.messaging.settings import MessagingSettings, OutboxSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.messaging.wake import listen
from coffee_core.persistence.pool import Pool

log = logging.getLogger(__name__)

FORGET_EVERY_SECONDS = 3600.0
LONGEST_PAUSE = 10.0
"""Between attempts at reaching the broker when we start. Seconds."""


class Worker:
    """`run()` ends after `stop()`, or with the error that made a part of it end."""

    def __init__(
        self,
        pool: Pool,
        broker: Broker,
        *,
        listeners: Sequence[Listener] = (),
        jobs: Sequence[Job] = (),
        settings: MessagingSettings | None = None,
        outbox: OutboxSettings | None = None,
        stats: MessagingStats | None = None,
    ) -> None:
        self._settings = settings or MessagingSettings()
        self._outbox = outbox or OutboxSettings()
        self._stats = stats or MessagingStats()
        self._pool = pool
        self._broker = broker
        inbox = PostgresInbox(pool)
        self.listeners = Listeners(listeners, Parts(inbox=inbox, settings=self._settings, stats=self._stats))
        self.relay = Relay(OutboxTable(pool), broker, settings=self._outbox, stats=self._stats)
        self.jobs = JobRunner([*jobs, self._forgetting(inbox)], JobTable(pool), self._stats)
        self._stopping = asyncio.Event()
        self._listening = False

    def _forgetting(self, inbox: PostgresInbox) -> Job:
        async def forget() -> None:
            count = await inbox.forget(self._settings.inbox_days)
            if count:
                log.info("the inbox has forgotten %d messages", count)

        return Job(name="coffee_inbox_forget", every_seconds=FORGET_EVERY_SECONDS, run=forget)

    def stop(self) -> None:
        """Take nothing more, finish what is in hand, and end."""
        self._stopping.set()

    async def check(self) -> str | None:
        """Ready when it listens and the outbox does not lag."""
        if not self._listening:
            return "the broker was not reached yet"
        if self._stats.outbox_lag > self._outbox.lag_seconds:
            return f"the outbox lags by {self._stats.outbox_lag:.0f} s"
        return None

    async def run(self) -> None:
        """Work until `stop()`; then at most `drain_seconds` for what is in hand."""
        ear = asyncio.create_task(listen(self._pool.url, self.relay.wake))
        parts = [
            asyncio.create_task(self.relay.run(), name="relay"),
            asyncio.create_task(self.jobs.run(), name="jobs"),
            asyncio.create_task(self._subscribe(), name="listeners"),
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await _first_end(stopping, parts)
        finally:
            stopping.cancel()
            ear.cancel()
            await self._drain(parts)
            await asyncio.gather(ear, stopping, return_exceptions=True)
        # All are looked at, also where the first is enough: one that nobody asks for complains when it is collected.
        errors = [error for part in parts if not part.cancelled() and (error := part.exception()) is not None]
        if errors:
            raise errors[0]

    async def _subscribe(self) -> None:
        """Reach the broker, however long that takes, and begin to listen."""
        pause = 0.5
        while True:
            try:
                await self._broker.open()
                await self.listeners.start(self._broker)
            except UnavailableError as error:
                log.warning("no messages are taken yet: %s", error.detail)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._listening = True
                return

    async def _drain(self, parts: Sequence[asyncio.Task[None]]) -> None:
        relay, jobs, listeners = parts
        self.relay.stop()
        self.jobs.stop()
        await end_tasks(listeners)  # at an end already, unless the broker was never reached
        seconds = self._settings.drain_seconds
        await asyncio.gather(self.listeners.stop(seconds), _end([relay, jobs], seconds))


async def _first_end(stopping: asyncio.Task[bool], parts: Sequence[asyncio.Task[None]]) -> None:
    """Until we are told to stop, or a part fails; that listening has begun is no end."""
    waiting: set[asyncio.Task[bool] | asyncio.Task[None]] = {stopping, *parts}
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if stopping in done:
            return
        for task in done:
            if task.exception() is not None:
                log.error("%s ended: the worker ends too, to be started anew", task.get_name())
                return


async def _end(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        log.warning("%s did not finish within %.0f s", task.get_name(), seconds)
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
