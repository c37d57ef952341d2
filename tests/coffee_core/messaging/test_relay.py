"""The outbox is relayed at least once, in order for each key, and nothing of a late commit is skipped."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import Any, cast

import pytest

from coffee_core.domain.event import Delivery
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.errors import BrokerUnavailableError, MessageRefusedError
from coffee_core.messaging.events import EventBus
from coffee_core.messaging.message import Message
from coffee_core.messaging.outbox import SHARDS, Outbox, shard_of
from coffee_core.messaging.outbox_table import OutboxTable
from coffee_core.messaging.relay import Relay
from coffee_core.messaging.settings import OutboxSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.messaging.topic import Topic
from coffee_core.messaging.wake import listen
from coffee_core.persistence.pool import Pool, PostgresTransaction
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction
from tests.coffee_core.messaging.sample import Happened, a_caller, a_topic, event_on, until

QUICK = OutboxSettings(poll_seconds=0.02, backoff_seconds=0.01, lease_seconds=5, attempts_max=3)


class Sink(MemoryBroker):
    """Keeps what is published, in order; can be slow, gone, or refuse some."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Message] = []
        self.attempts = 0
        self.gone = False
        self.refuses: set[str] = set()
        self.slow = False

    async def publish(self, message: Message) -> None:
        if self.slow:
            await asyncio.sleep(random.random() * 0.002)
        self.attempts += 1
        if self.gone:
            raise BrokerUnavailableError("gone")
        if Happened.model_validate_json(message.body).what in self.refuses:
            raise MessageRefusedError("too odd")
        self.got.append(message)

    def of(self, topic: Topic) -> list[str]:
        return [Happened.model_validate_json(one.body).what for one in self.got if one.topic == topic]


class Desk:
    """Raises events on a topic of its own."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.topic = a_topic()
        self.kind = event_on(self.topic)
        self.bus = EventBus(MemoryBroker(), outbox=Outbox(pool))

    async def raise_all(self, *whats: str, key: str = "") -> None:
        async with acting_as(a_caller()):
            for what in whats:
                self.bus.raise_event(self.kind(what=what, key_name=key), Delivery.OUTBOX)

    async def left(self) -> int:
        connection = await self.pool.take()
        count: int = await connection.raw.fetchval(
            "SELECT count(*) FROM coffee.outbox WHERE topic = $1", str(self.topic)
        )
        self.pool.give(connection)
        return count


async def empty_the_outbox(pool: Pool) -> None:
    """So that no test relays for another."""
    connection = await pool.take()
    await connection.raw.execute("TRUNCATE coffee.outbox, coffee.outbox_refused")
    await connection.raw.execute("UPDATE coffee.outbox_lease SET until = now()")
    pool.give(connection)


@pytest.fixture
async def desk(pool: Pool) -> Desk:
    await empty_the_outbox(pool)
    return Desk(pool)


def a_relay(desk: Desk, sink: Sink, **more: Any) -> Relay:
    return Relay(OutboxTable(desk.pool), sink, settings=more.pop("settings", QUICK), **more)


async def finished(desk: Desk, *relays: Relay) -> None:
    """Run until the desk's messages are gone."""
    tasks = [asyncio.create_task(relay.run()) for relay in relays]

    async def empty() -> bool:
        return await desk.left() == 0

    try:
        await until(empty)
    finally:
        for relay in relays:
            relay.stop()
        await asyncio.gather(*tasks)


async def test_a_message_reaches_the_broker_as_it_was_raised_and_leaves_the_table(desk: Desk) -> None:
    caller, sink, stats = a_caller(), Sink(), MessagingStats()
    async with acting_as(caller):
        desk.bus.raise_event(desk.kind(what="x", key_name="k"), Delivery.OUTBOX)
    assert await a_relay(desk, sink, stats=stats).round() == 1
    (message,) = sink.got
    assert (message.topic, message.key, message.type) == (desk.topic, "k", "happened")
    assert message.headers["x-bb-partner-id"] == str(caller.partner_id)
    assert message.headers["id"] == str(message.id)
    assert message.body == b'{"what":"x","keyName":"k"}'
    assert await desk.left() == 0
    assert stats.relayed[str(desk.topic),] == 1


async def test_each_key_arrives_in_order_whoever_relays(desk: Desk) -> None:
    """Four relays at once, on a broker that takes its time."""
    sink = Sink()
    sink.slow = True
    keys = [f"k{n}" for n in range(12)]
    for n in range(15):
        for key in keys:
            await desk.raise_all(f"{key}:{2 * n}", f"{key}:{2 * n + 1}", key=key)
    settings = QUICK.model_copy(update={"batch": 20})
    await finished(desk, *(a_relay(desk, sink, settings=settings) for _ in range(4)))
    by_key: defaultdict[str, list[int]] = defaultdict(list)
    for what in sink.of(desk.topic):
        key, _, number = what.partition(":")
        by_key[key].append(int(number))
    assert by_key == {key: list(range(30)) for key in keys}


async def test_what_commits_late_is_not_skipped(desk: Desk) -> None:
    """Its position is lower than that of messages that were relayed and deleted before it could be seen."""
    sink = Sink()
    relay = a_relay(desk, sink)
    async with acting_as(a_caller()):
        desk.bus.raise_event(desk.kind(what="late", key_name="a"), Delivery.OUTBOX)
        work = begin_transaction()
        await work.before_commit.pop(0)()  # stored, with a low position, and not yet committed
        await asyncio.create_task(desk.raise_all("early", key="b"))
        await relay.round()
        assert sink.of(desk.topic) == ["early"]
    await finished(desk, relay)
    assert sink.of(desk.topic) == ["early", "late"]


