"""A process that is killed in the middle of its work loses nothing, repeats no effect and mixes no order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from coffee_core.domain.event import Delivery
from coffee_core.messaging.brokers.by_url import make_broker
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.events import EventBus
from coffee_core.messaging.message import ID, KEY
from coffee_core.messaging.outbox import Outbox
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.topic import Topic
from coffee_core.persistence.pool import Pool
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.testing.broker import Taker, until
from tests.coffee_core.messaging.sample import Happened, a_caller, a_message, a_topic, event_on

ROOT = Path(__file__).parents[3]
KINDS = ["nats_url", "redis_url", pytest.param("rabbitmq_url", marks=pytest.mark.rabbitmq)]


@pytest.fixture(params=KINDS)
def broker_url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def clean(pool: Pool) -> None:
    connection = await pool.take()
    await connection.raw.execute("CREATE TABLE IF NOT EXISTS public.written (topic text, what text)")
    await connection.raw.execute("TRUNCATE coffee.outbox")
    await connection.raw.execute("UPDATE coffee.outbox_lease SET until = now()")
    pool.give(connection)


class Program:
    """A worker process and what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())

    async def said(self, start: str, times: int = 1) -> None:
        await until(lambda: sum(line.startswith(start) for line in self.lines) >= times, 60)

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 30)
        await self._reader
        return code


@contextlib.asynccontextmanager
async def a_program(database: str, broker: str, topic: Topic, role: str, **environment: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.coffee_core.messaging.worker_program", database, broker, str(topic), role,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip
    program = Program(process)
    try:
        await program.said("up")
        yield program
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await program._reader


async def written(pool: Pool, topic: Topic) -> list[str]:
    connection = await pool.take()
    rows = await connection.raw.fetch("SELECT what FROM public.written WHERE topic = $1", str(topic))
    pool.give(connection)
    return [row[0] for row in rows]


async def test_a_relay_that_is_killed_loses_nothing_and_keeps_each_keys_order(
    pool: Pool, messages_url: str, broker_url: str, clean: None
) -> None:
    """Killed twice, with messages in hand that were published and not yet deleted."""
    topic, keys, each = a_topic(), ["a", "b", "c", "d"], 60
    bus, kind = EventBus(MemoryBroker(), outbox=Outbox(pool)), event_on(topic)
    for n in range(0, each, 5):
        for key in keys:
            async with acting_as(a_caller()):
                for number in range(n, n + 5):
                    bus.raise_event(kind(what=f"{number}", key_name=key), Delivery.OUTBOX)
    broker = make_broker(MessagingSettings(broker_url=SecretStr(broker_url)))
    await broker.open()
    taker = Taker()
    subscription = await broker.subscribe(topic, taker, prefetch=1)
    for _ in range(2):
        async with a_program(messages_url, broker_url, topic, "relay") as relay:
            await relay.said("published", 30)
            assert await relay.end(signal.SIGKILL) == -signal.SIGKILL
    async with a_program(messages_url, broker_url, topic, "relay") as relay:
        await until(lambda: len(taker.ids()) == each * len(keys), 60)
        assert await relay.end(signal.SIGTERM) == 0
    await subscription.stop(5)
    await broker.close()
    order: defaultdict[str, dict[int, None]] = defaultdict(
        dict
    )  # the first time each came: what the inbox lets through
    for arrived in taker.got:
        what = Happened.model_validate_json(arrived.body).what
        order[arrived.headers[KEY]].setdefault(int(what))
    assert {key: list(numbers) for key, numbers in order.items()} == {key: list(range(each)) for key in keys}


async def test_a_message_in_the_hands_of_a_killed_worker_takes_effect_once_elsewhere(
    pool: Pool, messages_url: str, broker_url: str, clean: None
) -> None:
    topic = a_topic()
    broker = make_broker(MessagingSettings(broker_url=SecretStr(broker_url)))
    await broker.open()
    async with a_program(messages_url, broker_url, topic, "handle", HANDLE_SECONDS="60") as victim:
        await broker.publish(a_message(topic, "once"))
        await victim.said("in hand once")
        await victim.end(signal.SIGKILL)
    assert await written(pool, topic) == []
    async with a_program(messages_url, broker_url, topic, "handle") as heir:
        await heir.said("in hand once")

        async def done() -> bool:
            return await written(pool, topic) == ["once"]

        await until(done)
        assert await heir.end(signal.SIGTERM) == 0
    assert await written(pool, topic) == ["once"]
    assert await broker.dead_letters(topic, 10) == []
    await broker.close()


async def test_a_worker_that_is_told_to_stop_finishes_what_is_in_hand_and_takes_nothing_more(
    pool: Pool, messages_url: str, broker_url: str, clean: None
) -> None:
    topic = a_topic()
    broker = make_broker(MessagingSettings(broker_url=SecretStr(broker_url)))
    await broker.open()
    async with a_program(messages_url, broker_url, topic, "handle", HANDLE_SECONDS="0.5") as worker:
        first, second = a_message(topic, "first"), a_message(topic, "second")
        await broker.publish(first)
        await broker.publish(second)
        await worker.said("in hand first")
        assert await worker.end(signal.SIGTERM) == 0
        assert worker.lines[-1] == "ended"
    assert await written(pool, topic) == ["first"]
    taker = Taker()
    subscription = await broker.subscribe(topic, taker, prefetch=1)
    await taker.until(1)
    await subscription.stop(5)
    await broker.close()
    assert [arrived.headers[ID] for arrived in taker.got] == [str(second.id)]
