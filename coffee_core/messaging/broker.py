"""The port to a broker. One contract suite (`coffee_core.testing.broker`) holds every implementation to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from coffee_core.messaging.message import Message
from coffee_core.messaging.topic import Topic

ERROR = "x-coffee-error"
"""Header of a dead letter: why it is one."""
FAILED_AT = "x-coffee-failed-at"
"""Header of a dead letter: when it became one, RFC 3339."""


class Arrived(NamedTuple):
    """What the broker delivers."""

    headers: Mapping[str, str]
    body: bytes
    deliveries: int
    """1 for the first delivery of this message."""


class Done(NamedTuple):
    """It took effect, or was dropped on purpose: the broker may forget it."""


class Again(NamedTuple):
    """It could not be handled now: deliver it again after so many seconds."""

    seconds: float


class Dead(NamedTuple):
    """It goes to the topic's dead letters, with the error."""

    error: str


Outcome: TypeAlias = Done | Again | Dead
Take: TypeAlias = Callable[[Arrived], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up. `headers` hold its own ones and `ERROR`, `FAILED_AT`."""

    headers: Mapping[str, str]
    body: bytes


class Subscription(Protocol):
    """A running subscription."""

    async def stop(self, seconds: float) -> None:
        """Take no further message, and give those in hand so many seconds; what is left then is delivered again."""


@runtime_checkable
class StoresAtOnce(Protocol):
    """A broker that has nobody to wait for: its `publish` does this and no more."""

    def store(self, message: Message) -> None:
        """As `Broker.publish`."""


class Broker(Protocol):
    """Durable queues, one for each topic. Workers that subscribe to a topic share its queue.

    Every call is bounded by the settings and ends in `BrokerUnavailableError` at the latest then. A connection that
    was lost comes back by itself; subscriptions go on.
    """

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Disconnect; subscriptions must have been stopped."""

    async def publish(self, message: Message) -> None:
        """Returns when the broker has stored the message in its topic's queue, which is made if there is none.

        `MessageRefusedError` if it never will.
        """

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        """Call `take` with each message, at most `prefetch` at the same moment. A message that is in the hands of a
        process that dies is delivered again."""
        ...

    async def dead_letters(self, topic: Topic, limit: int) -> Sequence[DeadLetter]:
        """The oldest dead letters; they stay where they are."""
        ...

    async def replay(self, topic: Topic, limit: int) -> int:
        """Put the oldest dead letters back into the queue, as they were raised; answers how many. Each is removed
        only after it is stored there."""
        ...
