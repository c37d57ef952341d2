"""One quota's count for one caller, in this process: the same arithmetic as the script of `ledger`, in Python."""

from __future__ import annotations

from typing import NamedTuple

from gateway.verdict.quota import Kind, Quota

AT_ONCE = 0.05
"""Part of what is left that one process may take ahead of its requests."""


class Grant(NamedTuple):
    """The answer to a claim."""

    tokens: int
    level: int
    """What is left for others."""
    wait: float
    """Seconds until it is worth asking again; 0 unless less was given than was needed."""


def granted(free: float, chunk: int, need: int, want: int) -> int:
    """How much of `free` a process gets that needs `need` now and would like `want`."""
    ahead = min(want, max(chunk, int(free * AT_ONCE)))
    return max(0, min(int(free), max(need, ahead)))


class Count:
    """What is left of a share of a quota. Times are in seconds on one clock, whichever it is."""

    __slots__ = ("_amount", "_at", "_before", "_chunk", "_here", "_kind", "_seconds")

    def __init__(self, quota: Quota, now: float, share: float = 1.0) -> None:
        self._kind = quota.kind
        self._amount = max(1.0, quota.amount * share)
        self._seconds = quota.seconds
        self._chunk = quota.chunk
        self._at = now if quota.kind is Kind.BUCKET else float(now // quota.seconds)
        self._here = self._amount if quota.kind is Kind.BUCKET else 0.0
        """The level of a bucket; what was taken in this window."""
        self._before = 0.0
        """What was taken in the window before."""

    def claim(self, need: int, want: int, now: float) -> Grant:
        """Tokens, as many as there are."""
        return (self._bucket if self._kind is Kind.BUCKET else self._window)(need, want, now)

    def _bucket(self, need: int, want: int, now: float) -> Grant:
        rate = self._amount / self._seconds
        free = min(self._amount, self._here + max(0.0, now - self._at) * rate)
        tokens = granted(free, self._chunk, need, want)
        self._here, self._at = free - tokens, now
        wait = (min(self._chunk, self._amount) - self._here) / rate if tokens < need else 0.0
        return Grant(tokens, int(self._here), max(0.0, wait))

    def _window(self, need: int, want: int, now: float) -> Grant:
        amount, index = self._amount, max(now // self._seconds, self._at)
        if index > self._at:
            self._before = self._here if index == self._at + 1 else 0.0
            self._here, self._at = 0.0, index
        passed = min(1.0, max(0.0, now / self._seconds - index))
        free = amount - self._here - self._before * (1.0 - passed)
        tokens = granted(free, self._chunk, need, want)
        self._here += tokens
        wait = 0.0
        if tokens < need:
            if self._here + 1 <= amount and self._before > 0:
                wait = 1.0 - (amount - self._here - 1) / self._before - passed
            else:
                wait = 1.0 - passed + max(0.0, 1.0 - (amount - 1) / self._here)
        return Grant(tokens, max(0, int(free - tokens)), max(0.0, wait * self._seconds))
