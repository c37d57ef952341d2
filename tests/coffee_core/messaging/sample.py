"""An event, callers, and small helpers for the tests of messaging."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from coffee_core.domain.context import RequestContext
from coffee_core.domain.event import Event
from coffee_core.domain.plan import Plan
from coffee_core.messaging.broker import DeadLetter, Subscription, Take
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.message import Message, message_of
from coffee_core.messaging.topic import Topic, parse_topic

PARTNERS = itertools.count(5000)


class Happened(Event):
    """Something that happened."""

    topic: ClassVar[str] = "test.dx___happened_q"
    type: ClassVar[str] = "happened"

    what: str
    key_name: str = ""

    def key(self) -> str:
        return self.key_name


class KeptMessages(MemoryBroker):
    """The broker in process, with what was published to be looked at, and a switch to take it down."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[Message] = []
        self.fails: Exception | None = None

    def store(self, message: Message) -> None:
        if self.fails is not None:
            raise self.fails
        super().store(message)
        self.published.append(message)


class Distant:
    """A broker like that, which is waited for."""

    def __init__(self) -> None:
        self._kept = KeptMessages()

    @property
    def published(self) -> list[Message]:
        return self._kept.published

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, message: Message) -> None:
        await asyncio.sleep(0)
        await self._kept.publish(message)

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        return await self._kept.subscribe(topic, take, prefetch=prefetch)

    async def dead_letters(self, topic: Topic, limit: int) -> Sequence[DeadLetter]:
        return await self._kept.dead_letters(topic, limit)

    async def replay(self, topic: Topic, limit: int) -> int:
        return await self._kept.replay(topic, limit)


def event_on(topic: Topic) -> type[Happened]:
    """The same event on a topic of the test's own."""
    return type("HappenedHere", (Happened,), {"topic": str(topic), "__module__": __name__})


def a_topic() -> Topic:
    """A topic nobody else uses."""
    return parse_topic(f"test.dx___q_{uuid.uuid4().hex[:12]}")


def a_caller(partner: int | None = None) -> RequestContext:
    return RequestContext(
        request_id=f"r-{uuid.uuid4()}",
        partner_id=next(PARTNERS) if partner is None else partner,
        account_id=3,
        user_id=4,
        plan=Plan.SAAS,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def a_message(topic: Topic, what: str = "x", key: str = "") -> Message:
    return message_of(event_on(topic)(what=what, key_name=key), a_caller())


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 15.0) -> None:
    """Wait until the condition holds, or fail."""
    end = time.monotonic() + seconds
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.005)
