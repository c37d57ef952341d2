"""A decision that is not known yet, for who goes on by a callback: that takes neither a task nor a future."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """Something that will be told once, to one who waits: by `then`, or by awaiting this; not at all once it is
    cancelled.
    """

    over = False
    """Whether it has been told or cancelled."""
    _told: Callable[[T | BaseException], None] | None = None
    _outcome: T | BaseException | None = None
    """Where it came before there was somebody to tell."""
    _task: asyncio.Future[T] | None = None

    def then(self, told: Callable[[T | BaseException], None]) -> None:
        """Tell this one: the value, or why there is none. It may not raise."""
        self._told = told
        if self._outcome is not None:
            told(self._outcome)

    def cancel(self) -> None:
        """Nobody waits any more."""
        self.over = True
        if self._task is not None:
            self._task.cancel()

    def tell(self, outcome: T | BaseException) -> None:
        """Here it is."""
        if self.over:
            return
        self.over = True
        if self._told is None:
            self._outcome = outcome
        else:
            self._told(outcome)

    def follow(self, work: Awaitable[T]) -> None:
        """It will be the outcome of this, which takes a task."""
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[T]) -> None:
        if task.cancelled():
            self.tell(asyncio.CancelledError())
        else:
            self.tell(task.exception() or task.result())

    def __await__(self) -> Generator[object, None, T]:
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.then(partial(_settle, waiter))
        try:
            return (yield from waiter)
        finally:
            if not self.over:
                self.cancel()


def _settle(waiter: asyncio.Future[T], outcome: T | BaseException) -> None:
    if waiter.done():
        return
    if isinstance(outcome, asyncio.CancelledError):
        waiter.cancel()
    elif isinstance(outcome, BaseException):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)
