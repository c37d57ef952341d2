"""Rate limits of this process alone."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from math import floor
from typing import Generic, TypeVar

from coffee_core.resilience.limiters.policy import (
    SLICES,
    Demand,
    SlidingWindow,
    Standing,
    Taken,
    TokenBucket,
    check_apart,
)

EPSILON = 1e-9
"""Rounding errors of seconds must not cost a unit."""


S = TypeVar("S")


class _Bucket:
    __slots__ = ("full_at",)

    def __init__(self) -> None:
        self.full_at = float("-inf")

    def look(self, policy: TokenBucket, cost: int, now: float) -> Standing:
        """Without taking it. A clock that was set back costs at most the time of a full bucket."""
        self.full_at = min(self.full_at, now + policy.seconds)
        return self._standing(policy, cost, now)

    def take(self, policy: TokenBucket, cost: int, now: float) -> Standing:
        """What `look` granted."""
        if cost:
            self.full_at = max(self.full_at, now) + cost / policy.per_second
        return self._standing(policy, 0, now)

    def _standing(self, policy: TokenBucket, cost: int, now: float) -> Standing:
        debt = max(0.0, self.full_at - now)
        wait = debt + (cost - policy.burst) / policy.per_second
        left = floor(policy.burst - debt * policy.per_second + EPSILON)
        return Standing(wait <= EPSILON, max(0, left), wait if wait > EPSILON else 0.0, debt)


class _Window:
    __slots__ = ("slices",)

    def __init__(self) -> None:
        self.slices: dict[int, int] = {}

    def look(self, policy: SlidingWindow, cost: int, now: float) -> Standing:
        """Without taking it. Slices that are over are forgotten; a clock that was set back makes its future now."""
        slice_ = policy.seconds / SLICES
        index = floor(now / slice_)
        for number in list(self.slices):
            if number + SLICES < index:
                del self.slices[number]
            elif number > index:
                self.slices[index] = self.slices.get(index, 0) + self.slices.pop(number)
        return self._standing(policy, cost, now)

    def take(self, policy: SlidingWindow, cost: int, now: float) -> Standing:
        """What `look` granted."""
        if cost:
            index = floor(now / (policy.seconds / SLICES))
            self.slices[index] = self.slices.get(index, 0) + cost
        return self._standing(policy, 0, now)

    def _standing(self, policy: SlidingWindow, cost: int, now: float) -> Standing:
        slice_ = policy.seconds / SLICES
        used = sum(self.slices.values())
        missing = cost - (policy.limit - used)
        wait = 0.0
        for number in sorted(self.slices):
            if missing <= 0:
                break
            missing -= self.slices[number]
            wait = (number + SLICES + 1) * slice_ - now
        reset = (max(self.slices) + SLICES + 1) * slice_ - now if self.slices else 0.0
        return Standing(wait == 0.0, max(0, policy.limit - used), wait, reset)


class _Kept(Generic[S]):
    """The states of one kind; the one that was used least recently goes first."""

    def __init__(self, make: Callable[[], S], most: int) -> None:
        self._make = make
        self._most = most
        self._states: OrderedDict[str, S] = OrderedDict()

    def of(self, key: str) -> S:
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= self._most:
                self._states.popitem(last=False)
            state = self._states[key] = self._make()
        else:
            self._states.move_to_end(key)
        return state


class MemoryLimiter:
    """A `RateLimiter` for one process. Holds at most `max_keys` of each kind of policy: the key that was asked for
    least recently goes first, which can only be kind to its owner."""

    def __init__(self, *, max_keys: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets = _Kept(_Bucket, max_keys)
        self._windows = _Kept(_Window, max_keys)

    async def take(self, *demands: Demand) -> Taken:
        """All or nothing; waits for nobody."""
        return self.take_now(*demands)

    def take_now(self, *demands: Demand) -> Taken:
        """The same, for callers that do not wait."""
        check_apart(demands)
        now = self._clock()
        looks = tuple([self._look(demand, now) for demand in demands])
        if not all(look.granted for look in looks):
            return Taken(False, looks)
        return Taken(True, tuple([self._take(demand, now) for demand in demands]))

    def _look(self, demand: Demand, now: float) -> Standing:
        policy = demand.policy
        if isinstance(policy, TokenBucket):
            return self._buckets.of(demand.key).look(policy, demand.cost, now)
        return self._windows.of(demand.key).look(policy, demand.cost, now)

    def _take(self, demand: Demand, now: float) -> Standing:
        policy = demand.policy
        if isinstance(policy, TokenBucket):
            return self._buckets.of(demand.key).take(policy, demand.cost, now)
        return self._windows.of(demand.key).take(policy, demand.cost, now)
