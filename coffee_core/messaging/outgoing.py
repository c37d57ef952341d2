"""After-commit events on their way: a bounded queue in memory and tasks that publish from it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque

from coffee_core.domain.errors import CoffeeError
from coffee_core.domain.tasks import end_tasks
from coffee_core.messaging.broker import Broker, StoresAtOnce
from coffee_core.messaging.errors import BrokerUnavailableError
from coffee_core.messaging.message import Message
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.messaging.topic import Topic

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Between attempts while the broker does not answer. Seconds."""


class Outgoing:
    """Nobody waits here: `put` takes a message or counts it as lost. A broker that stores at once gets it at once.
    While the broker is gone messages gather, up to the bounds; they are lost when the process dies, when there is no
    room, or when it ends before the broker is back.
    """

    def __init__(self, broker: Broker, settings: MessagingSettings, stats: MessagingStats) -> None:
        self._broker = broker
        self._store = broker.store if isinstance(broker, StoresAtOnce) else None
        self._settings = settings
        self._waiting: deque[tuple[Message, int]] = deque()
        """With their sizes."""
        self._bytes = 0
        self._idle: deque[asyncio.Future[None]] = deque()
        """Of the tasks that have nothing to publish: a message wakes one, and that one the next if more are waiting."""
        self._waking = False
        """Whether one has been woken that has not looked yet."""
        self._closing = False
        self._empty = asyncio.Event()
        self._busy = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._losing = False
        self._stats = stats
        self._labels: dict[Topic, tuple[str]] = {}
        """What messages of a topic are counted under."""
        stats.waiting = lambda: self.waiting

    @property
    def waiting(self) -> int:
        """Messages that are not yet stored by the broker."""
        return len(self._waiting) + self._busy

    def put(self, message: Message) -> None:
        """Take the message; without room it is lost."""
        if self._store is not None and self._tasks and not self._waiting and not self._busy:
            try:
                self._store(message)
            except Exception:  # noqa: BLE001, S110  # the task that publishes it meets it again, and says what it is
                pass
            else:
                self._stats.published[self._labels.get(message.topic) or self._label(message.topic)] += 1
                return
        settings, size = self._settings, message.size
        if len(self._waiting) >= settings.waiting_max or self._bytes + size > settings.waiting_max_bytes:
            self._lose(message, "no_room")
            return
        self._losing = False
        self._bytes += size
        self._waiting.append((message, size))
        if self._idle and not self._waking:
            self._wake()

    def _wake(self) -> None:
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                self._waking = True
                idle.set_result(None)
                return

    def start(self) -> None:
        """Begin to publish."""
        self._tasks = [asyncio.create_task(self._publish_on()) for _ in range(self._settings.publishers)]

    async def close(self) -> None:
        """Publish what waits, as long as `close_seconds` allow; the rest is lost."""
        try:
            async with asyncio.timeout(self._settings.close_seconds):
                self._closing = True
                if self._tasks and self.waiting:
                    await self._empty.wait()
        except TimeoutError:
            pass
        await end_tasks(*self._tasks)
        self._tasks.clear()
        while self._waiting:
            self._lose(self._next(), "closing")

    def _next(self) -> Message:
        message, size = self._waiting.popleft()
        self._bytes -= size
        return message

    async def _publish_on(self) -> None:
        while True:
            while not self._waiting:
                idle = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                try:
                    await idle
                finally:
                    self._waking = False
            message = self._next()
            if self._waiting and self._idle and not self._waking:
                self._wake()
            self._busy += 1
            try:
                await self._publish(message)
            except asyncio.CancelledError:
                self._lose(message, "closing")
                raise
            finally:
                self._busy -= 1
                if self._closing and not self.waiting:
                    self._empty.set()

    async def _publish(self, message: Message) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._broker.publish(message)
            except BrokerUnavailableError:
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # spreads attempts, keeps no secret
                pause = min(pause * 2, LONGEST_PAUSE)
            except CoffeeError as error:
                log.warning("the broker refuses event %s of %s: %s", message.id, message.topic, error.detail)
                self._lose(message, "refused")
                return
            except Exception:
                log.exception("event %s of %s cannot be published", message.id, message.topic)
                self._lose(message, "failed")
                return
            else:
                self._stats.published[self._label(message.topic)] += 1
                return

    def _label(self, topic: Topic) -> tuple[str]:
        return self._labels.setdefault(topic, (str(topic),))

    def _lose(self, message: Message, reason: str) -> None:
        self._stats.lost[str(message.topic), reason] += 1
        if not self._losing:  # once for each time that it begins: a flood of events must not become one of lines
            self._losing = True
            log.error("after-commit events are being lost (%s), first %s of %s", reason, message.id, message.topic)
