"""A worker starts without its broker, says whether it is ready, and does not outlive a part of it that broke."""

from __future__ import annotations

import asyncio

import pytest

from coffee_core.domain.event import Delivery
from coffee_core.messaging.broker import Subscription, Take
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.errors import BrokerUnavailableError
from coffee_core.messaging.events import EventBus
from coffee_core.messaging.listeners import Listener
from coffee_core.messaging.outbox import Outbox
from coffee_core.messaging.settings import OutboxSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.messaging.topic import Topic
from coffee_core.messaging.worker import Worker
from coffee_core.persistence.pool import Pool
from coffee_core.persistence.unit_of_work import acting_as
from tests.coffee_core.messaging.sample import Happened, a_caller, a_topic, event_on, until

QUICK = OutboxSettings(poll_seconds=0.02)


class Absent(MemoryBroker):
    """Is not there at first."""

    def __init__(self) -> None:
        super().__init__()
        self.there = False
        self.asked = 0

    async def open(self) -> None:
        self.asked += 1
        if not self.there:
            raise BrokerUnavailableError("not there")


async def test_a_worker_waits_for_its_broker_and_is_ready_when_it_listens(pool: Pool) -> None:
    broker, topic, got = Absent(), a_topic(), asyncio.Event()

    async def handle(event: Happened) -> None:
        got.set()

    listener = Listener(topic=str(topic), event=Happened, handle=handle, name=topic.queue)
    worker = Worker(pool, broker, listeners=[listener], outbox=QUICK)
    task = asyncio.create_task(worker.run())
    await until(lambda: broker.asked > 0)
    assert await worker.check() == "the broker was not reached yet"
    broker.there = True

    async def ready() -> bool:
        return await worker.check() is None

    await until(ready)
    bus = EventBus(broker, outbox=Outbox(pool))
    async with acting_as(a_caller()):
        bus.raise_event(event_on(topic)(what="x"), Delivery.OUTBOX)
    await asyncio.wait_for(got.wait(), 10)
    worker.stop()
    await task


class Deaf(Absent):
    """Takes being cancelled for an answer once, as a client library does where both come at one moment."""

    async def open(self) -> None:
        self.asked += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self.asked == 1:
                raise BrokerUnavailableError("not there") from None
            raise


@pytest.mark.parametrize("kind", [Absent, Deaf])
async def test_a_worker_that_never_reached_its_broker_stops_when_it_is_told(pool: Pool, kind: type[Absent]) -> None:
    broker = kind()
    worker = Worker(pool, broker, outbox=QUICK)
    task = asyncio.create_task(worker.run())
    await until(lambda: broker.asked > 0)
    worker.stop()
    ended, _ = await asyncio.wait((task,), timeout=10)
    task.cancel()
    assert ended == {task}
    assert task.exception() is None


async def test_a_worker_is_not_ready_while_the_outbox_lags(pool: Pool) -> None:
    stats = MessagingStats()
    worker = Worker(pool, MemoryBroker(), outbox=QUICK, stats=stats)
    task = asyncio.create_task(worker.run())

    async def ready() -> bool:
        return await worker.check() is None

    await until(ready)
    stats.outbox_lag = 61
    assert await worker.check() == "the outbox lags by 61 s"
    worker.stop()
    await task


async def test_a_worker_of_which_a_part_breaks_ends_with_its_error(pool: Pool) -> None:
    class Broken(MemoryBroker):
        async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
            raise ZeroDivisionError("a fault of ours")

    async def handle(event: Happened) -> None: ...

    listener = Listener(topic=str(a_topic()), event=Happened, handle=handle, name="never.reached")
    worker = Worker(pool, Broken(), listeners=[listener], outbox=QUICK)
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        await asyncio.wait_for(worker.run(), 20)
