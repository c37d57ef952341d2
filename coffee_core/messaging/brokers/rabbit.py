"""RabbitMQ: a durable direct exchange and a durable queue for each topic, dead letters in an exchange beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

import aio_pika
import aiormq.exceptions
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractRobustConnection
from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed, DeliveryError
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

from coffee_core.messaging.broker import Again, Arrived, Dead, DeadLetter, Done, Outcome, Subscription, Take
from coffee_core.messaging.brokers.wire import bounded, dead_headers, from_wire, revived, to_wire
from coffee_core.messaging.errors import BrokerUnavailableError
from coffee_core.messaging.message import ID, Message
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.topic import Topic

log = logging.getLogger(__name__)

GOODBYE_SECONDS = 5.0
"""For ending a consumer and giving a message back."""

Bury: TypeAlias = Callable[[Topic, Arrived, str], Awaitable[None]]

_FAILURES = (AMQPError, aiormq.exceptions.AMQPError, RuntimeError)
"""RuntimeError: what aio-pika raises for a channel or connection that is being closed."""


def dead_topic(topic: Topic) -> Topic:
    """Exchange and queue of a topic's dead letters."""
    return Topic(f"{topic.exchange}.dead", f"{topic.queue}.dead")


_Letter: TypeAlias = tuple[AbstractIncomingMessage, DeadLetter]


class RabbitMq:
    """`RabbitMq(url, settings)`. Exchanges and queues are declared when they are first needed."""

    def __init__(self, url: str, settings: MessagingSettings) -> None:
        self._settings = settings
        self._broker = RabbitBroker(
            url,
            timeout=settings.connect_seconds,
            reconnect_interval=1.0,
            default_channel=Channel(on_return_raises=True),
            logger=None,
            apply_types=False,
            graceful_timeout=None,
        )
        self._declared: set[Topic] = set()
        self._declaring = asyncio.Lock()
        self._connecting = asyncio.Lock()

    async def open(self) -> None:
        """Connect."""
        async with bounded(self._settings.connect_seconds, *_FAILURES):
            await self._connection()

    async def close(self) -> None:
        """Disconnect: what is unacknowledged goes back to its queue."""
        try:
            async with bounded(self._settings.connect_seconds, *_FAILURES):
                await self._broker.stop()
        except BrokerUnavailableError as error:
            log.warning("RabbitMQ: closed without a goodbye: %s", error.detail)

    async def _connection(self) -> AbstractRobustConnection:
        async with self._connecting:  # FastStream itself would connect twice
            return await self._broker.connect()

    async def _channel(self) -> AbstractChannel:
        """A channel of its own, for one purpose; to be closed."""
        connection = await self._connection()
        await connection.connected.wait()
        channel = aio_pika.Channel(connection)
        await channel.initialize()
        return channel

    async def _declare(self, topic: Topic) -> None:
        async with self._declaring:
            if topic not in self._declared:
                dead = dead_topic(topic)
                await self._declare_one(dead, {})
                await self._declare_one(
                    topic,
                    {"x-dead-letter-exchange": dead.exchange, "x-dead-letter-routing-key": dead.queue},
                )
                self._declared.add(topic)

    async def _declare_one(self, topic: Topic, arguments: dict[str, Any]) -> None:
        settings = self._settings
        arguments |= {"x-max-length": settings.queue_length_max, "x-overflow": "reject-publish"}
        arguments["x-queue-type"] = settings.rabbit_queue_type
        if settings.rabbit_queue_type == "quorum":
            arguments["x-delivery-limit"] = settings.deliveries_max + 10  # ours comes first, with a better error
        channel = await self._channel()
        try:
            await channel.declare_exchange(topic.exchange, durable=True)
            queue = await channel.declare_queue(topic.queue, durable=True, arguments=arguments)
            await queue.bind(topic.exchange, topic.queue)
        except (ChannelPreconditionFailed, aiormq.exceptions.ChannelPreconditionFailed) as error:
            log.warning("%s exists with other properties and is used as it is: %s", topic, error)
            await self._bind_existing(topic)
        finally:
            await channel.close()

    async def _bind_existing(self, topic: Topic) -> None:
        channel = await self._channel()
        try:
            queue = await channel.declare_queue(topic.queue, passive=True)
            await queue.bind(topic.exchange, topic.queue)
        finally:
            await channel.close()

    async def publish(self, message: Message) -> None:
        """Publish with the broker's confirmation that the queue holds it."""
        async with bounded(self._settings.publish_seconds, *_FAILURES):
            await self._connection()
            await self._declare(message.topic)
            await self._publish(message.topic, message.id, message.body, dict(message.headers))

    async def _publish(self, topic: Topic, id: str, body: bytes, headers: dict[str, str]) -> None:
        try:
            await self._broker.publish(
                body,
                exchange=RabbitExchange(topic.exchange, declare=False),
                routing_key=topic.queue,
                headers=cast("dict[str, Any]", to_wire(headers)),
                message_id=id,
                content_type="application/json",
                persist=True,
                mandatory=True,
            )
        except DeliveryError as error:
            self._declared.discard(topic)  # full, or deleted: if so it is declared again
            raise BrokerUnavailableError(f"the queue {topic.queue} takes nothing now") from error

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        """Consume on a channel of its own."""
        async with bounded(self._settings.connect_seconds, *_FAILURES):
            await self._declare(topic)
            subscription = _Subscription(topic, take, self._bury)
            subscriber = self._broker.subscriber(
                RabbitQueue(topic.queue, declare=False),
                RabbitExchange(topic.exchange, declare=False),
                channel=Channel(prefetch_count=prefetch),
                ack_policy=AckPolicy.MANUAL,
                no_reply=True,
                decoder=_whole,
            )
            subscriber(subscription.handle)
            subscription.cancel = subscriber.stop
            await subscriber.start()
        return subscription

    async def _bury(self, topic: Topic, arrived: Arrived, error: str) -> None:
        async with bounded(self._settings.publish_seconds, *_FAILURES):
            headers = dead_headers(arrived.headers, error)
            await self._publish(dead_topic(topic), headers.get(ID, ""), arrived.body, headers)

    @contextlib.asynccontextmanager
    async def _dead(self, topic: Topic, limit: int) -> AsyncIterator[list[_Letter]]:
        """Dead letters, unacknowledged: closing the channel puts back what was not acknowledged meanwhile."""
        await self._declare(topic)
        channel = await self._channel()
        try:
            queue = await channel.declare_queue(dead_topic(topic).queue, passive=True)
            found: list[_Letter] = []
            while len(found) < limit and (raw := await queue.get(fail=False)) is not None:
                found.append((raw, DeadLetter(from_wire(raw.headers), raw.body)))
            yield found
        finally:
            await channel.close()

    async def dead_letters(self, topic: Topic, limit: int) -> Sequence[DeadLetter]:
        """Taken and put back, which marks them as delivered before."""
        async with bounded(self._settings.publish_seconds * 2, *_FAILURES), self._dead(topic, limit) as found:
            return [letter for _, letter in found]

    async def replay(self, topic: Topic, limit: int) -> int:
        """Publish each again, then acknowledge it."""
        async with bounded(self._settings.publish_seconds * 4, *_FAILURES), self._dead(topic, limit) as found:
            for raw, letter in found:
                await self.publish(revived(topic, letter))
                await raw.ack()
            return len(found)


