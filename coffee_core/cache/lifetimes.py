"""How long what may be believed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The two clocks, so that a test can move them."""

    monotonic: Callable[[], float] = time.monotonic
    """Seconds since some moment; lifetimes are counted on it."""
    wall: Callable[[], float] = time.time
    """Epoch seconds; the ends that an authority sets are on it."""


@dataclass(frozen=True, kw_only=True)
class Lifetimes:
    """Bounds of one cache, in seconds where nothing else is said."""

    fresh: float = 60.0
    """In process, while the push link is sound."""
    negative: float = 5.0
    """In both tiers, of "there is none"."""
    doubt: float = 2.0
    """In process while the push link is in doubt, counted from the start of the load; 0 asks Redis every time."""
    remote: float = 300.0
    """In Redis, of what this cache stores there."""
    stale: float = 3600.0
    """Past its freshness a value may stand in for this long while neither Redis nor the authority answers."""
    stale_retry: float = 1.0
    """After standing in, a value is not asked for again for this long."""
    jitter: float = 0.1
    """Share of a lifetime that is taken off at random, so that what was stored together does not end together."""
    load_timeout: float = 2.0
    """For the authority's answer."""
    lock_wait: float = 1.0
    """For the load of another process; after that this process asks the authority itself."""
    lock_poll: float = 0.01
    """Between two looks at the other process's load; doubles up to ten times as much."""
    max_loads: int = 2000
    """Loads in flight in one process; one more is refused."""

    def jittered(self, seconds: float) -> float:
        """A lifetime with its share of jitter taken off."""
        return seconds * (1.0 - random.random() * self.jitter)  # noqa: S311 - spreads load, hides nothing
