"""What was added is never "certainly not", and strangers are "perhaps" no more often than was asked for."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.domain.errors import UnavailableError
from coffee_core.resilience.bloom import BloomFilter, BloomSize, RedisBloom
from tests.support.cable import Cable

SIZES = st.builds(BloomSize, capacity=st.integers(1, 300), error_rate=st.sampled_from([0.5, 0.1, 0.01, 0.0001]))
ITEMS = st.lists(st.one_of(st.text(max_size=20), st.binary(max_size=20)), max_size=50)


def shared(scripts: RedisScripts, size: BloomSize) -> RedisBloom:
    return RedisBloom(scripts, uuid.uuid4().hex, size)


@given(SIZES, ITEMS)
def test_nothing_that_was_added_is_ever_denied(size: BloomSize, items: list[str | bytes]) -> None:
    bloom = BloomFilter(size)
    for item in items:
        bloom.add(item)
    assert all(item in bloom for item in items)
    again = BloomFilter(size, bytes(bloom))
    assert all(item in again for item in items)


@given(SIZES, ITEMS)
@settings(max_examples=25, deadline=None)
async def test_in_redis_the_same_bits_are_set(scripts: RedisScripts, size: BloomSize, items: list[str | bytes]) -> None:
    far, near = shared(scripts, size), BloomFilter(size)
    assert await far.add_all(items) == [near.add(item) for item in items]
    assert all(await far.contains_all(items))
    assert bytes(await far.load()) == bytes(near)
    await far.clear()
    assert not any(await far.contains_all(items))


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_at_its_capacity_it_errs_as_often_as_was_asked_for(rate: float) -> None:
    size = BloomSize(capacity=5_000, error_rate=rate)
    bloom = BloomFilter(size)
    for n in range(size.capacity):
        bloom.add(f"item {n}")
    wrong = sum(f"stranger {n}" in bloom for n in range(40_000))
    assert wrong <= 40_000 * rate * 1.3  # the hash is fixed: this is no matter of luck
    assert abs(bloom.count() - size.capacity) < size.capacity * 0.03


def test_a_million_items_at_one_percent_take_a_megabyte_and_a_fifth() -> None:
    size = BloomSize(capacity=1_000_000, error_rate=0.01)
    assert (size.bits // 8, size.hashes) == (1_198_133, 7)


async def test_many_items_are_asked_for_in_parts(scripts: RedisScripts) -> None:
    bloom = shared(scripts, BloomSize(capacity=2_000))
    await bloom.add_all([str(n) for n in range(0, 1_000, 2)])
    found = await bloom.contains_all([str(n) for n in range(1_000)])
    assert all(found[::2])
    assert sum(found[1::2]) < 20


async def test_while_redis_is_silent_everything_is_perhaps_and_nothing_is_added(redis_url: str) -> None:
    async with Cable(redis_url) as cable:
        scripts = RedisScripts.open(cable.url, timeout=0.2, max_connections=2)
        bloom = shared(scripts, BloomSize(capacity=100))
        assert not await bloom.contains("a")
        await cable.cut()
        assert await bloom.contains("a")
        assert bloom.unanswered == 1
        for doing in (bloom.add("a"), bloom.load(), bloom.clear()):
            with pytest.raises(UnavailableError):
                await doing
        await scripts.close()


@pytest.mark.parametrize(
    ("capacity", "rate", "why"),
    [(0, 0.01, "at least one"), (10, 0.0, "between 0 and 1"), (10, 1.0, "between"), (10**9, 1e-3, "use several")],
)
def test_a_filter_that_cannot_be_is_refused(capacity: int, rate: float, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        BloomSize(capacity=capacity, error_rate=rate)
