"""Caches for module authors: one line makes one, and they share the process's Redis and push link.

rates = container.caches.cache("rates", Rate, load=read_rate)  # load(key) -> Rate | None
rate = await rates.get("EUR")
await rates.forget("EUR")  # after the commit: gone in every process
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from coffee_core.cache.announce import invalidate
from coffee_core.cache.entry import CachedEntry
from coffee_core.cache.lifetimes import Lifetimes
from coffee_core.cache.link import MAX_KEY, InvalidationLink
from coffee_core.cache.local import QueueCache
from coffee_core.cache.redis_client import AnyRedis
from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.cache.redis_tier import RedisTier
from coffee_core.cache.settings import CacheSettings
from coffee_core.cache.stats import CacheCollector, CacheStats
from coffee_core.cache.two_tier import TwoTierCache

V = TypeVar("V")


class Caches:
    """All caches of one process. Opens nothing until a cache is asked; `close` it in the end."""

    def __init__(self, settings: CacheSettings | None = None) -> None:
        self.settings = settings or CacheSettings()
        self.link: InvalidationLink | None = None
        self.redis: AnyRedis | None = None
        self._remote: RedisTier | None = None
        self._stats: dict[str, CacheStats] = {}
        url = self.settings.redis_url
        if url is not None:
            timeout, most = self.settings.redis_timeout_seconds, self.settings.redis_connections
            self._remote = RedisTier(RedisScripts.open(url.get_secret_value(), timeout=timeout, max_connections=most))
            self.redis = self._remote.redis
            self.link = InvalidationLink(url.get_secret_value())

    def cache(
        self,
        name: str,
        kind: type[V],
        load: Callable[[str], Awaitable[V | None]],
        *,
        expires: Callable[[V], float | None] | None = None,
        lifetimes: Lifetimes | None = None,
        max_bytes: int | None = None,
    ) -> Cache[V]:
        """A cache of values of `kind` (anything that pydantic writes and reads), by text keys.

        `load` asks the source: None is "there is none" and remembered briefly; it raises where it cannot tell. A key
        of what belongs to a partner holds the partner's id. `expires` is the end of a value (epoch seconds), past which
        it never stands in. `name` is the cache's in Redis and in the metrics.
        """
        if name in self._stats or ":" in name:
            raise ValueError(f"a cache has a name of its own without a colon, not {name!r}")
        settings = self.settings
        cache: TwoTierCache[V] = TwoTierCache(
            _Typed(len(name) + 1, kind, load, expires),
            QueueCache[CachedEntry[V]](max_bytes or settings.max_bytes),
            remote=self._remote,
            link=self.link,
            lifetimes=lifetimes
            or Lifetimes(
                fresh=settings.fresh_seconds,
                negative=settings.negative_seconds,
                doubt=settings.doubt_seconds,
                remote=settings.remote_seconds,
                stale=settings.stale_seconds,
                load_timeout=settings.load_seconds,
            ),
        )
        self._stats[name] = cache.stats
        return Cache(name, cache, self)

    def collector(self) -> CacheCollector:
        """Hit ratios and counts of all caches, for Prometheus."""
        return CacheCollector(self._stats.items(), self.link)

    async def close(self) -> None:
        """End the push link and all connections."""
        if self.link is not None:
            await self.link.stop()
        if self._remote is not None:
            await self._remote.close()


class Cache(Generic[V]):
    """One cache of a module. Made by `Caches.cache`."""

    def __init__(self, name: str, two_tier: TwoTierCache[V], caches: Caches) -> None:
        self.name = name
        self.two_tier = two_tier
        self._caches = caches
        self._begun = False

    async def get(self, key: str) -> V | None:
        """The value, or None where there is none; raises what the source raises when nobody can tell."""
        if not self._begun:
            self._begun = True
            if self._caches.link is not None:
                self._caches.link.start()
        return await self.two_tier.get(self._full(key))

    async def forget(self, *keys: str) -> None:
        """These have changed: gone here, in Redis and in every process. Call it after the commit
        (`current_work().after_commit(...)`). A Redis that fails raises: other processes may use what they have until
        its lifetime ends."""
        full = [self._full(key) for key in keys]
        for key in full:
            self.two_tier.invalidate(key)
        if self._caches.redis is not None:
            await invalidate(self._caches.redis, *full)

    def _full(self, key: str) -> str:
        full = f"{self.name}:{key}"
        if len(full.encode()) > MAX_KEY:
            raise ValueError(f"a key of the cache {self.name} has at most {MAX_KEY} bytes")
        return full


class _Typed(Generic[V]):
    """A `Source` made of a function and a type."""

    def __init__(
        self,
        skip: int,
        kind: type[V],
        load: Callable[[str], Awaitable[V | None]],
        expires: Callable[[V], float | None] | None,
    ) -> None:
        self._skip = skip
        self._type: TypeAdapter[V] = TypeAdapter(kind)
        self._load = load
        self._expires = expires

    async def load(self, key: str) -> V | None:
        return await self._load(key[self._skip :])

    def encode(self, value: V) -> bytes:
        return self._type.dump_json(value)

    def decode(self, raw: bytes) -> V:
        return self._type.validate_json(raw)  # ValidationError is a ValueError

    def expires(self, value: V) -> float | None:
        return None if self._expires is None else self._expires(value)
