"""A circuit breaker around a call: who fails too often is left alone for a while, and its callers are told at once.

payments = Circuit("payments", BreakerPolicy(requests=10, ratio=0.5, open=5))
answer = await payments.call(lambda: client.get(3))     # BreakerOpenError while it is open
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from coffee_core.domain.errors import CoffeeError, DeadlineError, LimitError, RetryableError, UnavailableError
from coffee_core.resilience.breaker import Breaker, BreakerPolicy, Clock, State

T = TypeVar("T")


class BreakerOpenError(UnavailableError):
    """Not asked, because it failed too often of late; `retry_after` says when it is worth another try."""


class MonotonicClock:
    """This process's own."""

    @property
    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()


class SharedOpening(Protocol):
    """Where processes tell each other that a breaker has opened: see `RedisOpening`."""

    async def tell(self, name: str, seconds: float) -> None:
        """It is open for so long. Never raises."""
        ...

    async def look(self, name: str) -> float:
        """For how many seconds somebody still holds it open; 0 where nobody does, or nobody can tell."""
        ...


def broken(error: BaseException) -> bool:
    """Whether an error says that the service is in trouble: it is not there, too slow, or raised what nobody foresaw.
    An answer that refuses this one caller, his rate included, is an answer."""
    if isinstance(error, LimitError):
        return False
    return isinstance(error, RetryableError | DeadlineError) or not isinstance(error, CoffeeError)


class Circuit:
    """One service's breaker, for calls from one event loop.

    With `shared`, a breaker that opens here is open in the other processes within `look_every` seconds of their next
    call; each counts its own failures and tries its own probes. Without an answer from there each is on its own.
    """

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy | None = None,
        *,
        failed: Callable[[BaseException], bool] = broken,
        shared: SharedOpening | None = None,
        look_every: float = 0.5,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._policy = policy or BreakerPolicy()
        self._clock = clock or MonotonicClock()
        self._failed = failed
        self._shared = shared
        self._look_every = look_every
        self._looked = float("-inf")
        self._swept = float("-inf")
        self.breaker = Breaker(name, self._policy, self._clock)
        """Its state and its counts."""

    @property
    def state(self) -> State:
        """Closed, open or half open."""
        return self.breaker.state

    async def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Its answer, if it may be called. What it raises comes out as it is, and counts as `failed` says; a call that
        is cancelled says nothing."""
        breaker = self.breaker
        if self._shared is not None and self._clock.now - self._looked >= self._look_every:
            await self._look(self._shared)
        probe = not breaker.closed
        if probe and not breaker.admit():
            raise BreakerOpenError(
                f"{self.name} failed too often and is left alone for a moment", retry_after=breaker.retry_after
            )
        self._sweep()
        try:
            answer = await call()
        except Exception as error:
            if self._failed(error):
                await self._count_failure(probe=probe)
            else:
                self._count_answer(probe=probe)
            raise
        except BaseException:
            if probe:
                breaker.probe_left()
            raise
        self._count_answer(probe=probe)
        return answer

    def _sweep(self) -> None:
        now = self._clock.now
        if now - self._swept >= self._policy.window:
            self.breaker.forget()
        self._swept = now
        self.breaker.sweep(now)

    def _count_answer(self, *, probe: bool) -> None:
        self.breaker.answers += 1
        if probe:
            self.breaker.probe_answered()

    async def _count_failure(self, *, probe: bool) -> None:
        opened = self.breaker.opened
        self.breaker.failed(probe=probe)
        if self._shared is not None and self.breaker.opened > opened:
            await self._shared.tell(self.name, self._policy.open)

    async def _look(self, shared: SharedOpening) -> None:
        self._looked = self._clock.now
        if not self.breaker.closed:
            return  # it has seen for itself, and its probes find out when that is over
        seconds = await shared.look(self.name)
        if seconds > 0 and self.breaker.closed:
            self.breaker.hold_open(min(seconds, self._policy.open))
