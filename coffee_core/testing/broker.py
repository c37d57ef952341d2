"""Contract suite of a broker: subclass it, say how yours is made, and pytest holds it to the port's promises."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from coffee_core.domain.context import RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.messaging.broker import ERROR, FAILED_AT, Again, Arrived, Broker, Dead, Done, Outcome, Take
from coffee_core.messaging.errors import BrokerUnavailableError
from coffee_core.messaging.message import ID, Message, source_of
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.topic import Topic, parse_topic

SETTINGS = MessagingSettings(
    broker_url=None, abandoned_seconds=1.0, publish_seconds=5.0, connect_seconds=10.0, queue_length_max=50
)
"""What `make` must apply; the bounds are small, so that they are met."""


def a_topic() -> Topic:
    """A topic that nobody else uses."""
    return parse_topic(f"contract.dx___q_{uuid.uuid4().hex[:16]}")


def a_message(topic: Topic, body: bytes = b"{}", *, key: str = "") -> Message:
    """A message of an imagined caller."""
    id = str(uuid.uuid4())
    caller = RequestContext(request_id=f"r-{id}", partner_id=7, account_id=8, user_id=9, plan=Plan.PAID)
    return Message(topic=topic, id=id, type="contract", key=key, source=source_of(caller), body=body)


class Taker:
    """Takes messages, keeps them, and answers with what `outcome` says."""

    def __init__(self, outcome: Callable[[Arrived], Awaitable[Outcome]] | None = None) -> None:
        self.got: list[Arrived] = []
        self.at_once = 0
        self.most_at_once = 0
        self._outcome = outcome

    async def __call__(self, arrived: Arrived) -> Outcome:
        self.got.append(arrived)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return Done() if self._outcome is None else await self._outcome(arrived)
        finally:
            self.at_once -= 1

    def ids(self) -> Counter[str]:
        """How often each message came."""
        return Counter(arrived.headers[ID] for arrived in self.got)

    async def until(self, count: int, seconds: float = 20.0) -> None:
        """Wait until so many came."""
        await until(lambda: len(self.got) >= count, seconds)


class BrokerContract:
    """`make` gives a new process's broker, not yet connected, with `SETTINGS`."""

    def make(self) -> Broker:
        """A broker; each is on the same queues."""
        raise NotImplementedError

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Broker]:
        """One that is connected."""
        broker = self.make()
        await broker.open()
        try:
            yield broker
        finally:
            await broker.close()

    @asynccontextmanager
    async def taking(self, broker: Broker, topic: Topic, take: Take, *, prefetch: int = 4) -> AsyncIterator[None]:
        """While subscribed."""
        subscription = await broker.subscribe(topic, take, prefetch=prefetch)
        try:
            yield
        finally:
            await subscription.stop(5)

    async def quiet(self, broker: Broker, topic: Topic, taker: Taker, count: int) -> None:
        """Nothing more comes: a message sent now is the next to arrive, after what was sent before it."""
        last = a_message(topic, b'"last"')
        await broker.publish(last)
        await until(lambda: str(last.id) in taker.ids())
        assert len(taker.got) == count + 1, "a message came more often than it was sent"

    async def test_each_message_comes_once_and_unchanged(self) -> None:
        topic, taker = a_topic(), Taker()
        bodies = [f'{{"n":{n},"text":"räksmörgås \\u0000 %20"}}'.encode() for n in range(20)]
        messages = [a_message(topic, body, key=f"clé {n} 100%\n") for n, body in enumerate(bodies)]
        async with self.open() as broker, self.taking(broker, topic, taker):
            for message in messages:
                await broker.publish(message)
            await taker.until(20)
            by_id = {arrived.headers[ID]: arrived for arrived in taker.got}
            for message in messages:
                assert by_id[message.id] == Arrived(dict(message.headers), message.body, 1)
            await self.quiet(broker, topic, taker, 20)

    async def test_what_was_published_before_anybody_listened_comes_too(self) -> None:
        topic, taker = a_topic(), Taker()
        message = a_message(topic)
        async with self.open() as broker:
            await broker.publish(message)
            async with self.taking(broker, topic, taker):
                await taker.until(1)
        assert taker.ids() == {str(message.id): 1}

    async def test_two_workers_share_a_queue(self) -> None:
        topic, one, two = a_topic(), Taker(_slowly), Taker(_slowly)
        messages = [a_message(topic) for _ in range(30)]
        async with (
            self.open() as first,
            self.open() as second,
            self.taking(first, topic, one, prefetch=1),
            self.taking(second, topic, two, prefetch=1),
        ):
            for message in messages:
                await first.publish(message)
            await until(lambda: len(one.got) + len(two.got) >= 30)
        assert one.ids() + two.ids() == {str(message.id): 1 for message in messages}
        assert one.got
        assert two.got

    async def test_topics_do_not_mix(self) -> None:
        one, other = a_topic(), a_topic()
        taker = Taker()
        async with self.open() as broker, self.taking(broker, one, taker):
            await broker.publish(a_message(other))
            await self.quiet(broker, one, taker, 0)

    async def test_with_one_message_in_hand_the_order_of_publishing_is_kept(self) -> None:
        topic, taker = a_topic(), Taker(_slowly)
        messages = [a_message(topic) for _ in range(20)]
        async with self.open() as broker:
            for message in messages:
                await broker.publish(message)
            async with self.taking(broker, topic, taker, prefetch=1):
                await taker.until(20)
        assert [arrived.headers[ID] for arrived in taker.got] == [str(message.id) for message in messages]

    async def test_no_more_than_prefetch_are_in_hand(self) -> None:
        topic, gate = a_topic(), asyncio.Event()

        async def wait(_: Arrived) -> Outcome:
            await gate.wait()
            return Done()

        taker = Taker(wait)
        async with self.open() as broker:
            for _ in range(10):
                await broker.publish(a_message(topic))
            async with self.taking(broker, topic, taker, prefetch=3):
                await taker.until(3)
                await asyncio.sleep(0.2)  # time in which a fourth could come
                assert taker.most_at_once == 3
                gate.set()
                await taker.until(10)
        assert taker.most_at_once == 3

    async def test_a_message_that_is_wanted_again_comes_again_and_is_counted(self) -> None:
        topic = a_topic()

        async def twice(arrived: Arrived) -> Outcome:
            return Again(0.1) if arrived.deliveries == 1 else Done()

        taker, message = Taker(twice), a_message(topic, b'"again"')
        async with self.open() as broker, self.taking(broker, topic, taker):
            await broker.publish(message)
            await taker.until(2)
            await self.quiet(broker, topic, taker, 2)
        assert [arrived.deliveries for arrived in taker.got[:2]] == [1, 2]
        assert taker.got[0][:2] == taker.got[1][:2]

    async def test_a_message_whose_taking_fails_comes_again(self) -> None:
        topic = a_topic()

        async def fail_first(arrived: Arrived) -> Outcome:
            if arrived.deliveries == 1:
                raise ZeroDivisionError
            return Done()

        taker = Taker(fail_first)
        async with self.open() as broker, self.taking(broker, topic, taker):
            await broker.publish(a_message(topic))
            await taker.until(2)
        assert len(taker.ids()) == 1

    async def test_a_dead_letter_keeps_message_and_error_until_it_is_replayed(self) -> None:
        topic = a_topic()
        broken = True

        async def die(_: Arrived) -> Outcome:
            return Dead("ValueError: naïve\nsecond line 100%") if broken else Done()

        taker, message = Taker(die), a_message(topic, b'{"n":1}')
        async with self.open() as broker, self.taking(broker, topic, taker):
            await broker.publish(message)

            async def buried() -> bool:
                return bool(await broker.dead_letters(topic, 10))

            await until(buried)
            for _ in range(2):  # looking changes nothing
                (letter,) = await broker.dead_letters(topic, 10)
                assert letter.body == b'{"n":1}'
                assert letter.headers[ERROR] == "ValueError: naïve\nsecond line 100%"
                assert letter.headers[FAILED_AT].startswith("20")
                assert letter.headers[ID] == str(message.id)
            assert len(taker.got) == 1
            broken = False
            assert await broker.replay(topic, 10) == 1
            await taker.until(2)
            assert taker.got[1] == Arrived(dict(message.headers), message.body, 1)
            assert await broker.dead_letters(topic, 10) == []

    async def test_dead_letters_are_listed_and_replayed_oldest_first_and_no_more_than_asked(self) -> None:
        topic = a_topic()
        broken = True

        async def die(_: Arrived) -> Outcome:
            return Dead("no") if broken else Done()

        taker, messages = Taker(die), [a_message(topic) for _ in range(4)]
        async with self.open() as broker, self.taking(broker, topic, taker, prefetch=1):
            for message in messages:
                await broker.publish(message)
            letters: list[str] = []

            async def all_buried() -> bool:
                letters[:] = [letter.headers[ID] for letter in await broker.dead_letters(topic, 10)]
                return len(letters) == 4

            await until(all_buried)
            assert letters == [str(message.id) for message in messages]
            broken = False
            assert await broker.replay(topic, 3) == 3
            await taker.until(7)
            assert [letter.headers[ID] for letter in await broker.dead_letters(topic, 10)] == letters[3:]

    async def test_a_topic_that_nobody_has_used_has_no_dead_letters(self) -> None:
        async with self.open() as broker:
            assert await broker.dead_letters(a_topic(), 10) == []
            assert await broker.replay(a_topic(), 10) == 0

    async def test_stopping_waits_for_what_is_in_hand_and_leaves_the_rest_to_others(self) -> None:
        topic, gate = a_topic(), asyncio.Event()

        async def wait(_: Arrived) -> Outcome:
            await gate.wait()
            return Done()

        taker, other = Taker(wait), Taker()
        messages = [a_message(topic) for _ in range(6)]
        async with self.open() as second:
            async with self.open() as first:
                for message in messages:
                    await first.publish(message)
                subscription = await first.subscribe(topic, taker, prefetch=2)
                await taker.until(2)
                stopping = asyncio.create_task(subscription.stop(10))
                await asyncio.sleep(0.05)
                assert not stopping.done()
                gate.set()
                await stopping
                assert taker.at_once == 0
            async with self.taking(second, topic, other):
                await until(lambda: len(taker.ids() | other.ids()) == 6)
                await self.quiet(second, topic, other, len(other.got))
        assert taker.ids() == {str(message.id): 1 for message in messages[:2]}
        assert other.ids().keys() >= {str(message.id) for message in messages[2:]}
        assert not taker.ids().keys() & other.ids().keys()

    async def test_what_is_not_finished_in_time_is_given_to_another(self) -> None:
        topic = a_topic()

        async def never(_: Arrived) -> Outcome:
            await asyncio.Event().wait()
            return Done()

        stuck, other = Taker(never), Taker()
        async with self.open() as second:
            async with self.open() as first:
                await first.publish(a_message(topic))
                subscription = await first.subscribe(topic, stuck, prefetch=1)
                await stuck.until(1)
                await subscription.stop(0.01)
            async with self.taking(second, topic, other):
                await other.until(1)
        assert other.ids() == stuck.ids()
        assert other.got[0].deliveries == 2

    async def test_a_slow_handler_keeps_its_message(self) -> None:
        """Longer than `abandoned_seconds`: a living worker says so now and then."""
        topic = a_topic()

        async def slow(_: Arrived) -> Outcome:
            await asyncio.sleep(SETTINGS.abandoned_seconds * 2.5)
            return Done()

        one, other = Taker(slow), Taker()
        async with self.open() as first, self.open() as second, self.taking(first, topic, one, prefetch=1):
            await first.publish(a_message(topic))
            await one.until(1)
            async with self.taking(second, topic, other, prefetch=1):
                await until(lambda: one.at_once == 0)
                await self.quiet(second, topic, Both(one, other), 1)

    async def test_a_full_queue_refuses_more_instead_of_losing_some(self) -> None:
        topic, taker = a_topic(), Taker()
        stored = 0
        async with self.open() as broker:
            for _ in range(SETTINGS.queue_length_max * 4):  # some brokers overshoot a little
                try:
                    await broker.publish(a_message(topic))
                except BrokerUnavailableError:
                    break
                stored += 1
            else:
                raise AssertionError("the queue takes messages without end")
            assert stored >= SETTINGS.queue_length_max
            async with self.taking(broker, topic, taker):
                await taker.until(stored)
        assert len(taker.ids()) == stored


class Both(Taker):
    """What two takers got."""

    def __init__(self, one: Taker, other: Taker) -> None:
        super().__init__()
        self._parts = (one, other)

    def ids(self) -> Counter[str]:
        """Of both."""
        self.got = [arrived for part in self._parts for arrived in part.got]
        return super().ids()


async def _slowly(_: Arrived) -> Outcome:
    await asyncio.sleep(0.005)
    return Done()


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait until the condition holds; an AssertionError if it does not in time."""
    end = time.monotonic() + seconds
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        if time.monotonic() > end:
            raise AssertionError("the condition did not come true in time")
        await asyncio.sleep(0.005)
