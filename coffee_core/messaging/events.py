"""The event bus: what a manager announces, tied to the unit of work in hand."""

from __future__ import annotations

from functools import partial

from coffee_core.domain.context import current
from coffee_core.domain.errors import TooLargeError
from coffee_core.domain.event import Delivery, Event
from coffee_core.messaging.broker import Broker
from coffee_core.messaging.message import message_of
from coffee_core.messaging.outbox import Outbox
from coffee_core.messaging.outgoing import Outgoing
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.persistence.unit_of_work import begin_transaction, current_work


class EventBus:
    """An `EventSink`. `start()` it before serving, `close()` it after the last request.

    - `Delivery.AFTER_COMMIT`: after the commit the message is put into a bounded queue in memory, from which tasks
      publish it: the request never waits for the broker. It can be lost: by a process that dies, a queue that is full
      because the broker is gone, a broker that refuses it. Each loss is counted (`coffee_events_lost_total`).
    - `Delivery.OUTBOX`: the message is stored by the transaction of the unit of work and relayed from there, at least
      once and in order for each key. Raising one switches the unit of work to a transaction; a use case that has
      written something alone before must call `begin_transaction()` itself, before that write.

    Nothing goes out for what is rolled back.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        outbox: Outbox | None = None,
        settings: MessagingSettings | None = None,
        stats: MessagingStats | None = None,
    ) -> None:
        self._settings = settings or MessagingSettings()
        self._outbox = outbox
        self._outgoing = Outgoing(broker, self._settings, stats or MessagingStats())

    @property
    def waiting(self) -> int:
        """After-commit events that the broker has not yet stored."""
        return self._outgoing.waiting

    async def start(self) -> None:
        """Begin to publish."""
        self._outgoing.start()
        if self._outbox is not None:
            self._outbox.start()

    async def close(self) -> None:
        """Publish what waits, within `close_seconds`."""
        if self._outbox is not None:
            await self._outbox.close()
        await self._outgoing.close()

    def raise_event(self, event: Event, delivery: Delivery = Delivery.AFTER_COMMIT) -> None:
        """Attach `event` to the unit of work in hand; `TooLargeError` past `message_max_bytes`."""
        message = message_of(event, current())
        size = message.size
        if size > self._settings.message_max_bytes:
            raise TooLargeError(
                f"the event {event.type} has {size} bytes; at most {self._settings.message_max_bytes} are sent"
            )
        if delivery is Delivery.AFTER_COMMIT:
            current_work().after_commit_at_once(partial(self._outgoing.put, message, size))
        elif self._outbox is None:
            raise TypeError("this event bus has no outbox: give it one, or raise the event after commit")
        else:
            self._outbox.add(begin_transaction(), message)
