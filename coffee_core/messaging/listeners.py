"""What is done with messages: listeners as plain data, and the subscription of all listeners of a topic."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import ValidationError

from coffee_core.domain.event import Event
from coffee_core.messaging.broker import Again, Arrived, Broker, Dead, Done, Outcome, Subscription
from coffee_core.messaging.errors import MalformedMessageError
from coffee_core.messaging.handling import Handler, Handling
from coffee_core.messaging.message import Message, read_message
from coffee_core.messaging.middleware.chain import Parts, chain
from coffee_core.messaging.topic import Topic, parse_topic

log = logging.getLogger(__name__)


class OnFailure(Enum):
    """What happens to a message that still fails after the retries."""

    DEAD_LETTER = "dead_letter"
    """It is kept in the topic's dead letters, with the error, and can be replayed."""

    DROP = "drop"
    """It is forgotten, with a log line and a counter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Handles the events of one type on one topic.

    `handle` runs in the request context of the message, in a transaction, and takes effect once for each message id.
    """

    topic: str
    """`exchange___queue`."""
    event: type[Event]
    handle: Callable[[Any], Awaitable[None]]  # takes an instance of `event`
    name: str
    """Unique in the platform and kept for ever: under this name the inbox remembers what was handled."""
    on_failure: OnFailure = OnFailure.DEAD_LETTER
    prefetch: int | None = None
    """Messages of the topic in hand at the same moment; None: the setting. The smallest of a topic's listeners counts.
    1, and one worker, keep the order of arrival."""


class Listeners:
    """All listeners of a process. Those of one topic share its queue, so they must run in the same worker.

    A message goes to each listener of its type. If one of several cannot handle it, the others' work stays, and a
    repetition reaches only that one, because the inbox knows the rest.
    """

    def __init__(self, listeners: Iterable[Listener], parts: Parts) -> None:
        self._parts = parts
        self._topics: defaultdict[Topic, list[Listener]] = defaultdict(list)
        names: set[str] = set()
        for listener in listeners:
            if listener.name in names:
                raise ValueError(f"two listeners are called {listener.name!r}: the inbox tells them apart by name")
            names.add(listener.name)
            self._topics[parse_topic(listener.topic)].append(listener)
        self._subscriptions: list[Subscription] = []

    @property
    def topics(self) -> Mapping[Topic, Sequence[Listener]]:
        """The listeners of each topic."""
        return self._topics

    async def start(self, broker: Broker) -> None:
        """Subscribe to every topic that is not yet subscribed to; `BrokerUnavailableError` if that fails."""
        for topic, listeners in list(self._topics.items())[len(self._subscriptions) :]:
            dispatch = Dispatch(topic, listeners, self._parts)
            wishes = [listener.prefetch for listener in listeners if listener.prefetch is not None]
            prefetch = min(wishes, default=self._parts.settings.prefetch)
            self._subscriptions.append(await broker.subscribe(topic, dispatch, prefetch=prefetch))

    async def stop(self, seconds: float) -> None:
        """Take nothing more; what is in hand gets so many seconds."""
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            await subscription.stop(seconds)


class Dispatch:
    """What is called with each message of a topic."""

    def __init__(self, topic: Topic, listeners: Sequence[Listener], parts: Parts) -> None:
        self._topic = topic
        self._parts = parts
        self._handlers: defaultdict[str, list[tuple[Listener, Handler]]] = defaultdict(list)
        for listener in listeners:
            self._handlers[listener.event.type].append((listener, chain(listener.name, listener.handle, parts)))

    async def __call__(self, arrived: Arrived) -> Outcome:
        """Hand the message to its listeners; never raises but for cancellation."""
        settings = self._parts.settings
        if arrived.deliveries > settings.deliveries_max:
            return Dead(f"delivered {arrived.deliveries - 1} times, and no outcome was ever told")
        try:
            message = read_message(self._topic, arrived.headers, arrived.body)
        except MalformedMessageError as error:
            return Dead(error.detail)
        handlers = self._handlers.get(message.type)
        if handlers is None:
            return Dead(f"nobody here handles {message.type!r}: {', '.join(sorted(self._handlers))} are handled")
        worst: Outcome = Done()
        for listener, handler in handlers:
            outcome = await self._handle(listener, handler, message, arrived.deliveries)
            if isinstance(outcome, Again) or (isinstance(outcome, Dead) and isinstance(worst, Done)):
                worst = outcome
        return worst

    async def _handle(self, listener: Listener, handler: Handler, message: Message, deliveries: int) -> Outcome:
        stats, settings = self._parts.stats, self._parts.settings
        try:
            event = listener.event.model_validate_json(message.body)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)
            outcome: Outcome = Dead(f"{listener.name}: the body is no {listener.event.__name__}: {problem}")
        else:
            outcome = await handler(Handling(message, event))
        if isinstance(outcome, Again):
            seconds = min(settings.again_max_seconds, settings.again_seconds * 2.0 ** min(deliveries - 1, 30))
            outcome = Again(seconds)
        if isinstance(outcome, Dead) and listener.on_failure is OnFailure.DROP:
            log.error("%s drops message %s of %s: %s", listener.name, message.id, message.topic, outcome.error)
            stats.handled[listener.name, "dropped"] += 1
            return Done()
        if isinstance(outcome, Dead):
            log.error("%s gives up message %s of %s: %s", listener.name, message.id, message.topic, outcome.error)
        stats.handled[listener.name, _WORDS[type(outcome)]] += 1
        return outcome


_WORDS = {Done: "done", Again: "again", Dead: "dead"}
