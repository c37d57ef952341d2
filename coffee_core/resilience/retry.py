"""Trying again: only what may succeed later, with growing and uneven pauses, never past the caller's deadline.

answer = await Retry(Backoff(attempts=4))(lambda: client.get(3))
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from coffee_core.domain.context import CURRENT
from coffee_core.domain.errors import RetryableError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How often, and how long to wait in between."""

    attempts: int = 3
    """In all, the first one included."""
    first_seconds: float = 0.1
    """Before the second attempt. Doubled with each, and made uneven so that many callers do not come back at once."""
    longest_seconds: float = 5.0
    """No pause is longer; who is asked to wait longer than this (Retry-After) gives up at once."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_seconds < 0 or self.longest_seconds < 0:
            raise ValueError(f"at least one attempt, and no negative pause, not {self}")

    def pause(self, failures: int) -> float:
        """Seconds after so many failures (from 1): between half of the step and all of it."""
        step = min(self.longest_seconds, self.first_seconds * 2.0 ** min(failures - 1, 60))
        return step * random.uniform(0.5, 1)  # noqa: S311  # spreads attempts, keeps no secret


def transient(error: Exception) -> bool:
    """Whether an error may be gone in a moment: a `RetryableError`, a connection that failed, a time-out."""
    return isinstance(error, RetryableError | ConnectionError | TimeoutError)


class Retry:
    """Calls again what failed for a reason that `when` accepts. What is called must be safe to repeat: that is the
    caller's to know.

    The last error is raised as it is. So is one that asks for a longer wait than `Backoff.longest_seconds`, and one
    whose pause would end after the deadline of the request in hand.
    """

    def __init__(self, backoff: Backoff | None = None, *, when: Callable[[Exception], bool] = transient) -> None:
        self.backoff = backoff or Backoff()
        self.retried = 0
        """Attempts after the first, ever."""
        self._when = when

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """The first answer."""
        failures = 0
        while True:
            try:
                return await call()
            except Exception as error:
                failures += 1
                pause = self._pause(failures, error)
                if pause is None:
                    raise
            self.retried += 1
            await asyncio.sleep(pause)

    def _pause(self, failures: int, error: Exception) -> float | None:
        """`None`: give up."""
        if failures >= self.backoff.attempts or not self._when(error):
            return None
        pause = self.backoff.pause(failures)
        if isinstance(error, RetryableError) and error.retry_after > 0:
            if error.retry_after > self.backoff.longest_seconds:
                return None
            pause = max(pause, error.retry_after)
        context = CURRENT.get(None)
        if context is not None and asyncio.get_running_loop().time() + pause >= context.deadline:
            return None
        return pause
