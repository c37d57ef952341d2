"""Every broker keeps the same promises; one that breaks them is found out."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from coffee_core.domain.errors import CoffeeError
from coffee_core.messaging.broker import Again, Arrived, Broker, Dead, DeadLetter, Done, Outcome, Subscription, Take
from coffee_core.messaging.brokers.by_url import make_broker
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.message import Message
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.topic import Topic
from coffee_core.testing import broker as contract
from coffee_core.testing.broker import SETTINGS, BrokerContract


def at(url: str) -> Broker:
    return make_broker(SETTINGS.model_copy(update={"broker_url": SecretStr(url)}))


class TestMemory(BrokerContract):
    """The reference: all its brokers are one, as all are in one process."""

    @pytest.fixture(autouse=True)
    def _shared(self) -> None:
        self.shared = MemoryBroker(queue_length_max=SETTINGS.queue_length_max)

    def make(self) -> Broker:
        return self.shared


class TestNats(BrokerContract):
    @pytest.fixture(autouse=True)
    def _url(self, nats_url: str) -> None:
        self.url = nats_url

    def make(self) -> Broker:
        return at(self.url)


class TestRedis(BrokerContract):
    @pytest.fixture(autouse=True)
    def _url(self, redis_url: str) -> None:
        self.url = redis_url

    def make(self) -> Broker:
        return at(self.url)


@pytest.mark.rabbitmq
class TestRabbit(BrokerContract):
    @pytest.fixture(autouse=True)
    def _url(self, rabbitmq_url: str) -> None:
        self.url = rabbitmq_url

    def make(self) -> Broker:
        return at(self.url)


class Twice(MemoryBroker):
    """Stores a message twice."""

    async def publish(self, message: Message) -> None:
        await super().publish(message)
        await super().publish(message)


class Mute(MemoryBroker):
    """Loses the headers."""

    async def publish(self, message: Message) -> None:
        bare = {name: value for name, value in message.headers.items() if name == "id"}
        await super().publish(Message(topic=message.topic, id=message.id, type="", source=bare, body=message.body))


class Reversed(MemoryBroker):
    """Delivers the newest first."""

    async def publish(self, message: Message) -> None:
        self._queue(message.topic).put(message, first=True)


class Greedy(MemoryBroker):
    """Knows no prefetch."""

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        return await super().subscribe(topic, take, prefetch=prefetch + 1)


class Endless(MemoryBroker):
    """Knows no bound."""

    def __init__(self, **_: int) -> None:
        super().__init__(queue_length_max=10**9)


class Changed(MemoryBroker):
    """Subclasses change the outcomes on their way."""

    def changed(self, outcome: Outcome) -> Outcome:
        return outcome

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        async def other(arrived: Arrived) -> Outcome:
            return self.changed(await take(arrived))

        return await super().subscribe(topic, other, prefetch=prefetch)


class Forgetful(Changed):
    """Takes "again" for "done"."""

    def changed(self, outcome: Outcome) -> Outcome:
        return Done() if isinstance(outcome, Again) else outcome


class Graveless(Changed):
    """Has no dead letters."""

    def changed(self, outcome: Outcome) -> Outcome:
        return Done() if isinstance(outcome, Dead) else outcome


class Wordless(Changed):
    """Forgets the error."""

    def changed(self, outcome: Outcome) -> Outcome:
        return Dead("") if isinstance(outcome, Dead) else outcome


class GraveRobber(MemoryBroker):
    """Looking at a dead letter removes it."""

    async def dead_letters(self, topic: Topic, limit: int) -> list[DeadLetter]:
        found = list(await super().dead_letters(topic, limit))
        self._queue(topic).dead.clear()
        return found


class Hasty(MemoryBroker):
    """Does not wait for what is in hand when it stops."""

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        inner = await super().subscribe(topic, take, prefetch=prefetch)

        class Impatient:
            async def stop(self, seconds: float) -> None:
                await inner.stop(0)

        return Impatient()


class Loser(MemoryBroker):
    """Loses what was in hand when a worker was stopped."""

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        async def lossy(arrived: Arrived) -> Outcome:
            try:
                return await take(arrived)
            except asyncio.CancelledError:
                return Done()

        return await super().subscribe(topic, lossy, prefetch=prefetch)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (Twice, "each_message_comes_once_and_unchanged"),
        (Mute, "each_message_comes_once_and_unchanged"),
        (Reversed, "with_one_message_in_hand_the_order_of_publishing_is_kept"),
        (Greedy, "no_more_than_prefetch_are_in_hand"),
        (Endless, "a_full_queue_refuses_more_instead_of_losing_some"),
        (Forgetful, "a_message_that_is_wanted_again_comes_again_and_is_counted"),
        (Graveless, "a_dead_letter_keeps_message_and_error_until_it_is_replayed"),
        (Wordless, "a_dead_letter_keeps_message_and_error_until_it_is_replayed"),
        (GraveRobber, "a_dead_letter_keeps_message_and_error_until_it_is_replayed"),
        (Hasty, "stopping_waits_for_what_is_in_hand_and_leaves_the_rest_to_others"),
        (Loser, "what_is_not_finished_in_time_is_given_to_another"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_a_broker_that_breaks_a_promise_is_found_out(
    broken: type[MemoryBroker], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def soon(condition: object, seconds: float = 0.5) -> None:
        await patient(condition, min(seconds, 0.5))  # type: ignore[arg-type]  # the contract's own condition

    patient = contract.until
    monkeypatch.setattr(contract, "until", soon)
    shared = broken(queue_length_max=SETTINGS.queue_length_max)

    class Suite(BrokerContract):
        def make(self) -> Broker:
            return shared

    with pytest.raises((AssertionError, ValueError)):
        await getattr(Suite(), f"test_{rule}")()


def test_without_a_url_messages_stay_in_this_process() -> None:
    assert isinstance(make_broker(MessagingSettings(broker_url=None)), MemoryBroker)


def test_a_url_of_another_kind_is_refused_without_repeating_it() -> None:
    with pytest.raises(CoffeeError, match="'kafka': it must be amqp") as refused:
        at("kafka://user:secret@host")
    assert "secret" not in refused.value.detail
