"""How much may be tried again: a budget that recent answers fill, so that retries never multiply the trouble."""

from __future__ import annotations

import random

from coffee_core.resilience.breaker import Breaker, Clock
from gateway.data_plane.settings import DataPlaneSettings


class RetryBudget:
    """Tokens of one upstream group. Each retry takes one; a part of one comes with every answered request, and a few
    with time, so that a quiet service may be retried as well. Nothing is counted until somebody asks."""

    def __init__(self, settings: DataPlaneSettings, clock: Clock, breaker: Breaker) -> None:
        self._settings = settings
        self._clock = clock
        self._breaker = breaker
        self._tokens = float(settings.retry_burst)
        self._answers = 0
        self._time = clock.now
        self.taken = 0
        """Retries, ever."""
        self.denied = 0
        """Retries that there was no token for."""

    def take(self) -> bool:
        """One retry, if there is a token."""
        settings, answers, now = self._settings, self._breaker.answers, self._clock.now
        earned = (answers - self._answers) * settings.retry_ratio + (now - self._time) * settings.retry_rate
        self._tokens = min(settings.retry_burst, self._tokens + earned)
        self._answers, self._time = answers, now
        if self._tokens < 1:
            self.denied += 1
            return False
        self._tokens -= 1
        self.taken += 1
        return True

    def delay(self, attempt: int) -> float:
        """Seconds before the retry, counted from 0: any time up to a bound that doubles, so that those who failed
        together do not come back together."""
        settings = self._settings
        return random.uniform(0, min(settings.retry_longest, settings.retry_delay * 2**attempt))  # noqa: S311 - jitter
