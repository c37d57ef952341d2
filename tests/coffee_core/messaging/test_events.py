"""What is announced goes out with the commit, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from coffee_core.domain.context import current
from coffee_core.domain.errors import ForbiddenError, TooLargeError
from coffee_core.domain.event import Delivery
from coffee_core.messaging.broker import Arrived, Done, Outcome
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.errors import BrokerUnavailableError, MessageRefusedError
from coffee_core.messaging.events import EventBus
from coffee_core.messaging.message import ID, PARTNER, Message
from coffee_core.messaging.outbox import Outbox
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.persistence.pool import Pool, PostgresTransaction
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction, current_work, savepoint
from tests.coffee_core.messaging.sample import Distant, Happened, KeptMessages, a_caller, a_topic, event_on, until


@asynccontextmanager
async def running(bus: EventBus) -> AsyncIterator[EventBus]:
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()


@pytest.mark.parametrize("kind", [KeptMessages, Distant])
async def test_an_event_goes_out_after_the_commit_with_its_context(kind: type[KeptMessages | Distant]) -> None:
    broker, stats = kind(), MessagingStats()
    async with running(EventBus(broker, stats=stats)) as bus:
        caller = a_caller()
        async with acting_as(caller):
            bus.raise_event(Happened(what="x"))
            await asyncio.sleep(0)
            assert broker.published == []
        await until(lambda: len(broker.published) == 1)
    assert broker.published[0].headers[PARTNER] == str(caller.partner_id)
    assert stats.published[Happened.topic,] == 1


async def test_a_broker_in_this_process_has_the_event_when_the_commit_is_done() -> None:
    broker = KeptMessages()
    async with running(EventBus(broker)) as bus:
        async with acting_as(a_caller()):
            bus.raise_event(Happened(what="x"))
        assert len(broker.published) == 1


async def test_an_event_of_what_was_rolled_back_never_goes_out() -> None:
    broker = KeptMessages()
    async with running(EventBus(broker)) as bus:
        with pytest.raises(ZeroDivisionError):
            async with acting_as(a_caller()):
                bus.raise_event(Happened(what="rolled back"))
                raise ZeroDivisionError
        async with acting_as(a_caller()):
            bus.raise_event(Happened(what="committed"))
        await until(lambda: len(broker.published) == 1)
    assert b'"committed"' in broker.published[0].body


async def test_outside_of_any_context_nothing_can_be_raised() -> None:
    with pytest.raises(ForbiddenError, match="no request context"):
        EventBus(MemoryBroker()).raise_event(Happened(what="x"))


async def test_an_event_that_no_broker_takes_is_refused_where_it_is_raised() -> None:
    bus = EventBus(MemoryBroker(), settings=MessagingSettings(message_max_bytes=2000))
    async with acting_as(a_caller()):
        with pytest.raises(TooLargeError, match="at most 2000"):
            bus.raise_event(Happened(what="x" * 2000))


async def test_while_the_broker_is_gone_events_wait_and_past_the_bound_they_are_counted_as_lost() -> None:
    broker, stats = KeptMessages(), MessagingStats()
    broker.fails = BrokerUnavailableError("gone")
    settings = MessagingSettings(waiting_max=3, publishers=1)
    async with running(EventBus(broker, settings=settings, stats=stats)) as bus:
        async with acting_as(a_caller()):
            for n in range(10):
                bus.raise_event(Happened(what=str(n)))
        await until(lambda: stats.lost[Happened.topic, "no_room"] == 7)
        assert stats.waiting() == 3
        broker.fails = None
        await until(lambda: len(broker.published) == 3)
    assert stats.published[Happened.topic,] == 3


async def test_the_queue_in_memory_is_bounded_in_bytes_too() -> None:
    stats = MessagingStats()
    bus = EventBus(KeptMessages(), settings=MessagingSettings(waiting_max_bytes=2048), stats=stats)
    async with acting_as(a_caller()):
        for _ in range(10):
            bus.raise_event(Happened(what="x" * 500))
    assert 0 < bus.waiting < 4
    assert stats.lost[Happened.topic, "no_room"] == 10 - bus.waiting
    await bus.close()
    assert stats.lost.total() == 10


async def test_at_the_end_what_the_broker_does_not_take_in_time_is_counted_as_lost() -> None:
    broker, stats = KeptMessages(), MessagingStats()
    broker.fails = BrokerUnavailableError("gone")
    bus = EventBus(broker, settings=MessagingSettings(close_seconds=0.05), stats=stats)
    async with running(bus), acting_as(a_caller()):
        bus.raise_event(Happened(what="x"))
    assert stats.lost[Happened.topic, "closing"] == 1


class Deaf(Distant):
    """Goes on when it is cancelled, as a client library does whose answer comes at that moment."""

    async def publish(self, message: Message) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await super().publish(message)


async def test_the_end_comes_also_where_a_cancellation_is_lost() -> None:
    broker = Deaf()
    bus = EventBus(broker, settings=MessagingSettings(close_seconds=0.05, publishers=1))
    async with asyncio.timeout(20), running(bus), acting_as(a_caller()):
        bus.raise_event(Happened(what="x"))
    assert len(broker.published) == 1


@pytest.mark.parametrize(("error", "reason"), [(MessageRefusedError("no"), "refused"), (ValueError("?"), "failed")])
async def test_an_event_that_cannot_be_published_does_not_stop_the_next(error: Exception, reason: str) -> None:
    broker, stats = KeptMessages(), MessagingStats()
    broker.fails = error
    async with running(EventBus(broker, settings=MessagingSettings(publishers=1), stats=stats)) as bus:
        async with acting_as(a_caller()):
            bus.raise_event(Happened(what="bad"))
        await until(lambda: stats.lost[Happened.topic, reason] == 1)
        broker.fails = None
        async with acting_as(a_caller()):
            bus.raise_event(Happened(what="good"))
        await until(lambda: len(broker.published) == 1)
    assert said(broker) == ["good"]


async def test_listeners_in_the_same_process_work_without_a_broker() -> None:
    broker, topic = MemoryBroker(), a_topic()
    got: list[bytes] = []

    async def take(arrived: Arrived) -> Outcome:
        got.append(arrived.body)
        return Done()

    subscription = await broker.subscribe(topic, take, prefetch=2)
    async with running(EventBus(broker)) as bus:
        async with acting_as(a_caller()):
            bus.raise_event(event_on(topic)(what="here"))
        await until(lambda: len(got) == 1)
    await subscription.stop(1)
    assert got == [b'{"what":"here","keyName":""}']


def saying(what: str) -> Callable[[], Happened | None]:
    return lambda: Happened(what=what)


def said(broker: KeptMessages | Distant) -> list[str]:
    return [Happened.model_validate_json(message.body).what for message in broker.published]


class TestAnnounced:
    """What tells of records that are stored already is made a moment later, many at once."""

    @pytest.mark.parametrize("kind", [KeptMessages, Distant])
    async def test_each_is_made_in_the_context_of_its_caller(self, kind: type[KeptMessages | Distant]) -> None:
        broker, callers = kind(), [a_caller() for _ in range(5)]
        async with running(EventBus(broker, settings=MessagingSettings(publishers=1))) as bus:
            for caller in callers:
                async with acting_as(caller):
                    bus.announce(lambda: Happened(what=str(current().partner_id)))
            assert broker.published == []
            assert bus.waiting == 5
            await until(lambda: len(broker.published) == 5)
        partners = [str(caller.partner_id) for caller in callers]
        assert said(broker) == partners
        assert [message.headers[PARTNER] for message in broker.published] == partners

    async def test_one_that_cannot_be_made_takes_no_other_along(self, caplog: pytest.LogCaptureFixture) -> None:
        broker = KeptMessages()
        settings = MessagingSettings(message_max_bytes=2000)
        async with running(EventBus(broker, settings=settings)) as bus, acting_as(a_caller()):
            for make in (saying("first"), lambda: 1 / 0, lambda: None, saying("x" * 2000), saying("last")):
                bus.announce(make)  # type: ignore[arg-type]  # one of them is a fault
            await until(lambda: len(broker.published) == 2)
        assert said(broker) == ["first", "last"]
        assert "division by zero" in caplog.text
        assert "at most 2000 are sent" in caplog.text

    async def test_none_is_lost_at_the_end(self) -> None:
        broker = KeptMessages()
        bus = EventBus(broker)
        await bus.start()
        async with acting_as(a_caller()):
            bus.announce(saying("x"))
        await bus.close()
        assert said(broker) == ["x"]
        with pytest.raises(ForbiddenError):  # nothing that follows runs as somebody
            current()

    async def test_they_keep_their_place_among_those_that_are_raised(self) -> None:
        broker = KeptMessages()
        async with running(EventBus(broker)) as bus:
            for number in range(3):
                async with acting_as(a_caller()):
                    bus.announce(saying(f"announced {number}"))
                    bus.raise_event(Happened(what=f"raised {number}"))
                    assert len(broker.published) == 2 * number
        assert said(broker) == [f"{how} {number}" for number in range(3) for how in ("announced", "raised")]

    async def test_many_at_once_do_not_wait_for_more(self) -> None:
        broker, settings = KeptMessages(), MessagingSettings(announced_seconds=1, announced_max=3)
        async with running(EventBus(broker, settings=settings)) as bus, acting_as(a_caller()) as work:
            for number in range(5):
                bus.announce(saying(str(number)))
            assert said(broker) == ["0", "1", "2"]
            assert current().work is work
        assert said(broker) == ["0", "1", "2", "3", "4"]

    async def test_they_are_made_within_the_time_that_is_set(self) -> None:
        broker, settings = KeptMessages(), MessagingSettings(announced_seconds=0)
        async with running(EventBus(broker, settings=settings)) as bus, acting_as(a_caller()):
            bus.announce(saying("x"))
            assert broker.published == []
            await until(lambda: said(broker) == ["x"])


class TestOutbox:
    """Stored by the transaction that it tells of."""

    async def stored(self, pool: Pool, topic: object) -> list[Any]:
        connection = await pool.take()
        try:
            rows = await connection.raw.fetch(
                "SELECT id::text, key, headers, body FROM coffee.outbox WHERE topic = $1 ORDER BY position", str(topic)
            )
            return list(rows)
        finally:
            pool.give(connection)

    async def test_messages_are_stored_with_the_commit_in_the_order_in_which_they_were_raised(self, pool: Pool) -> None:
        topic = a_topic()
        kind = event_on(topic)
        bus = EventBus(MemoryBroker(), outbox=Outbox(pool))
        async with acting_as(a_caller(partner=77)):
            for n in range(5):
                bus.raise_event(kind(what=str(n), key_name="k"), Delivery.OUTBOX)
            assert await self.stored(pool, topic) == []
        rows = await self.stored(pool, topic)
        assert [row["body"] for row in rows] == [f'{{"what":"{n}","keyName":"k"}}' for n in range(5)]
        assert {row["key"] for row in rows} == {"k"}
        assert all(f'"{ID}": "{row["id"]}"'.encode() in bytes(row["headers"]) for row in rows)
        assert all(b'"x-bb-partner-id": "77"' in bytes(row["headers"]) for row in rows)

    async def test_a_message_of_what_was_rolled_back_is_not_stored(self, pool: Pool) -> None:
        topic = a_topic()
        bus = EventBus(MemoryBroker(), outbox=Outbox(pool))
        with pytest.raises(ZeroDivisionError):
            async with acting_as(a_caller()):
                bus.raise_event(event_on(topic)(what="x"), Delivery.OUTBOX)
                raise ZeroDivisionError
        assert await self.stored(pool, topic) == []

    async def test_a_message_is_stored_by_the_same_transaction_as_the_change(self, pool: Pool) -> None:
        topic = a_topic()
        bus = EventBus(MemoryBroker(), outbox=Outbox(pool))
        async with acting_as(a_caller()):
            work = begin_transaction()
            transaction = await work.join(pool)
            assert isinstance(transaction, PostgresTransaction)
            mine = await transaction.connection.raw.fetchval("SELECT txid_current()")
            bus.raise_event(event_on(topic)(what="x"), Delivery.OUTBOX)
            assert current_work() is work
        connection = await pool.take()
        xmin = await connection.raw.fetchval(
            "SELECT xmin::text::bigint FROM coffee.outbox WHERE topic = $1", str(topic)
        )
        pool.give(connection)
        assert xmin == mine % 2**32

    @pytest.mark.parametrize("delivery", list(Delivery), ids=lambda one: one.value)
    async def test_what_a_part_announced_that_was_undone_alone_does_not_go_out(
        self, pool: Pool, delivery: Delivery
    ) -> None:
        """As in a bulk with an answer for each row: one row is refused, the others are stored."""
        topic, broker = a_topic(), KeptMessages()
        kind = event_on(topic)
        async with running(EventBus(broker, outbox=Outbox(pool))) as bus, acting_as(a_caller()):
            bus.raise_event(kind(what="first"), delivery)
            with contextlib.suppress(ZeroDivisionError):
                async with savepoint():
                    bus.raise_event(kind(what="undone"), delivery)
                    raise ZeroDivisionError
            bus.raise_event(kind(what="last"), delivery)
        if delivery is Delivery.OUTBOX:
            bodies = [row["body"].encode() for row in await self.stored(pool, topic)]
        else:
            bodies = sorted(message.body for message in broker.published)
        assert bodies == [b'{"what":"first","keyName":""}', b'{"what":"last","keyName":""}']

    async def test_without_an_outbox_an_event_that_needs_one_is_refused(self) -> None:
        async with acting_as(a_caller()):
            with pytest.raises(TypeError, match="no outbox"):
                EventBus(MemoryBroker()).raise_event(Happened(what="x"), Delivery.OUTBOX)
