"""An event, callers, and small helpers for the tests of messaging."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import ClassVar

from coffee_core.domain.context import RequestContext
from coffee_core.domain.event import Event
from coffee_core.domain.plan import Plan
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
