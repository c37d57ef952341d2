"""Subscriptions to brokers that are asked for messages: never more is taken than can be handled at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from coffee_core.domain.tasks import end_tasks
from coffee_core.messaging.broker import Again, Arrived, Outcome, Take

log = logging.getLogger(__name__)

ASK_SECONDS = 1.0
"""How long one question for the next message waits for its answer."""

PAUSE = 1.0
"""After a question that failed. Seconds."""


class Taken(Protocol):
    """A message that the broker has given to us alone, for a while."""

    @property
    def arrived(self) -> Arrived:
        """What it is."""
        ...

    async def settle(self, outcome: Outcome) -> None:
        """Tell the broker. A failure is the broker's to notice: it delivers again."""

    async def extend(self) -> None:
        """It is still in hand."""


class PullSubscription:
    """Asks for the next message when there is room for it."""

    def __init__(
        self,
        name: str,
        ask: Callable[[float], Awaitable[Taken | None]],
        take: Take,
        *,
        prefetch: int,
        extend_seconds: float,
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self._name = name
        self._ask = ask
        self._take = take
        self._room = asyncio.Semaphore(prefetch)
        self._extend_seconds = extend_seconds
        self._close = close
        self._in_hand: set[asyncio.Task[None]] = set()
        self._asking = asyncio.create_task(self._run())

    async def stop(self, seconds: float) -> None:
        """Ask no more; finish what is in hand."""
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        if self._in_hand:
            _, late = await asyncio.wait(self._in_hand, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        with contextlib.suppress(Exception):
            await self._close()

    async def _run(self) -> None:
        while True:
            await self._room.acquire()
            question = asyncio.ensure_future(self._ask(ASK_SECONDS))
            try:
                taken = await asyncio.shield(question)
            except asyncio.CancelledError:
                await self._last(question)
                raise
            except Exception as error:  # noqa: BLE001  # whatever it was, the next question may be answered
                self._room.release()
                log.warning("%s cannot be asked for messages: %s %s", self._name, type(error).__name__, error)
                await asyncio.sleep(PAUSE)
                continue
            if taken is None:
                self._room.release()
            else:
                self._handle(taken)

    async def _last(self, question: asyncio.Future[Taken | None]) -> None:
        """A question that is open when we stop may still be answered: the answer goes back at once."""
        try:
            async with asyncio.timeout(2 * ASK_SECONDS):
                taken = await question
            if taken is not None:
                await taken.settle(Again(0))
        except Exception as error:  # noqa: BLE001  # unanswered or not given back: it counts as abandoned later
            log.warning("%s: the last question failed: %s", self._name, type(error).__name__)

    def _handle(self, taken: Taken) -> None:
        task = asyncio.create_task(self._work(taken))
        self._in_hand.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        self._room.release()

    async def _work(self, taken: Taken) -> None:
        extender = asyncio.create_task(self._extend(taken))
        try:
            outcome = await self._take(taken.arrived)
        except asyncio.CancelledError:
            await asyncio.shield(self._settle(taken, Again(0)))
            raise
        except Exception:
            log.exception("%s: a message was not handled; it will come again", self._name)
            outcome = Again(PAUSE)
        finally:
            await end_tasks(extender)
        await self._settle(taken, outcome)

    async def _settle(self, taken: Taken, outcome: Outcome) -> None:
        try:
            await taken.settle(outcome)
        except Exception as error:  # noqa: BLE001  # the broker counts it as abandoned and delivers again
            log.warning("%s was not told an outcome, it delivers again: %s", self._name, error)

    async def _extend(self, taken: Taken) -> None:
        while True:
            await asyncio.sleep(self._extend_seconds)
            with contextlib.suppress(Exception):
                await taken.extend()
