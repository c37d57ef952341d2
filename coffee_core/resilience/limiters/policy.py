"""What may be demanded how often, and what a limiter says to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

SLICES = 20
"""Parts of a sliding window that are counted apart."""


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`per_second` on average, `burst` at once. For a rate that may be uneven for a while."""

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if not (self.per_second > 0 and self.burst >= 1):
            raise ValueError(f"a token bucket has a rate above 0 and a burst of at least 1, not {self}")

    @property
    def most(self) -> int:
        """What can be granted at once."""
        return self.burst

    @property
    def seconds(self) -> float:
        """In which an empty bucket is full."""
        return self.burst / self.per_second


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """At most `limit` in any `seconds`, wherever they begin. For a promise or a contract.

    The window is counted in slices: never more than the limit is granted, and what was taken comes back up to a
    twentieth of the window late. A key costs a bounded number of counters, whatever the limit.
    """

    limit: int
    seconds: float

    def __post_init__(self) -> None:
        if not (self.limit >= 1 and self.seconds >= 0.001):
            raise ValueError(f"a window has a limit of at least 1 and at least a millisecond, not {self}")

    @property
    def most(self) -> int:
        """What can be granted at once."""
        return self.limit


Policy: TypeAlias = TokenBucket | SlidingWindow


@dataclass(frozen=True, slots=True)
class Demand:
    """`cost` units of what `key` may have by `policy`. The same key under a bucket and under a window are two."""

    key: str
    policy: Policy
    cost: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.cost <= self.policy.most:
            raise ValueError(f"a cost of {self.cost} can never be granted where at most {self.policy.most} are")


class Standing(NamedTuple):
    """How one demand stands after the answer."""

    granted: bool
    """By this limit; another may have refused."""
    remaining: int
    """Units that could be taken now."""
    retry_after: float
    """Seconds until the same cost may be granted; 0 if it was."""
    reset_after: float
    """Seconds until all of it is there again, if nothing is taken."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to all demands of one call."""

    granted: bool
    """By every limit; otherwise nothing was taken from any."""
    standings: tuple[Standing, ...]
    """In the order of the demands."""

    @property
    def retry_after(self) -> float:
        """Seconds until all may be granted; 0 if they were."""
        return max((standing.retry_after for standing in self.standings), default=0.0)


class RateLimiter(Protocol):
    """The port. `UnavailableError` where the limiter cannot tell and has nobody to ask instead."""

    async def take(self, *demands: Demand) -> Taken:
        """All or nothing. Two demands of one call must not share key and kind of policy (`ValueError`)."""
        ...


def check_apart(demands: tuple[Demand, ...]) -> None:
    """Raises `ValueError` where one call asks twice for one thing: the answer to one would not know of the other."""
    if len(demands) > 1 and len({(demand.key, type(demand.policy)) for demand in demands}) < len(demands):
        raise ValueError("one call demands the same key twice: add the costs up")
