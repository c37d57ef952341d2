"""A handler runs as the caller who raised the event, in a transaction, and takes effect once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from coffee_core.domain.context import CURRENT, RequestContext, current
from coffee_core.domain.errors import RuleError, UnavailableError
from coffee_core.domain.event import Delivery
from coffee_core.messaging.broker import Again, Arrived, Dead, Done, Outcome
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.events import EventBus
from coffee_core.messaging.inbox import MemoryInbox, PostgresInbox
from coffee_core.messaging.listeners import Dispatch, Listener, Listeners, OnFailure
from coffee_core.messaging.message import Message, read_message
from coffee_core.messaging.middleware.chain import Parts
from coffee_core.messaging.outbox import Outbox
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.messaging.topic import Topic
from coffee_core.persistence.pool import Pool, PostgresTransaction
from coffee_core.persistence.unit_of_work import begin_transaction, current_work
from tests.coffee_core.messaging.sample import Happened, a_message, a_topic, event_on, until

QUICK = MessagingSettings(retry_seconds=0.001, deliveries_max=5)


class Bench:
    """A table to write into, and a listener at work on one topic."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.topic = a_topic()
        self.stats = MessagingStats()
        self.settings = QUICK

    def parts(self) -> Parts:
        return Parts(inbox=PostgresInbox(self.pool), settings=self.settings, stats=self.stats)

    def dispatch(self, handle: Callable[[Any], Awaitable[None]], **how: Any) -> Dispatch:
        listener = Listener(
            topic=str(self.topic), event=Happened, handle=handle, name=f"test.{self.topic.queue}", **how
        )
        return Dispatch(self.topic, [listener], self.parts())

    async def write(self, what: str) -> None:
        """What a handler does: a row in the transaction of the unit of work."""
        work = begin_transaction()
        async with work.lock:
            transaction = cast("PostgresTransaction", await work.join(self.pool))
            await transaction.connection.raw.execute(
                "INSERT INTO public.written (topic, what) VALUES ($1, $2)", str(self.topic), what
            )

    async def written(self) -> list[str]:
        connection = await self.pool.take()
        rows = await connection.raw.fetch("SELECT what FROM public.written WHERE topic = $1", str(self.topic))
        self.pool.give(connection)
        return [row[0] for row in rows]


@pytest.fixture(scope="module")
async def table(pool: Pool) -> None:
    connection = await pool.take()
    await connection.raw.execute("CREATE TABLE IF NOT EXISTS public.written (topic text, what text)")
    pool.give(connection)


@pytest.fixture
async def bench(pool: Pool, table: None) -> Bench:
    return Bench(pool)


def arrived(message: Message, deliveries: int = 1) -> Arrived:
    return Arrived(message.headers, message.body, deliveries)


async def test_a_handler_sees_the_caller_who_raised_the_event(bench: Bench) -> None:
    seen: list[tuple[RequestContext, Happened]] = []

    async def handle(event: Happened) -> None:
        seen.append((current(), event))

    message = a_message(bench.topic, "x")
    assert await bench.dispatch(handle)(arrived(message)) == Done()
    context, event = seen[0]
    assert event.what == "x"
    assert (str(context.partner_id), str(context.user_id)) == (
        message.headers["x-bb-partner-id"], message.headers["x-bb-uid"],
    )  # fmt: skip
    assert (context.plan.name, context.account_id) == ("SAAS", 3)
    assert context.request_id == message.headers["x-bb-requestid"]
    assert context.traceparent == message.headers["traceparent"]
    assert context.deadline < asyncio.get_running_loop().time() + 61
    assert CURRENT.get(None) is None


async def test_a_message_that_comes_twice_takes_effect_once(bench: Bench) -> None:
    async def handle(event: Happened) -> None:
        await bench.write(event.what)

    dispatch, message = bench.dispatch(handle), a_message(bench.topic, "once")
    assert [await dispatch(arrived(message)), await dispatch(arrived(message, 2))] == [Done(), Done()]
    assert await bench.written() == ["once"]


async def test_a_message_that_is_handled_twice_at_the_same_moment_takes_effect_once(bench: Bench) -> None:
    inside, gate = asyncio.Event(), asyncio.Event()

    async def handle(event: Happened) -> None:
        inside.set()
        await gate.wait()
        await bench.write(event.what)

    dispatch, message = bench.dispatch(handle), a_message(bench.topic, "once")
    first = asyncio.create_task(dispatch(arrived(message)))
    await inside.wait()
    second = asyncio.create_task(dispatch(arrived(message, 2)))
    await asyncio.wait([second], timeout=0.1)
    assert not second.done()
    gate.set()
    assert [await first, await second] == [Done(), Done()]
    assert await bench.written() == ["once"]


