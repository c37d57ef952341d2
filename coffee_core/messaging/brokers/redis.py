"""Redis or Valkey streams: each topic is a stream with one consumer group, its dead letters are a second stream."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, cast

import redis.exceptions
from faststream import AckPolicy
from faststream.redis import RedisBroker, RedisStreamMessage, StreamSub
from faststream.redis.parser import BinaryMessageFormatV1
from redis.asyncio import Redis

from coffee_core.messaging.broker import Again, Arrived, Dead, DeadLetter, Done, Outcome, Subscription, Take
from coffee_core.messaging.brokers.pulling import PullSubscription
from coffee_core.messaging.brokers.wire import bounded, dead_headers, from_wire, revived, to_wire
from coffee_core.messaging.errors import BrokerUnavailableError
from coffee_core.messaging.message import Message
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.topic import Topic

log = logging.getLogger(__name__)

GROUP = "workers"
FIELD = b"__data__"
"""Where FastStream keeps headers and body of an entry."""

CLAIM_SECONDS = 1.0
"""How often a worker looks for what others left unfinished, or gave back, at most."""

_FAILURES = (redis.exceptions.RedisError,)


def dead_stream(topic: Topic) -> str:
    """Where the dead letters of a topic go."""
    return f"{topic}.dead"


class RedisStreams:
    """`RedisStreams(url, settings)`. A handled entry is deleted; what nobody finished is claimed by another worker."""

    def __init__(self, url: str, settings: MessagingSettings) -> None:
        self._settings = settings
        self._connecting = asyncio.Lock()
        self._consumer = f"worker-{uuid.uuid4().hex[:12]}"
        self._broker = RedisBroker(
            url,
            socket_connect_timeout=settings.connect_seconds,
            socket_timeout=settings.publish_seconds + settings.connect_seconds,
            logger=None,  # type: ignore[arg-type]  # what the other brokers' signatures say, and what this one does
            apply_types=False,
            graceful_timeout=None,
        )

    async def open(self) -> None:
        """Connect."""
        async with bounded(self._settings.connect_seconds, *_FAILURES):
            await (await self._client()).ping()

    async def close(self) -> None:
        """Disconnect."""
        try:
            async with bounded(self._settings.connect_seconds, *_FAILURES):
                await self._broker.stop()
        except BrokerUnavailableError as error:
            log.warning("Redis: closed without a goodbye: %s", error.detail)

    async def _client(self) -> Redis:
        async with self._connecting:  # FastStream itself would connect twice
            return await self._broker.connect()

    async def publish(self, message: Message) -> None:
        """Append, where the stream has room."""
        async with bounded(self._settings.publish_seconds, *_FAILURES):
            await self._add(str(message.topic), message.body, to_wire(message.headers))

    async def _add(self, stream: str, body: bytes, headers: dict[str, str]) -> None:
        if await (await self._client()).xlen(stream) >= self._settings.queue_length_max:
            raise BrokerUnavailableError(f"the stream {stream} is full: {self._settings.queue_length_max} entries")
        await self._broker.publish(body, stream=stream, headers=headers)

    async def _make_group(self, topic: Topic) -> None:
        """The group begins at the first entry, so that nothing is lost that was published before a worker came."""
        try:
            await (await self._client()).xgroup_create(str(topic), GROUP, id="0", mkstream=True)
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        """Ask for new entries, and now and then for those that others left unfinished."""
        settings = self._settings
        idle = max(1, int(settings.abandoned_seconds * 1000))
        async with bounded(settings.connect_seconds, *_FAILURES):
            await self._make_group(topic)
            fresh = self._broker.subscriber(
                stream=StreamSub(str(topic), group=GROUP, consumer=self._consumer),
                ack_policy=AckPolicy.MANUAL,
                no_reply=True,
            )
            left = self._broker.subscriber(
                stream=StreamSub(str(topic), group=GROUP, consumer=self._consumer, min_idle_time=idle),
                ack_policy=AckPolicy.MANUAL,
                no_reply=True,
            )
            await fresh.start()
            await left.start()
            entries = _Entries(topic, await self._client(), self._consumer, self._bury, idle)
        asker = _Asker(fresh.get_one, left.get_one, min(CLAIM_SECONDS, settings.abandoned_seconds / 4))

        async def ask(seconds: float) -> _Taken | None:
            try:
                message, deliveries = await asker.ask(seconds)
            except redis.exceptions.ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
                await self._make_group(topic)  # the stream was deleted, or the server lost it
                return None
            if message is None:
                return None
            return _Taken(message, deliveries, entries)

        async def close() -> None:
            await fresh.stop()
            await left.stop()
            client = await self._client()
            if not await client.xpending_range(str(topic), GROUP, "-", "+", 1, self._consumer):
                await client.xgroup_delconsumer(str(topic), GROUP, self._consumer)

        return PullSubscription(
            str(topic),
            ask,
            take,
            prefetch=prefetch,
            extend_seconds=settings.abandoned_seconds / 3,
            close=close,
        )

    async def _bury(self, topic: Topic, arrived: Arrived, error: str) -> None:
        async with bounded(self._settings.publish_seconds, *_FAILURES):
            await self._add(dead_stream(topic), arrived.body, to_wire(dead_headers(arrived.headers, error)))

    async def _dead(self, topic: Topic, limit: int) -> list[tuple[bytes, DeadLetter]]:
        entries = await (await self._client()).xrange(dead_stream(topic), count=limit)
        found: list[tuple[bytes, DeadLetter]] = []
        for id, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", entries or ()):
            body, headers = BinaryMessageFormatV1.parse(fields[FIELD])
            found.append((id, DeadLetter(from_wire(headers), body)))
        return found

    async def dead_letters(self, topic: Topic, limit: int) -> Sequence[DeadLetter]:
        """From the dead letters' stream."""
        async with bounded(self._settings.publish_seconds * 2, *_FAILURES):
            return [letter for _, letter in await self._dead(topic, limit)]

    async def replay(self, topic: Topic, limit: int) -> int:
        """Append each again, then delete it."""
        async with bounded(self._settings.publish_seconds * 2, *_FAILURES):
            letters = await self._dead(topic, limit)
            client = await self._client()
        for id, letter in letters:
            await self.publish(revived(topic, letter))
            async with bounded(self._settings.publish_seconds, *_FAILURES):
                await client.xdel(dead_stream(topic), id)
        return len(letters)


