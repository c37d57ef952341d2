"""Contract suite of a rate limiter: subclass it, say how yours is made, and pytest holds it to the port's promises."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest

from coffee_core.resilience.limiters.policy import Demand, RateLimiter, SlidingWindow, TokenBucket


class HandClock:
    """Seconds that only a test moves."""

    def __init__(self, now: float = 1_000_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def a_key() -> str:
    """A key that nobody else uses."""
    return f"contract-{uuid.uuid4().hex}"


class RateLimiterContract:
    """`make` gets the clock that the limiter is to follow, in seconds; it may start anywhere and step both ways."""

    def make(self, clock: Callable[[], float]) -> RateLimiter:
        """A limiter, which other tests may share the store of."""
        raise NotImplementedError

    async def test_a_bucket_grants_its_burst_at_once_and_then_its_rate(self) -> None:
        clock = HandClock()
        limiter, demand = self.make(clock), Demand(a_key(), TokenBucket(per_second=2, burst=3))
        left = [(await limiter.take(demand)).standings[0].remaining for _ in range(3)]
        refused = await limiter.take(demand)
        assert left == [2, 1, 0]
        assert not refused.granted
        assert refused.retry_after == pytest.approx(0.5)
        clock.now += refused.retry_after
        assert (await limiter.take(demand)).granted
        assert not (await limiter.take(demand)).granted
        clock.now += 3600
        full = (await limiter.take(demand)).standings[0]
        assert full.remaining == 2
        assert full.reset_after == pytest.approx(0.5)

    async def test_a_window_never_grants_more_than_its_limit_wherever_it_begins(self) -> None:
        clock = HandClock()
        limiter, demand = self.make(clock), Demand(a_key(), SlidingWindow(limit=5, seconds=20))
        granted: list[float] = []
        for _ in range(200):
            taken = await limiter.take(demand)
            if taken.granted:
                granted.append(clock.now)
            assert taken.standings[0].remaining >= 0
            clock.now += 0.7
        assert all(later - earlier >= 20 for earlier, later in zip(granted, granted[5:], strict=False))
        assert len(granted) >= 5 * int(200 * 0.7 / 21 - 1)  # and what was taken comes back

    async def test_a_window_says_when_it_may_grant_again_and_when_it_is_empty(self) -> None:
        clock = HandClock()
        limiter, demand = self.make(clock), Demand(a_key(), SlidingWindow(limit=2, seconds=20))
        await limiter.take(demand)
        clock.now += 10
        await limiter.take(demand)
        refused = await limiter.take(demand)
        assert not refused.granted
        assert 10 <= refused.retry_after <= 11
        assert 20 <= refused.standings[0].reset_after <= 21
        clock.now += refused.retry_after
        assert (await limiter.take(demand)).granted

    async def test_all_demands_are_granted_or_none_is(self) -> None:
        clock = HandClock()
        limiter, key = self.make(clock), a_key()
        wide = Demand(key, TokenBucket(per_second=1, burst=10))
        narrow = Demand(key, SlidingWindow(limit=1, seconds=60))
        assert (await limiter.take(wide, narrow)).granted
        refused = await limiter.take(wide, narrow)
        assert not refused.granted
        assert [standing.granted for standing in refused.standings] == [True, False]
        assert [standing.remaining for standing in refused.standings] == [9, 0]
        assert refused.retry_after == refused.standings[1].retry_after > 0
        assert (await limiter.take(wide)).standings[0].remaining == 8  # the refusal took nothing

    async def test_a_cost_of_nothing_looks_and_takes_nothing(self) -> None:
        limiter, key = self.make(HandClock()), a_key()
        for policy in (TokenBucket(per_second=1, burst=4), SlidingWindow(limit=4, seconds=60)):
            await limiter.take(Demand(key, policy, cost=3))
            for _ in range(2):
                look = await limiter.take(Demand(key, policy, cost=0))
                assert (look.granted, look.standings[0].remaining) == (True, 1)
            assert not (await limiter.take(Demand(key, policy, cost=2))).granted

    async def test_keys_are_apart(self) -> None:
        limiter, policy = self.make(HandClock()), SlidingWindow(limit=1, seconds=60)
        one, other = Demand(a_key(), policy), Demand(a_key(), policy)
        assert [(await limiter.take(each)).granted for each in (one, one, other)] == [True, False, True]

    async def test_one_call_does_not_ask_twice_for_one_thing(self) -> None:
        demand = Demand(a_key(), TokenBucket(per_second=1, burst=10))
        with pytest.raises(ValueError, match="twice"):
            await self.make(HandClock()).take(demand, demand)

    async def test_calls_at_once_never_get_more_than_the_limit(self) -> None:
        limiter, key = self.make(HandClock()), a_key()
        for policy in (TokenBucket(per_second=0.001, burst=25), SlidingWindow(limit=25, seconds=3600)):
            taken = await asyncio.gather(*(limiter.take(Demand(key, policy)) for _ in range(100)))
            assert sum(each.granted for each in taken) == 25

    async def test_a_clock_that_is_set_back_costs_no_more_than_the_wait_from_empty_to_full(self) -> None:
        clock = HandClock()
        limiter, key = self.make(clock), a_key()
        for policy in (TokenBucket(per_second=0.1, burst=2), SlidingWindow(limit=2, seconds=20)):
            demand = Demand(key, policy, cost=2)
            assert (await limiter.take(demand)).granted
            clock.now -= 3600
            refused = await limiter.take(demand)
            assert not refused.granted
            assert refused.retry_after <= 21
            clock.now += 21
            assert (await limiter.take(demand)).granted

    async def test_a_clock_that_is_set_forward_gives_no_more_than_all_of_it_once(self) -> None:
        clock = HandClock()
        limiter, key = self.make(clock), a_key()
        for policy in (TokenBucket(per_second=0.1, burst=2), SlidingWindow(limit=2, seconds=20)):
            assert (await limiter.take(Demand(key, policy, cost=2))).granted
            clock.now += 3600
            assert (await limiter.take(Demand(key, policy, cost=2))).granted
            assert not (await limiter.take(Demand(key, policy))).granted
