"""The in-process tier keeps the port's promises, and the suite notices one that does not."""

from __future__ import annotations

import pytest

from coffee_core.cache.local import LOOKS, UNSWEPT, LocalCache, QueueCache
from coffee_core.testing.cache import LocalCacheContract, Thing


class TestQueueCache(LocalCacheContract):
    def make(self, max_bytes: int) -> LocalCache[Thing]:
        return QueueCache[Thing](max_bytes)


class Unbounded(dict[str, Thing]):
    """Breaks what it can: keeps the first value, knows no bound, forgets nothing."""

    def set(self, key: str, value: Thing) -> None:
        self.setdefault(key, value)

    def remove(self, key: str) -> None:
        pass

    def clear(self) -> None:
        pass

    def weight(self) -> int:
        return sum(thing.weight for thing in self.values())


class BrokenContract(LocalCacheContract):
    def make(self, max_bytes: int) -> LocalCache[Thing]:
        return Unbounded()


@pytest.mark.parametrize("rule", [name for name in dir(LocalCacheContract) if name.startswith("test_")])
def test_a_broken_tier_fails_every_rule_of_the_suite(rule: str) -> None:
    with pytest.raises(AssertionError):
        getattr(BrokenContract(), rule)()


def test_a_scan_does_not_push_out_what_is_used_often() -> None:
    """The reason for two queues: who walks through all his users must not cost everyone else their session."""
    cache = QueueCache[Thing](100 * 100)
    hot = [f"hot{n}" for n in range(50)]
    for name in hot:
        cache.set(name, Thing(name))
    for round_ in range(100):
        for name in hot:
            cache.get(name)
        for n in range(100):
            cache.set(f"scan{round_}-{n}", Thing("x"))
    assert sum(cache.get(name) is not None for name in hot) > 40


def test_a_key_that_comes_back_soon_after_it_went_is_kept_longer() -> None:
    cache = QueueCache[Thing](100 * 100)
    for n in range(150):
        cache.set(f"once{n}", Thing("x"))
    assert cache.get("once49") is None
    cache.set("once49", Thing("back"))
    for n in range(200):
        cache.set(f"others{n}", Thing("x"))
    assert cache.get("once49") is not None


def test_what_is_stored_anew_under_the_same_key_takes_one_place() -> None:
    cache = QueueCache[Thing](1_000)
    for weight in (100, 700, 300):
        cache.set("a", Thing("x", weight))
        assert cache.weight() == weight
    cache.set("b", Thing("x", 700))
    assert cache.get("a") is not None
    assert cache.weight() == 1_000


def test_removing_leaves_nothing_behind_however_often_it_happens() -> None:
    """The canary is planted and revoked several times a second in a cache that may never be full."""
    cache = QueueCache[Thing](100 * 100)
    cache.set("stays", Thing("stays"))
    for _ in range(10 * UNSWEPT):
        cache.set("canary", Thing("canary"))
        cache.remove("canary")
    assert cache.get("stays") is not None
    assert cache.weight() == 100
    assert len(cache._new) <= UNSWEPT + 3


def test_no_call_goes_through_all_keys_however_much_they_are_used() -> None:
    cache = QueueCache[Thing](100 * 1_000)
    for n in range(1_000):
        cache.set(f"hot{n}", Thing("x"))
        for _ in range(5):
            cache.get(f"hot{n}")
    for n in range(2_000):
        before = {key: (place.uses, place.proven) for key, place in cache._places.items()}
        cache.set(f"once{n}", Thing("x"))
        after = {key: (place.uses, place.proven) for key, place in cache._places.items()}
        assert sum(after.get(key, state) != state for key, state in before.items()) <= LOOKS
        assert cache.weight() <= 100 * 1_000
