"""One process's cache, built as a program builds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coffee_core.cache.lifetimes import Clock, Lifetimes
from coffee_core.cache.link import InvalidationLink
from coffee_core.cache.local import QueueCache
from coffee_core.cache.redis_client import open_redis
from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.cache.redis_tier import RedisTier
from coffee_core.cache.two_tier import TwoTierCache
from coffee_core.testing.cache import SETTINGS, Authority, Fact, until


class Process:
    """The parts, and the cache class to use."""

    kind = TwoTierCache

    def __init__(
        self, url: str, authority: Authority, clock: Clock | None = None, lifetimes: Lifetimes = SETTINGS
    ) -> None:
        self.remote = RedisTier(RedisScripts(open_redis(url, timeout=0.3, max_connections=8), timeout=0.3, pause=0.2))
        self.link = InvalidationLink(url, canary_every=0.05, doubt_after=0.3)
        self.cache: TwoTierCache[Fact] = self.kind(
            authority,
            QueueCache(1_000_000),
            remote=self.remote,
            link=self.link,
            lifetimes=lifetimes,
            clock=clock,
        )

    @classmethod
    @asynccontextmanager
    async def run(
        cls, url: str, authority: Authority, clock: Clock | None = None, lifetimes: Lifetimes = SETTINGS
    ) -> AsyncIterator[Process]:
        process = cls(url, authority, clock, lifetimes)
        process.link.start()
        try:
            await until(lambda: not process.link.in_doubt)
            yield process
        finally:
            await process.link.stop()
            await process.remote.close()
