"""Contract suites of the cache: for an in-process tier of your own, and for the two tiers together."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from coffee_core.cache.lifetimes import Clock, Lifetimes
from coffee_core.cache.local import LocalCache
from coffee_core.cache.two_tier import TwoTierCache
from coffee_core.domain.errors import UnavailableError


class Thing:
    """Something to store."""

    def __init__(self, name: str, weight: int = 100) -> None:
        self.name = name
        self.weight = weight


class LocalCacheContract:
    """Subclass it, say how yours is made, and pytest holds it to the port's promises."""

    def make(self, max_bytes: int) -> LocalCache[Thing]:
        """A fresh one with this bound."""
        raise NotImplementedError

    def test_what_was_stored_last_is_found(self) -> None:
        cache = self.make(10_000)
        cache.set("a", Thing("old"))
        new = Thing("new")
        cache.set("a", new)
        assert cache.get("a") is new
        assert cache.get("b") is None

    def test_what_was_removed_is_gone_at_once(self) -> None:
        cache = self.make(10_000)
        for name in "ab":
            cache.set(name, Thing(name))
        cache.remove("a")
        cache.remove("never there")
        assert cache.get("a") is None
        assert cache.get("b") is not None

    def test_what_was_cleared_is_gone_at_once_and_can_be_stored_again(self) -> None:
        cache = self.make(10_000)
        for name in "ab":
            cache.set(name, Thing(name))
        cache.clear()
        assert cache.get("a") is None
        assert cache.get("b") is None
        again = Thing("again")
        cache.set("a", again)
        assert cache.get("a") is again

    def test_the_bound_is_in_bytes(self) -> None:
        cache = self.make(10_000)
        for n in range(1_000):
            cache.set(f"key{n}", Thing("x", 100))
        assert 0 < cache.weight() <= 10_000

    def test_what_is_larger_than_the_bound_is_not_stored_and_leaves_no_older_value(self) -> None:
        cache = self.make(1_000)
        cache.set("a", Thing("small", 10))
        cache.set("a", Thing("huge", 1_001))
        assert cache.get("a") is None
        assert cache.weight() <= 1_000


class Fact(NamedTuple):
    """A value with an end of its own."""

    text: str
    until: float | None = None


class Authority:
    """A small true source: facts in a dictionary, loads counted; it can be slow (`gate`) or gone (`down`)."""

    def __init__(self) -> None:
        self.prefix = f"test:{secrets.token_hex(6)}:"
        self.facts: dict[str, Fact] = {}
        self.loads: Counter[str] = Counter()
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.reading = asyncio.Event()

    def key(self, name: str) -> str:
        """Unique to this authority, so that tests may share a Redis."""
        return self.prefix + name

    async def load(self, key: str) -> Fact | None:
        """The fact as it was when the load began."""
        self.loads[key] += 1
        if self.down:
            raise UnavailableError("the authority is down")
        fact = self.facts.get(key)
        self.reading.set()
        await self.gate.wait()
        return fact

    def encode(self, value: Fact) -> bytes:
        """JSON."""
        return json.dumps(value).encode()

    def decode(self, raw: bytes) -> Fact:
        """From JSON."""
        text, until = json.loads(raw)
        return Fact(text, until)

    def expires(self, value: Fact) -> float | None:
        """Its own end."""
        return value.until


class TestClock:
    """Both clocks, moved by hand."""

    __test__ = False

    def __init__(self) -> None:
        self.ahead = 0.0
        self.clock = Clock(
            monotonic=lambda: time.monotonic() + self.ahead,
            wall=lambda: time.time() + self.ahead,
        )


SETTINGS = Lifetimes(fresh=60, negative=30, remote=300, stale=600, doubt=2, jitter=0, lock_wait=5, load_timeout=5)


