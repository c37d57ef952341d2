"""The two tiers on a real Redis keep their promises; one with each promise broken is noticed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from coffee_core.cache.announce import invalidate
from coffee_core.cache.entry import CachedEntry
from coffee_core.cache.lifetimes import Clock, Lifetimes
from coffee_core.cache.redis_client import open_redis
from coffee_core.cache.two_tier import TwoTierCache
from coffee_core.domain.errors import UnavailableError
from coffee_core.testing.cache import SETTINGS, Authority, Fact, TwoTierContract
from tests.coffee_core.cache.rig import Process


class OnRedis(TwoTierContract):
    process: ClassVar[type[Process]] = Process
    url: ClassVar[str]

    @asynccontextmanager
    async def open(
        self, authority: Authority, clock: Clock, lifetimes: Lifetimes = SETTINGS
    ) -> AsyncIterator[TwoTierCache[Fact]]:
        async with self.process.run(self.url, authority, clock, lifetimes) as process:
            yield process.cache

    async def change(self, key: str) -> None:
        redis = open_redis(self.url, timeout=1, max_connections=1)
        try:
            await invalidate(redis, key)
        finally:
            await redis.aclose()


class TestTwoTierCache(OnRedis):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        type(self).url = redis_url


class Deaf(TwoTierCache[Fact]):
    """Hears no invalidation and no drop."""

    def invalidate(self, key: str) -> None:
        self.stats.invalidations += 1

    def drop(self) -> None:
        pass


class Eager(TwoTierCache[Fact]):
    """Every caller loads for himself, and everything is fresh for ever."""

    async def entry(self, key: str) -> CachedEntry[Fact]:
        value = await self._source.load(key)
        return CachedEntry(value, weight=1, epoch=0, fresh_until=float("inf"), stale_until=float("inf"))


class Gullible(TwoTierCache[Fact]):
    """Takes silence for a no, and knows no lifetime."""

    async def entry(self, key: str) -> CachedEntry[Fact]:
        try:
            entry = await super().entry(key)
        except UnavailableError:
            entry = CachedEntry(None, weight=1, epoch=0, fresh_until=0, stale_until=0)
        entry.fresh_until = float("inf")
        return entry


CAUGHT = {
    Deaf: {
        "test_what_does_not_exist_is_remembered_for_a_while",
        "test_a_change_reaches_every_process",
        "test_a_change_that_arrives_during_a_load_is_not_overwritten_by_it",
        "test_after_a_drop_nothing_in_process_is_fresh",
    },
    Eager: {
        "test_a_value_is_loaded_once_and_then_found_in_process",
        "test_what_one_process_loaded_another_finds_in_redis",
        "test_what_does_not_exist_is_remembered_for_a_while",
        "test_many_waiters_in_two_processes_cause_one_load",
        "test_a_cancelled_waiter_does_not_cancel_the_load_of_the_others",
    },
    Gullible: {
        "test_a_lifetime_ends",
        "test_a_value_is_never_used_past_its_own_end",
        "test_an_authority_that_cannot_tell_is_an_error_and_not_a_no",
    },
}


def test_every_rule_of_the_suite_is_broken_by_somebody() -> None:
    rules = {name for name in dir(TwoTierContract) if name.startswith("test_")}
    assert rules == set().union(*CAUGHT.values())


@pytest.mark.parametrize(
    ("kind", "rule"), [pytest.param(k, r, id=f"{k.__name__}-{r}") for k, rules in CAUGHT.items() for r in sorted(rules)]
)
async def test_a_broken_cache_is_caught(kind: type[TwoTierCache[Fact]], rule: str, redis_url: str) -> None:
    class BrokenProcess(Process):
        pass

    BrokenProcess.kind = kind

    class Broken(OnRedis):
        process = BrokenProcess
        url = redis_url

    with pytest.raises(AssertionError):
        await getattr(Broken(), rule)()
