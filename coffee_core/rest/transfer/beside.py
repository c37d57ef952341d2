"""Work that goes on while other work is done."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType


class Beside:
    """Pieces that are begun in their order, `most` of them at a time: one batch is stored while the next is read. With
    two, of which one waits for its turn, neither the store nor the reading waits for the other's slower moments."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: deque[asyncio.Task[None]] = deque()

    async def add(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begin with `work` once there is room; the failure of a piece that was in its way is raised here."""
        while len(self._running) >= self._most:
            await self._first()
        self._running.append(asyncio.create_task(work()))
        await asyncio.sleep(0)

    async def end(self) -> None:
        """Wait for all that goes on; a failure is raised here."""
        while self._running:
            await self._first()

    async def _first(self) -> None:
        await asyncio.wait([self._running[0]])  # if who waits is cancelled, it goes on: `stop` sees to it
        self._running.popleft().result()

    async def stop(self) -> None:
        """Nothing more is done when this returns."""
        running = list(self._running)
        self._running.clear()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for task in running:
            if not task.cancelled():
                task.exception()  # seen: who waits has failed for another reason


class Turn:
    """One piece has it at a time, in the order of asking. Once one has failed in it, the next ones fail as it did."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._failed: BaseException | None = None

    async def __aenter__(self) -> None:
        await self._lock.acquire()
        if self._failed is not None:
            self._lock.release()
            raise self._failed

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._failed = self._failed or error
        self._lock.release()
