"""The in-process tier: a map bounded in bytes that keeps what is used often."""

from __future__ import annotations

from array import array
from collections import deque
from typing import Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from msgspec import Struct


class Weighted(Protocol):
    """Knows how many bytes it takes, its key included."""

    @property
    def weight(self) -> int:
        """Bytes, at least 1, and the same for as long as it is stored."""
        ...


W = TypeVar("W", bound=Weighted)

Key: TypeAlias = str | bytes
"""One cache uses one of the two."""


@runtime_checkable
class LocalCache(Protocol[W]):
    """The port. All calls are synchronous, come from one thread and cost less than a microsecond or two.

    Lifetimes are the caller's: what is stored here may be dropped at any time, and is never changed. A weight above
    the bound is not stored (and what was stored under that key is gone).
    """

    def get(self, key: Key) -> W | None:
        """What was stored last under this key, or `None`."""
        ...

    def set(self, key: Key, value: W) -> None:
        """Store it; other keys may have to go."""
        ...

    def remove(self, key: Key) -> None:
        """Gone at once; an absent key is no error."""
        ...

    def clear(self) -> None:
        """All gone at once."""
        ...

    def weight(self) -> int:
        """Bytes held now."""
        ...


NEW_SHARE = 10
"""The part of the bound, one in so many, that is for keys which have not been asked for again."""
MOST_USES = 3
"""More of them do not keep a key longer."""
LOOKS = 64
"""Keys that one eviction spares at most, so that no call takes long: the next one goes, used or not."""
FEWEST = 1024
"""Hashes for which there is room."""
UNSWEPT = 100
"""Places of removed keys that may stand in the queues, beside as many as there are keys."""


class _Place(Struct, Generic[W], gc=False):
    """One key's. Of a removed key it stands in its queue, without a value, until its turn comes."""

    key: Key
    value: W | None
    weight: int
    uses: int = 0
    proven: bool = False
    """In which queue it stands."""


class QueueCache(Generic[W]):
    """S3-FIFO (Yang and others, 2023): a key that is met for the first time waits in a short queue, and unless it is
    asked for there, it goes; what was asked for moves to the long queue and stays while it is used. A key that comes
    back soon after it went goes to the long queue at once: of those the hash is remembered, of about as many as there
    are keys. So a scan of keys that are used once does not push out the ones that are used often.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._room_for_new = max_bytes // NEW_SHARE
        self.clear()

    def clear(self) -> None:
        """All gone at once."""
        self._places: dict[Key, _Place[W]] = {}
        self._new: deque[_Place[W]] = deque()
        self._proven: deque[_Place[W]] = deque()
        self._weight = self._new_weight = 0
        self._removed = 0
        """Places without a value."""
        self._gone = _marks(FEWEST)
        """The hashes of those that went from the short queue, each in the place that it says itself: a later one may
        have taken it. Grows with the number of keys."""

    def get(self, key: Key) -> W | None:
        """What was stored last, or `None`."""
        place = self._places.get(key)
        if place is None:
            return None
        if place.uses < MOST_USES:
            place.uses += 1
        return place.value

    def set(self, key: Key, value: W) -> None:
        """Store it; older keys may have to go."""
        weight, places = value.weight, self._places
        if key in places or weight > self.max_bytes:
            self._change(key, value, weight)
            return
        place = places[key] = _Place(key, value, weight)
        mark, gone = hash(key), self._gone
        at = mark % len(gone)
        if gone[at] == mark:
            gone[at] = 0
            place.proven = True
            self._proven.append(place)
        else:
            self._new.append(place)
            self._new_weight += weight
        self._weight = total = self._weight + weight
        if total > self.max_bytes:
            self._evict()

    def _change(self, key: Key, value: W, weight: int) -> None:
        """Of a key that is there, or has no room."""
        place = self._places.get(key)
        if place is None or weight > self.max_bytes:
            self.remove(key)
            return
        more = weight - place.weight
        place.value, place.weight = value, weight
        self._weight += more
        if not place.proven:
            self._new_weight += more
        if self._weight > self.max_bytes:
            self._evict()

    def remove(self, key: Key) -> None:
        """Gone at once."""
        place = self._places.pop(key, None)
        if place is None:
            return
        self._weight -= place.weight
        if not place.proven:
            self._new_weight -= place.weight
        place.key, place.value = "", None
        self._removed += 1
        if self._removed > len(self._places) + UNSWEPT:
            self._new = deque([place for place in self._new if place.value is not None])
            self._proven = deque([place for place in self._proven if place.value is not None])
            self._removed = 0

    def weight(self) -> int:
        """Bytes held now."""
        return self._weight

    def _evict(self) -> None:
        looks, places = LOOKS, self._places
        while self._weight > self.max_bytes:
            of_new = self._new_weight > self._room_for_new or not self._proven
            place = (self._new if of_new else self._proven).popleft()
            if place.value is None:
                self._removed -= 1
                continue
            weight = place.weight
            if of_new:
                self._new_weight -= weight
            if place.uses and looks:
                looks -= 1
                place.uses = 0 if of_new else place.uses - 1
                place.proven = True
                self._proven.append(place)
                continue
            del places[place.key]
            self._weight -= weight
            if of_new:
                mark, gone = hash(place.key), self._gone
                if len(gone) < len(places):
                    gone = self._gone = _marks(2 * len(places))
                gone[mark % len(gone)] = mark


def _marks(many: int) -> array[int]:
    return array("q", bytes(8 * many))
