"""Both limiters keep the port's promises and say the same; Redis gone is an answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffee_core.cache.redis_client import open_redis
from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.domain.errors import UnavailableError
from coffee_core.resilience.limiters.memory import MemoryLimiter
from coffee_core.resilience.limiters.policy import (
    Demand,
    Policy,
    RateLimiter,
    SlidingWindow,
    Standing,
    Taken,
    TokenBucket,
)
from coffee_core.resilience.limiters.redis import RedisLimiter
from coffee_core.testing.rate_limiter import HandClock, RateLimiterContract, a_key
from tests.support.cable import Cable


class TestMemoryLimiter(RateLimiterContract):
    def make(self, clock: Callable[[], float]) -> RateLimiter:
        return MemoryLimiter(clock=clock)


class TestRedisLimiter(RateLimiterContract):
    @pytest.fixture(autouse=True)
    def _use(self, scripts: RedisScripts) -> None:
        self.scripts = scripts

    def make(self, clock: Callable[[], float]) -> RateLimiter:
        return RedisLimiter(self.scripts, clock=clock)


class Careless:
    """Grants everything, and has no idea how much is left."""

    async def take(self, *demands: Demand) -> Taken:
        return Taken(True, tuple(Standing(True, -1, 0.0, 0.0) for _ in demands))


class BrokenContract(RateLimiterContract):
    def make(self, clock: Callable[[], float]) -> RateLimiter:
        return Careless()


@pytest.mark.parametrize("rule", [name for name in dir(RateLimiterContract) if name.startswith("test_")])
async def test_a_broken_limiter_fails_every_rule_of_the_suite(rule: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await getattr(BrokenContract(), rule)()


POLICIES: list[Policy] = [TokenBucket(per_second=0.5, burst=4), SlidingWindow(limit=5, seconds=20)]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.25, 1.0, 1.75, 5.0, 20.0, 61.0, -3.5, -500.0]),
        st.sampled_from([(0,), (1,), (0, 1)]),
        st.integers(0, 4),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=40, deadline=None)
async def test_redis_and_memory_say_the_same_whatever_the_clock_does(
    scripts: RedisScripts, steps: list[tuple[float, tuple[int, ...], int]]
) -> None:
    clock, key = HandClock(), a_key()
    near, far = MemoryLimiter(clock=clock), RedisLimiter(scripts, clock=clock)
    for passed, policies, cost in steps:
        clock.now += passed
        demands = [Demand(key, POLICIES[which], cost) for which in policies]
        assert await near.take(*demands) == await far.take(*demands)


async def test_processes_share_one_limit_on_the_servers_own_clock(redis_url: str) -> None:
    key = a_key()
    program = f"""
import asyncio
from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.resilience.limiters.policy import Demand, SlidingWindow
from coffee_core.resilience.limiters.redis import RedisLimiter

async def main():
    scripts = RedisScripts.open({redis_url!r}, timeout=30, max_connections=8)
    limiter = RedisLimiter(scripts)
    takes = (limiter.take(Demand({key!r}, SlidingWindow(30, 3600))) for _ in range(40))
    print(sum([taken.granted for taken in await asyncio.gather(*takes)]))
    await scripts.close()

asyncio.run(main())
"""
    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    said = [await each.communicate() for each in started]
    assert sum(int(out) for out, _ in said) == 30


async def test_what_is_stored_goes_by_itself(scripts: RedisScripts) -> None:
    limiter, key = RedisLimiter(scripts), a_key()
    await limiter.take(Demand(key, TokenBucket(per_second=1, burst=5)), Demand(key, SlidingWindow(5, 60)))
    left = [await scripts.redis.pttl(f"limit:{kind}:{key}") for kind in "bw"]
    assert 0 < left[0] <= 1000
    assert 0 < left[1] <= 63_000


async def test_while_redis_is_gone_the_fallback_decides_and_without_one_nobody_does(redis_url: str) -> None:
    async with Cable(redis_url) as cable, open_redis(cable.url, timeout=0.2, max_connections=2) as redis:
        scripts = RedisScripts(redis, timeout=0.2, pause=60, pause_after=1)
        demand = Demand(a_key(), SlidingWindow(limit=1, seconds=60))
        strict = RedisLimiter(scripts)
        kind = RedisLimiter(scripts, fallback=MemoryLimiter())
        assert (await strict.take(demand)).granted
        await cable.cut()
        with pytest.raises(UnavailableError, match="cannot be looked up"):
            await strict.take(demand)
        assert [(await kind.take(demand)).granted for _ in range(2)] == [True, False]
        assert kind.fallbacks == 2


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda: TokenBucket(per_second=0, burst=1), id="a bucket that never fills"),
        pytest.param(lambda: TokenBucket(per_second=1, burst=0), id="a bucket without room"),
        pytest.param(lambda: SlidingWindow(limit=0, seconds=1), id="a window without room"),
        pytest.param(lambda: SlidingWindow(limit=1, seconds=0), id="a window without length"),
        pytest.param(lambda: Demand("k", TokenBucket(1, 5), cost=6), id="a cost that can never be met"),
        pytest.param(lambda: Demand("k", TokenBucket(1, 5), cost=-1), id="a cost that gives"),
    ],
)
def test_what_can_never_be_is_refused_when_it_is_written(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"not|never"):
        wrong()


async def test_the_keys_that_were_asked_for_least_recently_go_first() -> None:
    limiter, policy = MemoryLimiter(max_keys=2, clock=HandClock()), SlidingWindow(limit=1, seconds=60)
    await limiter.take(Demand("a", policy))
    await limiter.take(Demand("b", policy))
    await limiter.take(Demand("a", policy, cost=0))
    await limiter.take(Demand("c", policy))
    assert not (await limiter.take(Demand("a", policy))).granted
    assert (await limiter.take(Demand("b", policy))).granted