async def test_while_the_broker_is_gone_everything_waits_and_then_arrives_in_order(desk: Desk) -> None:
    sink = Sink()
    sink.gone = True
    whats = [str(n) for n in range(20)]
    await desk.raise_all(*whats)
    relay = a_relay(desk, sink, settings=QUICK.model_copy(update={"attempts_max": 1}))
    task = asyncio.create_task(relay.run())
    await until(lambda: sink.attempts >= 3)
    assert await desk.left() == 20
    sink.gone = False
    await until(lambda: len(sink.of(desk.topic)) == 20)
    relay.stop()
    await task
    assert sink.of(desk.topic) == whats


async def test_a_message_that_the_broker_refuses_holds_up_its_key_alone_and_is_set_aside_in_the_end(desk: Desk) -> None:
    sink, stats = Sink(), MessagingStats()
    sink.refuses = {"bad"}
    await desk.raise_all("a1", "bad", "a2", key="a")
    await desk.raise_all("b1", "b2", key="b")
    await finished(desk, a_relay(desk, sink, stats=stats))
    assert sorted(sink.of(desk.topic)) == ["a1", "a2", "b1", "b2"]
    assert stats.refused[str(desk.topic),] == 1
    table = OutboxTable(desk.pool)
    assert (await table.status()).refused == 1
    sink.refuses.clear()
    assert await table.replay(10) == 1
    await finished(desk, a_relay(desk, sink))
    assert sink.of(desk.topic)[-1] == "bad"


async def test_a_message_that_cannot_be_published_by_a_fault_of_ours_does_not_stop_the_relay(desk: Desk) -> None:
    class Faulty(Sink):
        async def publish(self, message: Message) -> None:
            if message.key == "bad":
                raise ZeroDivisionError
            await super().publish(message)

    sink = Faulty()
    await desk.raise_all("x", key="bad")
    await desk.raise_all("y", key="good")
    await finished(desk, a_relay(desk, sink))
    assert sink.of(desk.topic) == ["y"]
    assert (await OutboxTable(desk.pool).status()).refused == 1


async def test_a_refused_message_is_not_overtaken_while_it_is_tried_again(desk: Desk) -> None:
    sink = Sink()
    sink.refuses = {"1"}
    await desk.raise_all("1", "2", "3", key="k")
    relay = a_relay(desk, sink)
    assert await relay.round() == 0
    assert (await OutboxTable(desk.pool).status()).held_up == 1
    sink.refuses.clear()
    await finished(desk, relay)
    assert sink.of(desk.topic) == ["1", "2", "3"]


async def test_a_relay_that_dies_is_succeeded_when_its_lease_has_ended_and_not_before(desk: Desk) -> None:
    await desk.raise_all("x")
    table, sink = OutboxTable(desk.pool), Sink()
    dead = a_relay(desk, Sink())
    shard = shard_of(str(desk.topic), "")
    assert await table.claim(dead._holder, 60, SHARDS) == [shard]
    assert await a_relay(desk, sink).round() == 0
    connection = await desk.pool.take()
    await connection.raw.execute("UPDATE coffee.outbox_lease SET until = now()")
    desk.pool.give(connection)
    assert await a_relay(desk, sink).round() == 1
    assert await table.renew(dead._holder, 60, [shard]) == set()


async def test_a_relay_stops_after_the_message_in_hand_and_gives_its_lease_back(desk: Desk) -> None:
    class Stopper(Sink):
        async def publish(self, message: Message) -> None:
            await super().publish(message)
            relay.stop()

    sink = Stopper()
    relay = a_relay(desk, sink)
    await desk.raise_all("1", "2", "3")
    await relay.run()
    assert sink.of(desk.topic) == ["1"]
    assert await desk.left() == 2
    after = Sink()
    await finished(desk, a_relay(desk, after))
    assert after.of(desk.topic) == ["2", "3"]


async def test_a_commit_wakes_the_relay(desk: Desk, messages_url: str) -> None:
    """It looks by itself only once an hour here."""
    sink = Sink()
    relay = a_relay(desk, sink, settings=QUICK.model_copy(update={"poll_seconds": 3600.0}))
    heard = asyncio.Event()

    def wake() -> None:
        heard.set()
        relay.wake()

    ear = asyncio.create_task(listen(messages_url, wake))
    await asyncio.wait_for(heard.wait(), 10)  # it wakes once when it begins to listen
    task = asyncio.create_task(relay.run())
    await desk.bus.start()
    await desk.raise_all("x")
    await until(lambda: sink.of(desk.topic) == ["x"])
    relay.stop()
    ear.cancel()
    await asyncio.gather(task, ear, return_exceptions=True)
    await desk.bus.close()


async def test_the_lag_is_the_age_of_the_oldest_message(desk: Desk) -> None:
    table = OutboxTable(desk.pool)
    assert (await table.status()).lag == 0
    await desk.raise_all("old")
    async with acting_as(a_caller()):
        work = begin_transaction()
        transaction = cast("PostgresTransaction", await work.join(desk.pool))
        await transaction.connection.raw.execute("UPDATE coffee.outbox SET stored_at = now() - interval '90 s'")
    status = await table.status()
    assert 90 <= status.lag < 120
    assert status.waiting == 1


def test_all_messages_of_a_key_are_in_one_part() -> None:
    assert shard_of("a___b", "k") == shard_of("a___b", "k")
    assert {shard_of("a___b", str(n)) for n in range(1000)} == set(range(SHARDS))
