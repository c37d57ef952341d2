"""The event bus: what a manager announces, tied to the unit of work in hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from coffee_core.domain.context import CURRENT, RequestContext, current
from coffee_core.domain.errors import TooLargeError
from coffee_core.domain.event import Delivery, Event
from coffee_core.messaging.broker import Broker
from coffee_core.messaging.message import HEADERS_MOST, Message, message_of
from coffee_core.messaging.outbox import Outbox
from coffee_core.messaging.outgoing import Outgoing
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.persistence.unit_of_work import begin_transaction, work_of

log: Final = logging.getLogger(__name__)


class EventBus:
    """An `EventSink`. `start()` it before serving, `close()` it after the last request.

    - `Delivery.AFTER_COMMIT`: after the commit the message is put into a bounded queue in memory, from which tasks
      publish it: the request never waits for the broker. It can be lost: by a process that dies, a queue that is full
      because the broker is gone, a broker that refuses it. Each loss is counted (`coffee_events_lost_total`).
    - `Delivery.OUTBOX`: the message is stored by the transaction of the unit of work and relayed from there, at least
      once and in order for each key. Raising one switches the unit of work to a transaction; a use case that has
      written something alone before must call `begin_transaction()` itself, before that write.

    Nothing goes out for what is rolled back. What is only announced is made into messages a moment later, with all that
    came meanwhile: together they cost half. Messages are published in the order in which they were raised or announced.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        outbox: Outbox | None = None,
        settings: MessagingSettings | None = None,
        stats: MessagingStats | None = None,
    ) -> None:
        settings = settings or MessagingSettings()
        self._limit = settings.message_max_bytes
        self._together, self._most = settings.announced_seconds, settings.announced_max
        self._outbox = outbox
        self._outgoing = Outgoing(broker, settings, stats or MessagingStats())
        self._announced: list[tuple[RequestContext, Callable[[], Event | None]]] = []

    @property
    def waiting(self) -> int:
        """After-commit events that the broker has not yet stored."""
        return self._outgoing.waiting + len(self._announced)

    async def start(self) -> None:
        """Begin to publish."""
        self._outgoing.start()
        if self._outbox is not None:
            self._outbox.start()

    async def close(self) -> None:
        """Publish what waits, within `close_seconds`."""
        if self._outbox is not None:
            await self._outbox.close()
        self.make_announced()
        await self._outgoing.close()

    def raise_event(self, event: Event, delivery: Delivery = Delivery.AFTER_COMMIT) -> None:
        """Attach `event` to the unit of work in hand; `TooLargeError` past `message_max_bytes`."""
        context = current()
        message = self._message(event, context)
        if delivery is Delivery.AFTER_COMMIT:
            work_of(context).after_commit_at_once(partial(self._put, message))
        elif self._outbox is None:
            raise TypeError("this event bus has no outbox: give it one, or raise the event after commit")
        else:
            self._outbox.add(begin_transaction(), message)

    def announce(self, make: Callable[[], Event | None]) -> None:
        """Of `Announcer`: the event is made within `announced_seconds`."""
        announced = self._announced
        announced.append((current(), make))
        if len(announced) == 1:
            asyncio.get_running_loop().call_later(self._together, self.make_announced)
        if len(announced) >= self._most:
            self.make_announced()

    def make_announced(self) -> None:
        """All that has gathered, now; each in its own context, and one that fails takes no other along."""
        announced, self._announced = self._announced, []
        before, put = None, self._outgoing.put
        for context, make in announced:
            token = CURRENT.set(context)
            before = before or token
            try:
                event = make()
                if event is not None:
                    put(self._message(event, context))
            except Exception:
                log.exception("an event could not be made of a record; the record stays")
        if before is not None:
            CURRENT.reset(before)

    def _put(self, message: Message) -> None:
        if self._announced:
            self.make_announced()
        self._outgoing.put(message)

    def _message(self, event: Event, context: RequestContext) -> Message:
        message, limit = message_of(event, context), self._limit
        # headers are looked at only where they can matter
        if len(message.body) + len(message.key) > limit - HEADERS_MOST and message.size > limit:
            raise TooLargeError(f"the event {event.type} has {message.size} bytes; at most {limit} are sent")
        return message
