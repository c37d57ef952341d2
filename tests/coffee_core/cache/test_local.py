"""Both in-process tiers keep the port's promises, and the suite notices one that does not."""

from __future__ import annotations

import pytest

from coffee_core.cache.local import LocalCache, MokaCache, PurePythonCache
from coffee_core.testing.cache import LocalCacheContract, Thing


class TestMokaCache(LocalCacheContract):
    def make(self, max_bytes: int) -> LocalCache[Thing]:
        return MokaCache[Thing](max_bytes)


class TestPurePythonCache(LocalCacheContract):
    def make(self, max_bytes: int) -> LocalCache[Thing]:
        return PurePythonCache[Thing](max_bytes)


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
    """The reason for TinyLFU: a partner who walks through all his users must not cost everyone else their session."""
    cache = MokaCache[Thing](100 * 100)
    hot = [f"hot{n}" for n in range(50)]
    for name in hot:
        cache.set(name, Thing(name))
    for round_ in range(100):
        for name in hot:
            cache.get(name)
        for n in range(100):
            cache.set(f"scan{round_}-{n}", Thing("x"))
    assert sum(cache.get(name) is not None for name in hot) > 40
