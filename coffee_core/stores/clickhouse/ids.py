"""Ids for rows of a store that counts none: 63 bits, ascending within a process and, by their time, among processes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

EPOCH_MS = 1_577_836_800_000
"""2020-01-01. 41 bits of milliseconds last until 2089."""
RANDOM_BITS = 22


class Ids:
    """`next_id()`; two processes meet with a chance of one in four million for each pair in one millisecond."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._last = 0

    def next_id(self) -> int:
        """An id larger than the one before."""
        milliseconds = int(self._now() * 1000) - EPOCH_MS
        self._last = max(self._last + 1, (milliseconds << RANDOM_BITS) | secrets.randbits(RANDOM_BITS))
        return self._last