class _Asker:
    """New entries, and every `claim_seconds` those that nobody finished."""

    def __init__(
        self,
        fresh: Callable[..., Awaitable[RedisStreamMessage | None]],
        left: Callable[..., Awaitable[RedisStreamMessage | None]],
        claim_seconds: float,
    ) -> None:
        self._fresh = fresh
        self._left = left
        self._claim_seconds = claim_seconds
        self._claim_at = 0.0

    async def ask(self, seconds: float) -> tuple[RedisStreamMessage | None, int]:
        now = asyncio.get_running_loop().time()
        if now >= self._claim_at:
            claimed = await self._left()
            if claimed is not None:
                return claimed, await claimed.get_delivery_count()
            self._claim_at = now + self._claim_seconds
        return await self._fresh(timeout=min(seconds, self._claim_seconds)), 1


class _Entries(NamedTuple):
    """What all entries of one subscription have in common."""

    topic: Topic
    client: Redis
    consumer: str
    bury: Callable[[Topic, Arrived, str], Awaitable[None]]
    idle: int
    """Milliseconds after which an entry counts as abandoned."""


class _Taken:
    def __init__(self, message: RedisStreamMessage, deliveries: int, entries: _Entries) -> None:
        self._entries = entries
        (self._id,) = message.raw_message["message_ids"]
        self.arrived = Arrived(from_wire(message.headers), bytes(message.body), deliveries)

    async def settle(self, outcome: Outcome) -> None:
        match outcome:
            case Done():
                await self._forget()
            case Again(seconds):
                await self._claim(max(0, self._entries.idle - int(seconds * 1000)))
            case Dead(error):
                await self._entries.bury(self._entries.topic, self.arrived, error)
                await self._forget()

    async def _forget(self) -> None:
        stream = str(self._entries.topic)
        async with self._entries.client.pipeline(transaction=True) as both:
            both.xack(stream, GROUP, self._id)
            both.xdel(stream, self._id)
            await both.execute()

    async def extend(self) -> None:
        await self._claim(0)

    async def _claim(self, idle: int) -> None:
        """Say how long the entry has been idle: the sooner it counts as abandoned, the sooner it comes again."""
        _, client, consumer, *_ = self._entries
        await client.xclaim(str(self._entries.topic), GROUP, consumer, 0, [self._id], idle=idle, justid=True)
