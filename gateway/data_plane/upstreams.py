"""Upstream groups: a name, and the targets that serve it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

from coffee_core.resilience.breaker import Breaker, Clock
from coffee_core.wire.errors import WireError
from coffee_core.wire.outbox import Outbox
from gateway.data_plane.canary import Canary
from gateway.data_plane.health import HealthCheck
from gateway.data_plane.mirror import Mirror
from gateway.data_plane.pool import Pool
from gateway.data_plane.retries import RetryBudget
from gateway.data_plane.settings import DataPlaneSettings
from gateway.data_plane.targets import Target, read_target
from gateway.data_plane.upstream_side import UpstreamConnection

_random: Final = random.random  # a draw, no secret


class Upstream:
    """One group. Of two targets that are drawn, the one with less to do gets a request; one that failed repeatedly
    rests for a while."""

    def __init__(self, name: str, pools: Sequence[Pool], clock: Clock) -> None:
        settings = pools[0].settings
        self.name = name
        self.settings = settings
        self.breaker = Breaker(name, settings.breaker_policy, clock)
        self.canary: Canary | None = None
        self.mirror: Mirror | None = None
        self.retries = RetryBudget(settings, clock, self.breaker)
        self.pools = tuple(pools)
        self.authority = pools[0].target.authority
        self.version_and_host = b" HTTP/1.1\r\nhost: %b\r\n" % self.authority
        """Of a request, from the end of its target."""
        self.refused = 0
        """Requests that a bound on those under way did not let pass."""
        self.upgrades = settings.upgrades
        self.replay = settings.replay
        self.failure_statuses = settings.failure_statuses
        self._only = pools[0] if len(pools) == 1 else None
        self._wheel = _wheel(self.pools)
        self._draws = len(self._wheel) ** 2

    def take(self) -> UpstreamConnection | None:
        """An idle connection, without waiting."""
        idle = (self._only or self._draw()).idle
        return idle.pop() if idle else None

    async def acquire(self, *, fresh: bool = False, avoid: Pool | None = None) -> UpstreamConnection:
        """A connection to a target that can be reached; nothing has been sent yet, so every one may be tried.
        `avoid` is not, if there is another."""
        left = [pool for pool in self.pools if pool is not avoid] or list(self.pools)
        while True:
            pool = _least(left) if len(left) < len(self.pools) else self._draw()
            try:
                return await pool.acquire(fresh=fresh)
            except WireError:
                left.remove(pool)
                if not left:
                    raise

    @property
    def busy(self) -> int:
        """Requests under way, tunnels among them."""
        return sum([pool.busy for pool in self.pools])

    def _draw(self) -> Pool:
        """Two are drawn, each by its weight, and the one with less to do for its weight is taken: nearly as even as
        the least of all, and processes that cannot see each other do not all choose the same one."""
        wheel = self._wheel
        one, other = divmod(int(_random() * self._draws), len(wheel))
        first, second = wheel[one], wheel[other]
        if first is second:
            second = self.pools[self.pools.index(first) - 1]
        if first.ejected_until or second.ejected_until:
            return _least(self.pools)
        load = (second.open - len(second.idle) + second.waiting) * first.target.weight
        return second if load < (first.open - len(first.idle) + first.waiting) * second.target.weight else first


class BoundedUpstream(Upstream):
    """One that has so many requests under way at most; the others are refused at once."""

    def __init__(self, name: str, pools: Sequence[Pool], clock: Clock, concurrency: int) -> None:
        super().__init__(name, pools, clock)
        self.concurrency = concurrency

    def take(self) -> UpstreamConnection | None:
        """Of the group."""
        return super().take() if self.busy < self.concurrency else None

    async def acquire(self, *, fresh: bool = False, avoid: Pool | None = None) -> UpstreamConnection:
        """Of the group; 503 above the bound."""
        if self.busy >= self.concurrency:
            self.refused += 1
            raise WireError(503, "the service has as many requests under way as it may have")
        return await super().acquire(fresh=fresh, avoid=avoid)


def _wheel(pools: Sequence[Pool]) -> tuple[Pool, ...]:
    """Each as often as its weight says."""
    common = math.gcd(*[pool.target.weight for pool in pools])
    return tuple([pool for pool in pools for _ in range(pool.target.weight // common)])


def _least(pools: Sequence[Pool]) -> Pool:
    """The one with the least to do for its weight that does not rest. One whose rest is over gets one request at a time
    until it has answered. If all rest, none does: the breaker is what gives up on a group."""
    now = pools[0].clock.now
    best: Pool | None = None
    least = 0.0
    for pool in pools:
        busy = pool.busy
        if pool.ejected_until and (pool.ejected_until > now or busy):
            continue
        load = (busy + 1) / pool.target.weight
        if best is None or load < least:
            best, least = pool, load
    return best or min(pools, key=_load)


def _load(pool: Pool) -> float:
    return (pool.busy + 1) / pool.target.weight


def _group(name: str, pools: Sequence[Pool], clock: Clock, settings: DataPlaneSettings) -> Upstream:
    concurrency = settings.concurrency.get(name, 0)
    return BoundedUpstream(name, pools, clock, concurrency) if concurrency else Upstream(name, pools, clock)


class Upstreams:
    """All groups, by name."""

    def __init__(
        self,
        settings: DataPlaneSettings,
        clock: Clock,
        targets: Mapping[str, Sequence[Target]],
        outbox: Outbox | None = None,
    ) -> None:
        """`outbox`: that of the front, so that what goes to upstreams leaves with what goes to clients."""
        self._outbox = outbox
        self.groups = {
            name: _group(name, [Pool(target, settings, clock, outbox) for target in group], clock, settings)
            for name, group in targets.items()
        }
        for name, canary in settings.canaries.items():
            self._meant_for(name).canary = Canary(
                self._beside(f"{name}-canary", canary.targets, settings, clock), canary
            )
        for name, mirror in settings.mirrors.items():
            self._meant_for(name).mirror = Mirror(
                self._beside(f"{name}-mirror", mirror.targets, settings, clock), mirror
            )
        self._checked = bool(settings.health_path)
        self._checks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin the health checks, if there are any. Until one has said otherwise, every target is healthy."""
        if self._checked:
            loop = asyncio.get_running_loop()
            self._checks = [loop.create_task(HealthCheck(pool).run()) for pool in self.pools()]

    async def stop(self) -> None:
        """End the health checks, and drop idle connections."""
        checks, self._checks = self._checks, []
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)
        for group in self.groups.values():
            if group.mirror is not None:
                await group.mirror.stop()
        self.close()

    def _meant_for(self, name: str) -> Upstream:
        if name not in self.groups:
            raise ValueError(f"a canary or a mirror is meant for `{name}`, which is no upstream")
        return self.groups[name]

    def _beside(self, name: str, urls: Sequence[str], settings: DataPlaneSettings, clock: Clock) -> Upstream:
        """A group that no route names, swept and measured like the others."""
        self.groups[name] = group = Upstream(
            name, [Pool(read_target(url), settings, clock, self._outbox) for url in urls], clock
        )
        return group

    def pools(self) -> list[Pool]:
        """Every target's."""
        return [pool for group in self.groups.values() for pool in group.pools]

    def sweep(self, now: float) -> None:
        """Close idle connections that are too old; breakers look at the time."""
        for group in self.groups.values():
            group.breaker.sweep(now)
            for pool in group.pools:
                pool.sweep(now)

    def close(self) -> None:
        """Drop idle connections."""
        for pool in self.pools():
            pool.close()
