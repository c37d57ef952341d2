"""Figures for the operators' page: what happened in each tick of the last minutes, over all workers.

Each worker adds up its own ticks and leaves them in a folder that all share; whoever is asked adds the files up. Ticks
are differences, so a worker that has gone still counts for the past; its present is forgotten once it is not renewed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from coffee_core.cache.stats import CacheStats
from gateway.data_plane.metrics import BOUNDS, Metrics

log: Final = logging.getLogger("gateway.operator")

TICK: Final = 2
"""Seconds of a tick; they are numbered by the clock, the same in all workers."""
KEPT: Final = 300
"""Ticks that are remembered: ten minutes."""
RECENT: Final = 30
"""Ticks that routes are told apart for: a minute."""
FRESH: Final = 8.0
"""Seconds after which a worker that does not renew its file has gone."""
LATE: Final = int(FRESH) // TICK
"""Ticks that a living worker may still add to after others have told of them."""
EARLY: Final = 0.05
"""Seconds by which a timer goes off early at most."""
TIERS: Final = ("hits", "remote_hits", "loads", "stale")

Numbers = dict[str, list[int]]


def following(now: float) -> tuple[int, float]:
    """The number of the tick that ends next, and the seconds until then. A timer may go off a little early: what ends
    within those moments has just been told of."""
    number = int(now + EARLY) // TICK + 1
    return number, number * TICK - now


class Tick(msgspec.Struct):
    """What happened in two seconds. Lists are added up place by place."""

    number: int
    statuses: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0, 0])
    """2xx and below, 3xx, 4xx, 5xx."""
    times: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """By time bucket."""
    caches: Numbers = {}
    """By cache: found in process, found in Redis, asked of identity, stood in although stale."""
    plans: Numbers = {}
    """By plan: requests, of them refused or failed."""
    routes: Numbers = {}
    """By route: requests, 4xx, 5xx, then by time bucket. Of the recent ticks alone."""


class Now(msgspec.Struct):
    """The present state of one worker."""

    pid: int
    at: float
    since: float
    clients: int
    link_in_doubt: bool | None
    """`None`: there is no push link."""
    lag: list[int]
    """How many canaries by bucket of time, since the start."""
    targets: list[dict[str, str | int | bool]]
    breakers: list[dict[str, str | int]]


class Told(msgspec.Struct):
    """A worker's file."""

    now: Now
    ticks: list[Tick]


class Figures:
    """Of one worker. `state` says its present, `caches` are its counters by name."""

    def __init__(
        self,
        folder: Path,
        metrics: Metrics,
        caches: Mapping[str, CacheStats],
        state: Callable[[], Now],
    ) -> None:
        self._file = folder / f"{os.getpid()}.figures"
        self._folder = folder
        self._metrics = metrics
        self._caches = caches
        self._state = state
        self._ticks: deque[Tick] = deque(maxlen=KEPT)
        self._before: dict[tuple[str, bytes, int], list[int]] = {}
        self._caches_before: dict[str, list[int]] = {}

    async def publish(self) -> None:
        """Until cancelled."""
        while True:
            number, wait = following(time.time())
            await asyncio.sleep(wait)
            try:
                self.tick(number)
            except OSError as error:
                log.error("figures are not shared: %s", error)  # noqa: TRY400 - the sentence says it all

    def tick(self, number: int) -> None:
        """Add up what happened since the last one, and leave it for the others."""
        tick = Tick(number)
        for (route, plan, status), series in self._metrics.series.items():
            counts = series.counts
            before = self._before.get((route, plan, status))
            new = counts if before is None else [now - then for now, then in zip(counts, before, strict=True)]
            if any(new):
                self._before[route, plan, status] = list(counts)
                _count(tick, route, plan.decode(), status, new)
        for name, stats in self._caches.items():
            values = [getattr(stats, tier) for tier in TIERS]
            then = self._caches_before.get(name, [0] * len(TIERS))
            tick.caches[name] = [max(0, a - b) for a, b in zip(values, then, strict=True)]
            self._caches_before[name] = values
        self._ticks.append(tick)
        if len(self._ticks) > RECENT:
            self._ticks[-RECENT - 1].routes = {}
        partial = self._file.with_suffix(".new")
        partial.write_bytes(msgspec.json.encode(Told(self._state(), list(self._ticks))))
        partial.replace(self._file)

    def all(self, since: int = 0) -> tuple[list[Tick], list[Now]]:
        """The ticks after `since`, added up over all workers, oldest first; and the present of those that live. The
        `LATE` ones up to `since` come again: a worker that was slower than the last answer has its part in them.
        """
        told = [told for path in sorted(self._folder.glob("*.figures")) if (told := _read(path)) is not None]
        ticks: dict[int, Tick] = {}
        newest = int(time.time()) // TICK
        for tick in (tick for one in told for tick in one.ticks if tick.number > max(since - LATE, newest - KEPT)):
            ticks[tick.number] = tick if tick.number not in ticks else _sum(ticks[tick.number], tick)
        living = [one.now for one in told if time.time() - one.now.at < FRESH]
        return [ticks[number] for number in sorted(ticks)], living


def _count(tick: Tick, route: str, plan: str, status: int, counts: Sequence[int]) -> None:
    number = sum(counts)
    tick.statuses[max(0, min(status // 100, 5) - 2)] += number
    tick.times = _plus(tick.times, counts)
    if plan:
        tick.plans[plan] = _plus(tick.plans.get(plan, [0, 0]), [number, number if status >= 400 else 0])
    kinds = [number, number if 400 <= status < 500 else 0, number if status >= 500 else 0]
    tick.routes[route] = _plus(tick.routes.get(route, [0] * (3 + len(counts))), [*kinds, *counts])


def _sum(one: Tick, other: Tick) -> Tick:
    return Tick(
        one.number,
        _plus(one.statuses, other.statuses),
        _plus(one.times, other.times),
        _merged(one.caches, other.caches),
        _merged(one.plans, other.plans),
        _merged(one.routes, other.routes),
    )


def _merged(one: Numbers, other: Numbers) -> Numbers:
    return {
        name: _plus(one[name], other[name]) if name in one and name in other else one.get(name) or other[name]
        for name in {**one, **other}
    }


def _plus(one: Iterable[int], other: Iterable[int]) -> list[int]:
    return [a + b for a, b in zip(one, other, strict=True)]


def _read(path: Path) -> Told | None:
    """What a worker left; one that is older than all ticks is taken away."""
    try:
        told = msgspec.json.decode(path.read_bytes(), type=Told)
    except (OSError, msgspec.MsgspecError):
        return None
    if time.time() - told.now.at > KEPT * TICK:
        path.unlink(missing_ok=True)
        return None
    return told
