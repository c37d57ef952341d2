"""What the in-process tier keeps for one key."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

V = TypeVar("V")


class CachedEntry(Struct, Generic[V], eq=False, weakref=True):
    """One key's value as it was loaded. `value` is `None` where the authority said that there is none.

    Times are on the cache's monotonic clock. Whoever holds an entry may go on using it without a look-up for as long
    as `now < entry.fresh_until and entry.epoch == cache.epoch`: an invalidation reaches the entry itself, in the
    tier or out of it, and a drop of the whole tier moves the cache's epoch.
    """

    value: V | None
    weight: int
    """Bytes, its key included."""
    epoch: int
    fresh_until: float
    stale_until: float
    """Until then the value may stand in for an authority that does not answer."""
    source: str = "authority"
    """`redis` or `authority`: who said so."""

    def kill(self) -> None:
        """Nobody who holds this may use it again, not even in place of an authority that is gone."""
        self.fresh_until = self.stale_until = 0.0