class TwoTierContract:
    """Held against the cache on a real Redis; `open` gives a new process's cache on the same Redis."""

    def open(
        self, authority: Authority, clock: Clock, lifetimes: Lifetimes = SETTINGS
    ) -> AbstractAsyncContextManager[TwoTierCache[Fact]]:
        """A cache whose push link is sound."""
        raise NotImplementedError

    async def change(self, key: str) -> None:
        """What the authority does after its commit: delete the key in Redis and push it."""
        raise NotImplementedError

    async def test_a_value_is_loaded_once_and_then_found_in_process(self) -> None:
        authority = Authority()
        key = authority.key("a")
        authority.facts[key] = Fact("yes")
        async with self.open(authority, Clock()) as cache:
            assert cache.peek(key) is None
            assert [await cache.get(key) for _ in range(3)] == [Fact("yes")] * 3
            entry = cache.peek(key)
            assert entry is not None
            assert entry.value == Fact("yes")
        assert authority.loads[key] == 1

    async def test_what_one_process_loaded_another_finds_in_redis(self) -> None:
        authority = Authority()
        key = authority.key("a")
        authority.facts[key] = Fact("yes")
        async with self.open(authority, Clock()) as one, self.open(authority, Clock()) as other:
            await one.get(key)
            assert await other.get(key) == Fact("yes")
        assert authority.loads[key] == 1

    async def test_what_does_not_exist_is_remembered_for_a_while(self) -> None:
        authority, hand = Authority(), TestClock()
        key = authority.key("a")
        async with self.open(authority, hand.clock) as cache:
            assert await cache.get(key) is None
            assert await cache.get(key) is None
            assert authority.loads[key] == 1
            authority.facts[key] = Fact("yes")
            await self.change(key)
            await until(lambda: cache.peek(key) is None)
            assert await cache.get(key) == Fact("yes")

    async def test_many_waiters_in_two_processes_cause_one_load(self) -> None:
        authority = Authority()
        key = authority.key("a")
        authority.facts[key] = Fact("yes")
        authority.gate.clear()
        async with self.open(authority, Clock()) as one, self.open(authority, Clock()) as other:
            waiting = [asyncio.ensure_future(cache.get(key)) for cache in (one, other) for _ in range(250)]
            await asyncio.wait_for(authority.reading.wait(), 5)
            authority.gate.set()
            assert set(await asyncio.gather(*waiting)) == {Fact("yes")}
        assert authority.loads[key] == 1

    async def test_a_cancelled_waiter_does_not_cancel_the_load_of_the_others(self) -> None:
        authority = Authority()
        key = authority.key("a")
        authority.facts[key] = Fact("yes")
        authority.gate.clear()
        async with self.open(authority, Clock()) as cache:
            first = asyncio.ensure_future(cache.get(key))
            second = asyncio.ensure_future(cache.get(key))
            await asyncio.wait_for(authority.reading.wait(), 5)
            first.cancel()
            authority.gate.set()
            assert await second == Fact("yes")
            assert first.cancelled()
        assert authority.loads[key] == 1

    async def test_a_change_reaches_every_process(self) -> None:
        authority = Authority()
        key = authority.key("a")
        authority.facts[key] = Fact("old")
        async with self.open(authority, Clock()) as one, self.open(authority, Clock()) as other:
            held = [await cache.entry(key) for cache in (one, other)]
            authority.facts[key] = Fact("new")
            await self.change(key)
            await until(lambda: one.peek(key) is None and other.peek(key) is None)
            assert all(entry.fresh_until == 0 for entry in held)
            assert [await cache.get(key) for cache in (one, other)] == [Fact("new")] * 2

    async def test_a_change_that_arrives_during_a_load_is_not_overwritten_by_it(self) -> None:
        authority = Authority()
        key = authority.key("a")
        authority.facts[key] = Fact("old")
        authority.gate.clear()
        async with self.open(authority, Clock()) as cache, self.open(authority, Clock()) as other:
            waiting = asyncio.ensure_future(cache.get(key))
            await asyncio.wait_for(authority.reading.wait(), 5)
            before = cache.stats.invalidations
            authority.facts[key] = Fact("new")
            await self.change(key)
            await until(lambda: cache.stats.invalidations > before)
            authority.gate.set()
            assert await waiting == Fact("new")
            assert await cache.get(key) == Fact("new")
            assert await other.get(key) == Fact("new")

    async def test_a_lifetime_ends(self) -> None:
        authority, hand = Authority(), TestClock()
        key = authority.key("a")
        authority.facts[key] = Fact("yes")
        async with self.open(authority, hand.clock) as cache:
            await cache.get(key)
            hand.ahead = SETTINGS.fresh + 1
            assert cache.peek(key) is None

    async def test_a_value_is_never_used_past_its_own_end(self) -> None:
        authority, hand = Authority(), TestClock()
        key = authority.key("a")
        authority.facts[key] = Fact("yes", until=hand.clock.wall() + 10)
        async with self.open(authority, hand.clock) as cache:
            await cache.get(key)
            hand.ahead = 10.5
            assert cache.peek(key) is None
            del authority.facts[key]
            assert await cache.get(key) is None

    async def test_an_authority_that_cannot_tell_is_an_error_and_not_a_no(self) -> None:
        authority = Authority()
        authority.down = True
        key = authority.key("a")
        async with self.open(authority, Clock()) as cache:
            for _ in range(2):
                try:
                    await cache.get(key)
                except UnavailableError:
                    continue
                raise AssertionError("an unknown key was answered")
            authority.down = False
            authority.facts[key] = Fact("yes")
            assert await cache.get(key) == Fact("yes")

    async def test_after_a_drop_nothing_in_process_is_fresh(self) -> None:
        authority = Authority()
        key = authority.key("a")
        authority.facts[key] = Fact("yes")
        async with self.open(authority, Clock()) as cache:
            await cache.get(key)
            cache.drop()
            assert cache.peek(key) is None
            assert await cache.get(key) == Fact("yes")


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until the condition holds; an AssertionError if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come true in time")
        await asyncio.sleep(0.002)
