"""NATS JetStream: each topic is a work-queue stream with one durable consumer, its dead letters are a second stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, cast

import nats.errors
import nats.js.errors
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy as NatsAckPolicy
from nats.js.api import ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig

from coffee_core.messaging.broker import Again, Arrived, Dead, DeadLetter, Done, Outcome, Subscription, Take
from coffee_core.messaging.brokers.pulling import PullSubscription
from coffee_core.messaging.brokers.wire import bounded, dead_headers, from_wire, revived, to_wire
from coffee_core.messaging.errors import BrokerUnavailableError, MessageRefusedError
from coffee_core.messaging.message import Message
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.topic import Topic

log = logging.getLogger(__name__)

DUPLICATES_SECONDS = 120.0
"""JetStream itself drops a message that is published again within this time, by its `Nats-Msg-Id`."""

TOO_LARGE = 10054
"""JetStream's error code of a message that the stream will never take."""

Bury: TypeAlias = Callable[[Topic, Arrived, str], Awaitable[None]]

_FAILURES = (nats.errors.Error, nats.js.errors.Error)


def stream_name(topic: Topic) -> str:
    """A stream's name knows no dots; topics know no colons."""
    return str(topic).replace(".", ":")


def dead_subject(topic: Topic) -> str:
    """Where the dead letters of a topic go."""
    return f"dead.{topic}"


