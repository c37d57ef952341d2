"""Caches as a module author has them: typed values, one name each, gone everywhere when forgotten."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import BaseModel, SecretStr

from coffee_core.cache.caches import Cache, Caches
from coffee_core.cache.settings import CacheSettings
from coffee_core.rest.container import Container
from coffee_core.stores.memory.store import MemoryStore
from coffee_core.testing.cache import until
from tests.coffee_core.rest.sample import KeptEvents


class Rate(BaseModel):
    currency: str
    cents: int


class Book:
    """Where rates come from."""

    def __init__(self) -> None:
        self.cents = {"EUR": 100}
        self.asked: Counter[str] = Counter()

    async def read(self, key: str) -> Rate | None:
        self.asked[key] += 1
        await asyncio.sleep(0)
        cents = self.cents.get(key)
        return None if cents is None else Rate(currency=key, cents=cents)


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[list[Caches]]:
    """Two processes' worth."""
    settings = CacheSettings(COFFEE_REDIS_URL=SecretStr(redis_url), redis_timeout_seconds=5)  # type: ignore[call-arg]
    made = [Caches(settings) for _ in range(2)]
    yield made
    for caches in made:
        await caches.close()


def rates(caches: Caches, name: str, book: Book) -> Cache[Rate]:
    return caches.cache(name, Rate, book.read)


async def test_a_value_is_loaded_once_for_all_processes_and_comes_back_as_it_was(two: list[Caches], name: str) -> None:
    book = Book()
    here, there = (rates(caches, name, book) for caches in two)
    found = await asyncio.gather(*(each.get("EUR") for each in [here, there] * 10))
    assert set(map(repr, found)) == {repr(Rate(currency="EUR", cents=100))}
    assert [await each.get("XXX") for each in (here, there)] == [None, None]
    assert book.asked == {"EUR": 1, "XXX": 1}


async def test_what_is_forgotten_is_gone_in_every_process(two: list[Caches], name: str) -> None:
    book = Book()
    here, there = (rates(caches, name, book) for caches in two)
    for cache in (here, there):
        await cache.get("EUR")
    for caches in two:
        assert caches.link is not None
        link = caches.link
        await until(lambda link=link: not link.in_doubt)  # type: ignore[misc]
    await there.get("EUR")
    book.cents["EUR"] = 120
    await here.forget("EUR")
    await until(lambda: there.two_tier.stats.invalidations > 0)
    assert [await each.get("EUR") for each in (here, there)] == [Rate(currency="EUR", cents=120)] * 2


async def test_without_redis_each_process_caches_for_itself(name: str) -> None:
    caches, book = Caches(CacheSettings(COFFEE_REDIS_URL=None)), Book()  # type: ignore[call-arg]
    cache = rates(caches, name, book)
    for _ in range(3):
        assert await cache.get("EUR") == Rate(currency="EUR", cents=100)
    assert book.asked == {"EUR": 1}
    await cache.forget("EUR")
    await cache.get("EUR")
    assert book.asked == {"EUR": 2}
    await caches.close()


async def test_hit_ratios_are_metrics(name: str) -> None:
    caches, book = Caches(CacheSettings(COFFEE_REDIS_URL=None)), Book()  # type: ignore[call-arg]
    cache = rates(caches, name, book)
    registry = CollectorRegistry()
    registry.register(caches.collector())
    assert f'coffee_cache_hit_ratio{{cache="{name}"}} 0.0' in generate_latest(registry).decode()
    for _ in range(4):
        await cache.get("EUR")
    text = generate_latest(registry).decode()
    assert f'coffee_cache_hit_ratio{{cache="{name}"}} 0.75' in text
    assert f'coffee_cache_events_total{{cache="{name}",event="loads"}} 1.0' in text
    await caches.close()


async def test_names_are_apart_and_keys_are_bounded(name: str) -> None:
    caches = Caches(CacheSettings(COFFEE_REDIS_URL=None))  # type: ignore[call-arg]
    cache = rates(caches, name, Book())
    for wrong in (name, "a:b"):
        with pytest.raises(ValueError, match="a name of its own"):
            rates(caches, wrong, Book())
    with pytest.raises(ValueError, match="at most 512 bytes"):
        await cache.get("x" * 600)


async def test_a_module_takes_its_caches_from_the_container(name: str) -> None:
    container = Container(store=MemoryStore(), events=KeptEvents())
    container.configure(CacheSettings(COFFEE_REDIS_URL=None))  # type: ignore[call-arg]
    assert container.made_caches is None
    cache = rates(container.caches, name, Book())
    assert await cache.get("EUR") == Rate(currency="EUR", cents=100)
    assert container.made_caches is container.caches
    await container.close()