async def test_a_failed_attempt_leaves_nothing_and_the_next_one_may_succeed(bench: Bench) -> None:
    attempts = 0

    async def handle(event: Happened) -> None:
        nonlocal attempts
        attempts += 1
        await bench.write(f"{event.what}{attempts}")
        if attempts < 4:
            raise ValueError("not yet")

    assert await bench.dispatch(handle)(arrived(a_message(bench.topic, "try"))) == Done()
    assert await bench.written() == ["try4"]
    assert bench.stats.retried.total() == 3


@pytest.mark.parametrize("error", [RuleError("too many"), ValueError("odd"), SystemExit(3)], ids=repr)
async def test_what_still_fails_after_three_retries_is_a_dead_letter_with_its_error(
    bench: Bench, error: BaseException
) -> None:
    attempts = 0

    async def handle(event: Happened) -> None:
        nonlocal attempts
        attempts += 1
        await bench.write("never")
        raise error

    outcome = await bench.dispatch(handle)(arrived(a_message(bench.topic)))
    assert isinstance(outcome, Dead)
    assert type(error).__name__ in outcome.error
    assert str(error) in outcome.error
    assert attempts == 4
    assert await bench.written() == []


async def test_a_replayed_dead_letter_takes_effect(bench: Bench) -> None:
    broken = True

    async def handle(event: Happened) -> None:
        if broken:
            raise ValueError("not yet mended")
        await bench.write(event.what)

    dispatch, message = bench.dispatch(handle), a_message(bench.topic, "mended")
    assert isinstance(await dispatch(arrived(message)), Dead)
    broken = False
    assert await dispatch(arrived(message)) == Done()
    assert await bench.written() == ["mended"]


async def test_a_listener_may_say_that_what_fails_is_dropped(bench: Bench) -> None:
    async def handle(event: Happened) -> None:
        raise ValueError("never mind")

    assert await bench.dispatch(handle, on_failure=OnFailure.DROP)(arrived(a_message(bench.topic))) == Done()
    assert [*bench.stats.handled.elements()] == [(f"test.{bench.topic.queue}", "dropped")]


async def test_a_handler_that_never_ends_is_ended(bench: Bench) -> None:
    bench.settings = MessagingSettings(handler_seconds=0.02, retries=0)

    async def handle(event: Happened) -> None:
        await asyncio.Event().wait()

    outcome = await bench.dispatch(handle)(arrived(a_message(bench.topic)))
    assert isinstance(outcome, Dead)
    assert "not done after 0.02 s" in outcome.error


async def test_without_a_database_the_message_is_taken_again_later_and_not_given_up(bench: Bench) -> None:
    class Gone:
        async def claim(self, *_: object) -> bool:
            raise UnavailableError("the database does not answer")

    async def handle(event: Happened) -> None:
        raise AssertionError("nothing may be handled that cannot be noted")

    listener = Listener(topic=str(bench.topic), event=Happened, handle=handle, name="x")
    dispatch = Dispatch(bench.topic, [listener], Parts(inbox=Gone(), settings=QUICK))
    message = a_message(bench.topic)
    assert [await dispatch(arrived(message, n)) for n in (1, 2, 3)] == [Again(1), Again(2), Again(4)]


async def test_a_message_that_has_no_outcome_time_and_again_is_given_up(bench: Bench) -> None:
    async def handle(event: Happened) -> None: ...

    outcome = await bench.dispatch(handle)(arrived(a_message(bench.topic), QUICK.deliveries_max + 1))
    assert isinstance(outcome, Dead)
    assert "delivered 5 times" in outcome.error


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [({"id": "x"}, None, "no UUID"), ({"type": "unknown"}, None, "nobody here handles 'unknown': happened"),
     ({"x-bb-plan-type": "GOLD"}, None, "FREE, SAAS, PAID"), ({}, b"{", "no Happened"), ({}, b"{}", "what")],
)  # fmt: skip
async def test_what_cannot_be_read_is_a_dead_letter_at_once(
    bench: Bench, headers: dict[str, str], body: bytes | None, said: str
) -> None:
    async def handle(event: Happened) -> None:
        raise AssertionError("unreadable messages reach nobody")

    message = a_message(bench.topic)
    spoiled = Arrived({**message.headers, **headers}, message.body if body is None else body, 1)
    outcome = await bench.dispatch(handle)(spoiled)
    assert isinstance(outcome, Dead)
    assert said in outcome.error