class NatsJetStream:
    """`NatsJetStream(url, settings)`. Streams are made when they are first needed, and again if they are gone."""

    def __init__(self, url: str, settings: MessagingSettings) -> None:
        self._settings = settings
        self._broker = NatsBroker(
            url.split(","),
            connect_timeout=max(1, round(settings.connect_seconds)),
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            error_cb=_log_error,
            logger=None,
            apply_types=False,
            graceful_timeout=None,
        )
        self._made: set[Topic] = set()
        self._connecting = asyncio.Lock()

    async def open(self) -> None:
        """Connect."""
        async with bounded(self._settings.connect_seconds, *_FAILURES):
            await self._client()

    async def close(self) -> None:
        """Send what is in the buffers, and disconnect."""
        try:
            async with bounded(self._settings.connect_seconds, *_FAILURES):
                await self._broker.stop()
        except BrokerUnavailableError as error:
            log.warning("NATS: closed without a goodbye: %s", error.detail)

    async def _client(self) -> Client:
        async with self._connecting:  # FastStream itself would connect twice
            return await self._broker.connect()

    async def _jetstream(self) -> JetStreamContext:
        return (await self._client()).jetstream(timeout=self._settings.publish_seconds)

    async def _make(self, topic: Topic) -> None:
        """Streams of the topic and of its dead letters."""
        if topic in self._made:
            return
        stream = await self._jetstream()
        name, most = stream_name(topic), self._settings.queue_length_max
        for config in (
            StreamConfig(
                name=name,
                subjects=[str(topic)],
                retention=RetentionPolicy.WORK_QUEUE,
                discard=DiscardPolicy.NEW,
                max_msgs=most,
                duplicate_window=DUPLICATES_SECONDS,
            ),
            StreamConfig(name=f"{name}:dead", subjects=[dead_subject(topic)], discard=DiscardPolicy.NEW, max_msgs=most),
        ):
            try:
                await stream.stream_info(cast("str", config.name))
            except nats.js.errors.NotFoundError:
                await stream.add_stream(config)
        self._made.add(topic)

    async def publish(self, message: Message) -> None:
        """Publish with the stream's acknowledgement."""
        await self._publish(message, {"Nats-Msg-Id": message.id})

    async def _publish(self, message: Message, extra: dict[str, str]) -> None:
        async with bounded(self._settings.publish_seconds, *_FAILURES):
            await self._client()
            await self._make(message.topic)
            try:
                await self._broker.publish(
                    message.body,
                    str(message.topic),
                    headers={**to_wire(message.headers), **extra},
                    stream=stream_name(message.topic),
                    timeout=self._settings.publish_seconds,
                )
            except nats.errors.MaxPayloadError as error:
                raise MessageRefusedError(f"{message.size} bytes are more than NATS takes") from error
            except nats.js.errors.NoStreamResponseError as error:
                self._made.discard(message.topic)
                raise BrokerUnavailableError(f"the stream of {message.topic} is gone: it will be made again") from error
            except nats.js.errors.APIError as error:
                if error.err_code == TOO_LARGE:
                    raise MessageRefusedError(f"the stream takes no message of {message.size} bytes") from error
                raise

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        """Ask the durable consumer, which all workers share, for one message at a time."""
        settings = self._settings
        async with bounded(settings.connect_seconds, *_FAILURES):
            await self._make(topic)
            subscriber = self._broker.subscriber(
                str(topic),
                stream=JStream(stream_name(topic), declare=False),
                durable="workers",
                config=ConsumerConfig(
                    ack_policy=NatsAckPolicy.EXPLICIT,
                    ack_wait=settings.abandoned_seconds,
                    max_deliver=-1,
                    max_ack_pending=100_000,
                    filter_subject=str(topic),
                ),
                pull_sub=PullSub(batch_size=1),
                ack_policy=AckPolicy.MANUAL,
                no_reply=True,
            )
            await subscriber.start()

        async def ask(seconds: float) -> _Taken | None:
            message = await subscriber.get_one(timeout=seconds)
            return None if message is None else _Taken(message, topic, self._bury)

        return PullSubscription(
            str(topic),
            ask,
            take,
            prefetch=prefetch,
            extend_seconds=settings.abandoned_seconds / 3,
            close=subscriber.stop,
        )

    async def _bury(self, topic: Topic, arrived: Arrived, error: str) -> None:
        async with bounded(self._settings.publish_seconds, *_FAILURES):
            await self._make(topic)
            await self._broker.publish(
                arrived.body,
                dead_subject(topic),
                headers=to_wire(dead_headers(arrived.headers, error)),
                stream=f"{stream_name(topic)}:dead",
                timeout=self._settings.publish_seconds,
            )

    async def _dead(self, topic: Topic, limit: int) -> list[tuple[int, DeadLetter]]:
        stream, name = await self._jetstream(), f"{stream_name(topic)}:dead"
        found: list[tuple[int, DeadLetter]] = []
        try:
            state = (await stream.stream_info(name)).state
        except nats.js.errors.NotFoundError:
            return found
        for sequence in range(state.first_seq, state.last_seq + 1):
            if len(found) >= limit or not state.messages:
                break
            try:
                raw = await stream.get_msg(name, sequence)
            except nats.js.errors.NotFoundError:
                continue
            found.append((sequence, DeadLetter(from_wire(raw.headers or {}), raw.data or b"")))
        return found

    async def dead_letters(self, topic: Topic, limit: int) -> Sequence[DeadLetter]:
        """From the dead letters' stream, by sequence."""
        async with bounded(self._settings.publish_seconds * 2, *_FAILURES):
            return [letter for _, letter in await self._dead(topic, limit)]

    async def replay(self, topic: Topic, limit: int) -> int:
        """Publish each again, then delete it. The first `Nats-Msg-Id` may be remembered still: it gets another."""
        async with bounded(self._settings.publish_seconds * 2, *_FAILURES):
            letters = await self._dead(topic, limit)
            stream = await self._jetstream()
        for sequence, letter in letters:
            message = revived(topic, letter)
            await self._publish(message, {"Nats-Msg-Id": f"{message.id}:replay:{sequence}"})
            async with bounded(self._settings.publish_seconds, *_FAILURES):
                await stream.delete_msg(f"{stream_name(topic)}:dead", sequence)
        return len(letters)


class _Taken:
    def __init__(self, message: NatsMessage, topic: Topic, bury: Bury) -> None:
        self._message = message
        self._topic = topic
        self._bury = bury
        deliveries = message.raw_message.metadata.num_delivered or 1
        self.arrived = Arrived(from_wire(message.headers), bytes(message.body), deliveries)

    async def settle(self, outcome: Outcome) -> None:
        match outcome:
            case Done():
                await self._message.ack()
            case Again(seconds):
                await self._message.nack(delay=seconds)
            case Dead(error):
                await self._bury(self._topic, self.arrived, error)
                await self._message.ack()

    async def extend(self) -> None:
        await self._message.in_progress()


async def _log_error(error: Exception) -> None:
    log.warning("NATS: %s %s", type(error).__name__, error)
