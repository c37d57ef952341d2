"""The in-process tier of the cache: what a get costs, and how often it hits. `python -m tests.benchmarks.caches`.

The trace is made here: a million accesses, four fifths of them to a million keys by Zipf's law (0.9), and between them
runs of 2,000 keys that are asked for once. 50,000 keys have room.
"""

from __future__ import annotations

import random
import time
from itertools import accumulate
from typing import NamedTuple

from coffee_core.cache.local import LocalCache, QueueCache

ACCESSES, KEYS, ROOM = 1_000_000, 1_000_000, 50_000
POPULAR, SCANNED = 8_000, 2_000


class Counted(NamedTuple):
    """Takes one place."""

    weight: int


ONE = Counted(1)


def trace(accesses: int = ACCESSES, seed: int = 1) -> list[str]:
    """The keys, in the order in which they are asked for."""
    chance = random.Random(seed)
    keys = [f"session:{number:012d}" for number in range(KEYS)]
    chance.shuffle(keys)
    weights = list(accumulate((rank + 1) ** -0.9 for rank in range(KEYS)))
    asked: list[str] = []
    scan = 10 * KEYS
    while len(asked) < accesses:
        asked += chance.choices(keys, cum_weights=weights, k=POPULAR)
        asked += [f"session:{number:012d}" for number in range(scan, scan + SCANNED)]
        scan += SCANNED
    return asked[:accesses]


def zipf(exponent: float, accesses: int, keys: int, seed: int) -> list[str]:
    """A few keys are asked for often, most of them seldom."""
    chance = random.Random(seed)
    names = [f"{seed}:{number:012d}" for number in range(keys)]
    return chance.choices(
        names, cum_weights=list(accumulate((rank + 1) ** -exponent for rank in range(keys))), k=accesses
    )


def traces() -> dict[str, list[str]]:
    """That one, and others that a cache must not be bad at."""
    return {
        "Zipf 0.9 and scans": trace(),
        "Zipf 0.7": zipf(0.7, 600_000, KEYS, 2),
        "Zipf 1.1": zipf(1.1, 600_000, KEYS, 3),
        "other keys every 200,000": [key for seed in range(5) for key in zipf(1.0, 200_000, 300_000, 4 + seed)],
        "round and round 60,000": [f"{number % 60_000:012d}" for number in range(400_000)],
    }


def hit_ratio(cache: LocalCache[Counted], keys: list[str]) -> float:
    """A miss is filled, as a cache's user does it."""
    hits = 0
    for key in keys:
        if cache.get(key) is None:
            cache.set(key, ONE)
        else:
            hits += 1
    return hits / len(keys)


def get_ns(cache: LocalCache[Counted], rounds: int = 7) -> float:
    """CPU nanoseconds of a get that hits, the loop around it included; the best of some rounds."""
    keys = [f"session:{number:012d}" for number in range(10_000)]
    for key in keys:
        cache.set(key, ONE)
    there = [key for key in keys if cache.get(key) is not None]
    best = float("inf")
    get = cache.get
    for _ in range(rounds):
        begun = time.thread_time()
        for key in there:
            get(key)
        best = min(best, (time.thread_time() - begun) / len(there) * 1e9)
    return best


def main() -> None:
    print(f"get {get_ns(QueueCache(ROOM)):.0f} ns")
    for name, keys in traces().items():
        print(f"{name}: hit ratio {hit_ratio(QueueCache(ROOM), keys):.3f}", flush=True)


if __name__ == "__main__":
    main()