async def _whole(message: StreamMessage[Any]) -> StreamMessage[Any]:
    """Not only the body: the handler needs the message to settle it."""
    return message


class _Subscription:
    def __init__(self, topic: Topic, take: Take, bury: Bury) -> None:
        self._topic = topic
        self._take = take
        self._bury = bury
        self._in_hand: set[asyncio.Task[Any]] = set()
        self._unfinished: list[RabbitMessage] = []
        self._stopping = asyncio.Event()
        self.cancel: Callable[[], Awaitable[None]]

    async def handle(self, message: RabbitMessage) -> None:
        """Called by FastStream, as a task of its own for each message."""
        if self._stopping.is_set():
            self._unfinished.append(message)
            return
        task = asyncio.current_task()
        assert task is not None
        self._in_hand.add(task)
        try:
            await self._work(message)
        finally:
            self._in_hand.discard(task)

    async def _work(self, message: RabbitMessage) -> None:
        raw = message.raw_message
        counted = raw.headers.get("x-delivery-count")
        deliveries = counted + 1 if isinstance(counted, int) else 2 if raw.redelivered else 1
        arrived = Arrived(from_wire(raw.headers), raw.body, deliveries)
        try:
            outcome = await self._take(arrived)
            await self._settle(message, arrived, outcome)
        except asyncio.CancelledError:
            self._unfinished.append(message)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it was, the message must come again
            log.warning("%s: a message comes again: %s %s", self._topic, type(error).__name__, error)
            await self._give_back(message)

    async def _settle(self, message: RabbitMessage, arrived: Arrived, outcome: Outcome) -> None:
        match outcome:
            case Done():
                await message.ack()
            case Again(seconds):
                await self._rest(seconds)
                await message.nack(requeue=True)
            case Dead(error):
                await self._bury(self._topic, arrived, error)
                await message.ack()

    async def _rest(self, seconds: float) -> None:
        """RabbitMQ knows no delay: the message stays in hand meanwhile, which slows this worker down as it should."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _give_back(self, message: RabbitMessage) -> None:
        with contextlib.suppress(*_FAILURES, OSError, TimeoutError):  # the connection is gone, and so is our claim
            async with asyncio.timeout(GOODBYE_SECONDS):
                await message.nack(requeue=True)

    async def stop(self, seconds: float) -> None:
        """Finish what is in hand; end the consumer; then give back the rest, which before would come to us again."""
        self._stopping.set()
        if self._in_hand:
            _, late = await asyncio.wait(set(self._in_hand), timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        with contextlib.suppress(*_FAILURES, OSError, TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self.cancel()
        for message in self._unfinished:
            await self._give_back(message)
