"""What the in-process tier keeps for one key."""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")


class CachedEntry(Generic[V]):
    """One key's value as it was loaded. `value` is `None` where the authority said that there is none.

    Times are on the cache's monotonic clock. Whoever holds an entry may go on using it without a look-up for as long
    as `now < entry.fresh_until and entry.epoch == cache.epoch`: an invalidation reaches the entry itself, in the
    tier or out of it, and a drop of the whole tier moves the cache's epoch.
    """

    __slots__ = ("__weakref__", "epoch", "fresh_until", "source", "stale_until", "value", "weight")

    def __init__(  # noqa: PLR0917 - by place, because one is made for every session that is met
        self,
        value: V | None,
        weight: int,
        epoch: int,
        fresh_until: float,
        stale_until: float,
        source: str = "authority",
    ) -> None:
        self.value = value
        self.source = source
        """`redis` or `authority`: who said so."""
        self.weight = weight
        self.epoch = epoch
        self.fresh_until = fresh_until
        self.stale_until = stale_until
        """Until then the value may stand in for an authority that does not answer."""

    def kill(self) -> None:
        """Nobody who holds this may use it again, not even in place of an authority that is gone."""
        self.fresh_until = self.stale_until = 0.0
