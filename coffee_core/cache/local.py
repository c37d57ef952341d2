"""The in-process tier: a map bounded in bytes that keeps what is used often."""

from __future__ import annotations

from typing import Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

import cachetools
import moka_py


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


class MokaCache(Generic[W]):
    """W-TinyLFU by moka: a scan of keys that are used once does not push out the ones that are used often."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._moka: moka_py.Moka[Key, W] = moka_py.Moka(max_bytes, weigher=_weight)
        self.get = self._moka.get  # bound once: this is the hot path, and a wrapper would double its cost

    def set(self, key: Key, value: W) -> None:
        """Store it; moka may decide that its older keys are worth more."""
        if value.weight > self.max_bytes:
            self._moka.remove(key)
            return
        self._moka.set(key, value)

    def remove(self, key: Key) -> None:
        """Gone at once."""
        self._moka.remove(key)

    def clear(self) -> None:
        """All gone at once."""
        self._moka.clear()

    def weight(self) -> int:
        """Bytes held now, after the evictions that are due."""
        self._moka.run_pending_tasks()
        return self._moka.weighted_size()


def _weight(_key: Key, value: Weighted) -> int:
    return value.weight


class PurePythonCache(Generic[W]):
    """Least recently used, by cachetools: for platforms that moka has no wheel for."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lru: cachetools.LRUCache[Key, W] = cachetools.LRUCache(max_bytes, getsizeof=_size)

    def get(self, key: Key) -> W | None:
        """What was stored last, or `None`."""
        return self._lru.get(key)

    def set(self, key: Key, value: W) -> None:
        """Store it; the least recently used go."""
        if value.weight > self.max_bytes:
            self._lru.pop(key, None)
            return
        self._lru[key] = value

    def remove(self, key: Key) -> None:
        """Gone at once."""
        self._lru.pop(key, None)

    def clear(self) -> None:
        """All gone at once."""
        self._lru.clear()

    def weight(self) -> int:
        """Bytes held now."""
        return int(self._lru.currsize)


def _size(value: Weighted) -> int:
    return value.weight
