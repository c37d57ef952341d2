"""A broker inside one process: the small true reference, and what serves where no broker is configured."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from coffee_core.messaging.broker import ERROR, FAILED_AT, Arrived, Broker, Dead, DeadLetter, Done, Subscription, Take
from coffee_core.messaging.errors import BrokerUnavailableError
from coffee_core.messaging.message import Message
from coffee_core.messaging.topic import Topic


@dataclass(slots=True)
class _Queue:
    waiting: deque[tuple[Message, int]] = field(default_factory=deque)
    dead: deque[tuple[Message, DeadLetter]] = field(default_factory=deque)
    there: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, message: Message, deliveries: int = 0, *, first: bool = False) -> None:
        if first:
            self.waiting.appendleft((message, deliveries))
        else:
            self.waiting.append((message, deliveries))
        if len(self.waiting) == 1:  # it is cleared only where nothing waits
            self.there.set()


class MemoryBroker:
    """Queues are kept as long as the process lives; a topic nobody listens to is bounded like any other."""

    def __init__(self, *, queue_length_max: int = 1_000_000) -> None:
        self._length = queue_length_max
        self._queues: dict[Topic, _Queue] = {}

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Nothing to disconnect."""

    def _queue(self, topic: Topic) -> _Queue:
        queue = self._queues.get(topic)
        if queue is None:
            queue = self._queues[topic] = _Queue()
        return queue

    async def publish(self, message: Message) -> None:
        """Append to the queue."""
        self.store(message)

    def store(self, message: Message) -> None:
        """Of `StoresAtOnce`; a subclass that publishes in another way overrides this."""
        queue = self._queues.get(message.topic) or self._queue(message.topic)
        if len(queue.waiting) >= self._length:
            raise BrokerUnavailableError(f"the queue of {message.topic} is full")
        queue.put(message)

    async def subscribe(self, topic: Topic, take: Take, *, prefetch: int) -> Subscription:
        """Start `prefetch` consumers."""
        return _Subscription(self._queue(topic), take, prefetch)

    async def dead_letters(self, topic: Topic, limit: int) -> Sequence[DeadLetter]:
        """The oldest ones."""
        return [letter for _, letter in list(self._queue(topic).dead)[:limit]]

    async def replay(self, topic: Topic, limit: int) -> int:
        """Move them back."""
        queue = self._queue(topic)
        count = min(limit, len(queue.dead))
        for _ in range(count):
            message, _letter = queue.dead.popleft()
            queue.put(message)
        return count


class _Subscription:
    def __init__(self, queue: _Queue, take: Take, prefetch: int) -> None:
        self._queue = queue
        self._take = take
        self._stopping = False
        self._tasks = [asyncio.create_task(self._consume()) for _ in range(prefetch)]

    async def stop(self, seconds: float) -> None:
        """Let those in hand finish; the rest goes back."""
        self._stopping = True
        self._queue.there.set()
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _consume(self) -> None:
        queue = self._queue
        while not self._stopping:
            if not queue.waiting:
                queue.there.clear()
                await queue.there.wait()
                continue
            message, deliveries = queue.waiting.popleft()
            try:
                outcome = await self._take(Arrived(message.headers, message.body, deliveries + 1))
            except BaseException:
                queue.put(message, deliveries + 1, first=True)
                raise
            if isinstance(outcome, Dead):
                extra = {ERROR: outcome.error, FAILED_AT: datetime.now(UTC).isoformat()}
                queue.dead.append((message, DeadLetter({**message.headers, **extra}, message.body)))
            elif not isinstance(outcome, Done):
                asyncio.get_running_loop().call_later(outcome.seconds, queue.put, message, deliveries + 1)


_: type[Broker] = MemoryBroker