async def test_of_several_listeners_only_the_one_that_failed_sees_the_repetition(bench: Bench) -> None:
    calls: list[str] = []
    broken = True

    async def good(event: Happened) -> None:
        calls.append("good")

    async def bad(event: Happened) -> None:
        calls.append("bad")
        if broken:
            raise ValueError

    bench.settings = MessagingSettings(retries=0)
    listeners = [
        Listener(topic=str(bench.topic), event=Happened, handle=handle, name=f"{name}.{bench.topic.queue}")
        for name, handle in (("good", good), ("bad", bad))
    ]
    dispatch, message = Dispatch(bench.topic, listeners, bench.parts()), a_message(bench.topic)
    assert isinstance(await dispatch(arrived(message)), Dead)
    broken = False
    assert await dispatch(arrived(message)) == Done()
    assert calls == ["good", "bad", "bad"]


async def test_events_that_a_handler_raises_go_out_with_its_commit_alone(bench: Bench, pool: Pool) -> None:
    there = a_topic()
    bus = EventBus(MemoryBroker(), outbox=Outbox(pool))
    attempts = 0

    async def handle(event: Happened) -> None:
        nonlocal attempts
        attempts += 1
        bus.raise_event(event_on(there)(what=f"next{attempts}"), Delivery.OUTBOX)
        if attempts == 1:
            raise ValueError

    assert await bench.dispatch(handle)(arrived(a_message(bench.topic))) == Done()
    connection = await pool.take()
    bodies = await connection.raw.fetch("SELECT body, headers FROM coffee.outbox WHERE topic = $1", str(there))
    pool.give(connection)
    assert [row["body"] for row in bodies] == ['{"what":"next2","keyName":""}']


async def test_a_cancelled_handler_leaves_nothing_and_can_be_taken_again(bench: Bench) -> None:
    written = asyncio.Event()

    async def handle(event: Happened) -> None:
        await bench.write("half")
        written.set()
        await asyncio.Event().wait()

    dispatch, message = bench.dispatch(handle), a_message(bench.topic)
    task = asyncio.create_task(dispatch(arrived(message)))
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await bench.written() == []

    async def better(event: Happened) -> None:
        await bench.write("whole")

    assert await bench.dispatch(better)(arrived(message)) == Done()
    assert await bench.written() == ["whole"]


def test_two_listeners_of_one_name_are_refused() -> None:
    async def handle(event: Happened) -> None: ...

    twice = [Listener(topic="a___b", event=Happened, handle=handle, name="same")] * 2
    with pytest.raises(ValueError, match="'same'"):
        Listeners(twice, Parts(inbox=MemoryInbox()))


@pytest.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    broker = MemoryBroker()
    await broker.open()
    yield broker
    await broker.close()


async def test_listeners_take_from_their_topic_and_finish_what_is_in_hand_when_stopped(
    bench: Bench, broker: MemoryBroker
) -> None:
    inside, gate = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def handle(event: Happened) -> None:
        inside.set()
        await gate.wait()
        await current_work().commit()
        done.append(event.what)

    listener = Listener(topic=str(bench.topic), event=Happened, handle=handle, name=bench.topic.queue, prefetch=1)
    listeners = Listeners([listener], Parts(inbox=MemoryInbox(), settings=QUICK))
    await listeners.start(broker)
    for what in ("first", "second"):
        await broker.publish(a_message(bench.topic, what))
    await inside.wait()
    stopping = asyncio.create_task(listeners.stop(5))
    await asyncio.wait([stopping], timeout=0.05)
    assert not stopping.done()
    gate.set()
    await stopping
    assert done == ["first"]
    later: list[bytes] = []

    async def take(one: Arrived) -> Outcome:
        later.append(one.body)
        return Done()

    rest = await broker.subscribe(bench.topic, take, prefetch=1)
    await until(lambda: len(later) == 1)
    await rest.stop(1)
    assert b"second" in later[0]


async def test_the_inbox_forgets_what_is_older_than_its_days(bench: Bench, pool: Pool) -> None:
    async def handle(event: Happened) -> None: ...

    dispatch = bench.dispatch(handle)
    old, new = a_message(bench.topic), a_message(bench.topic)
    for message in (old, new):
        await dispatch(arrived(message))
    connection = await pool.take()
    await connection.raw.execute(
        "UPDATE coffee.inbox SET handled_at = now() - interval '8 days' WHERE message_id = $1", old.id
    )
    assert await PostgresInbox(pool).forget(7) >= 1
    left = await connection.raw.fetch(
        "SELECT message_id FROM coffee.inbox WHERE message_id = ANY($1::uuid[])", [old.id, new.id]
    )
    pool.give(connection)
    assert [str(row[0]) for row in left] == [str(new.id)]


def test_a_message_is_read_with_its_key() -> None:
    message = a_message(Topic("a", "b"), key="k")
    assert read_message(message.topic, message.headers, message.body).key == "k"
