"""The cache that gateway and modules use: process, Redis, authority, in that order, and one load per key at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from typing import Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from coffee_core.cache.entry import CachedEntry
from coffee_core.cache.held import Held
from coffee_core.cache.lifetimes import Clock, Lifetimes
from coffee_core.cache.link import InvalidationLink
from coffee_core.cache.local import LocalCache
from coffee_core.cache.redis_tier import DOWN, FOUND, NEGATIVE, Answer, RedisTier, State
from coffee_core.cache.stats import CacheStats
from coffee_core.domain.errors import UnavailableError

V = TypeVar("V")

OVERHEAD = 550
"""Bytes that a key and its entry take beside the text of both (measured: 490 while there is room, 590 later)."""

Told: TypeAlias = Callable[[CachedEntry[V] | BaseException], None]
"""Hears the entry, or why there is none. It may not raise."""

REDIS, AUTHORITY = "redis", "authority"
ATTEMPTS = 3
"""Loads in a row that invalidations may outrun before the caller is told to come back later."""


class Source(Protocol[V]):
    """The authority of one kind of value, and its form in Redis."""

    async def load(self, key: str) -> V | None:
        """The value, or `None` where there is none. Raises when it cannot tell: `UnavailableError` is the usual one."""
        ...

    def encode(self, value: V) -> bytes:
        """For Redis: JSON, or anything that does not begin with `!`."""
        ...

    def decode(self, raw: bytes) -> V:
        """Raises `ValueError` for what it cannot read; the authority is asked then."""
        ...

    def expires(self, value: V) -> float | None:
        """Epoch seconds after which the value must not be used, whoever is silent; `None` is never."""
        ...


class _Flight(Struct, Generic[V], eq=False):
    """One load, and all who wait for it."""

    cache: TwoTierCache[V]
    key: str
    claims_for: float
    started: float
    epoch: int
    waiting: list[Told[V]]
    context: Context
    """Of the first one: the authority is asked in it."""
    valid: bool = True
    task: asyncio.Task[None] | None = None
    """From when Redis alone was not enough."""

    def found(self, raw: bytes) -> None:
        """Of `Asking`."""
        self.cache.found(self, raw)

    def heard(self, answer: Answer) -> None:
        """Of `Asking`."""
        self.cache.heard(self, answer)


class TwoTierCache(Generic[V]):
    """Never a wrong yes: what Redis or the authority no longer vouches for ends with its lifetime, at once when it is
    pushed, and stands in past that only while both are silent, until `Lifetimes.stale` or the value's own end.

    `peek` is the hot path and never awaits. All methods are called from one event loop.
    """

    def __init__(
        self,
        source: Source[V],
        local: LocalCache[CachedEntry[V]],
        *,
        remote: RedisTier | None = None,
        link: InvalidationLink | None = None,
        lifetimes: Lifetimes | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or Clock()
        self.epoch = 0
        self.stats = CacheStats()
        self.local = local
        self._local_get = local.get
        self._now = clock.monotonic
        self._wall = clock.wall
        self._source = source
        self._remote = remote
        self._link = link
        self._lifetimes = lifetimes or Lifetimes()
        self._claim_seconds = self._lifetimes.load_timeout + 1.0
        self._max_loads = self._lifetimes.max_loads
        self._held: Held[CachedEntry[V]] = Held()
        self._flights: dict[str, _Flight[V]] = {}
        if link is not None:
            link.attach(self)

    def peek(self, key: str) -> CachedEntry[V] | None:
        """The fresh entry in process, or `None`: then `await entry(key)` knows more."""
        entry = self._local_get(key)
        if entry is not None and self._now() < entry.fresh_until and entry.epoch == self.epoch:
            self.stats.hits += 1
            return entry
        return None

    async def get(self, key: str) -> V | None:
        """The value, or `None` where there is none; raises what the authority raises when nobody can tell."""
        return (await self.entry(key)).value

    async def entry(self, key: str) -> CachedEntry[V]:
        """The entry, loaded if need be. A waiter that is cancelled does not end the load that others wait for."""
        entry = self.peek(key)
        if entry is not None:
            return entry
        return await self.load(key)

    def load(self, key: str) -> asyncio.Future[CachedEntry[V]]:
        """As `entry`, for a key that `peek` does not know; the future is the caller's own."""
        waiter: asyncio.Future[CachedEntry[V]] = asyncio.get_running_loop().create_future()
        self.ask(key, partial(_settle, waiter))
        return waiter

    def ask(self, key: str, told: Told[V]) -> None:
        """As `load`, for who has no need of a future; `told` is called once, and never before this has returned.
        `UnavailableError` at once where too much is asked already."""
        self.stats.misses += 1
        flight = self._flights.get(key)
        if flight is not None:
            self.stats.joined += 1
            flight.waiting.append(told)
            return
        if len(self._flights) >= self._max_loads:
            raise UnavailableError("too many look-ups are under way; try again")
        flight = self._flights[key] = self._flight(key, told)
        if self._remote is None:
            self.heard(flight, DOWN)
        else:
            self._remote.ask(flight)

    def invalidate(self, key: str) -> None:
        """Nothing known of this key counts any more, in process or in flight; Redis is the caller's to change."""
        self.stats.invalidations += 1
        self.forget(key)

    def keep(self, key: str, value: V) -> None:
        """Hold a value in process as if it had been loaded now, without asking anybody."""
        self._keep(key, self._entry(self._flight(key, _nobody), value, self._left(value), 0, AUTHORITY))

    def forget(self, key: str) -> None:
        """As `invalidate`, for a key that no push has named."""
        flight = self._flights.get(key)
        if flight is not None:
            flight.valid = False
        held = self._held.pop(key)
        if held is not None:
            held.kill()
        self.local.remove(key)

    def drop(self) -> None:
        """Nothing in process or in flight counts as fresh; it may still stand in for an authority that is gone."""
        self.stats.drops += 1
        self.epoch += 1

    def found(self, flight: _Flight[V], raw: bytes) -> None:
        """Redis has this. Mostly it is all that is needed, and then no task is."""
        try:
            entry = self._read(flight, raw)
        except Exception as error:  # noqa: BLE001 - a source that fails is told to who waits, not to the connection
            self._land(flight, error)
            return
        if entry is None or not flight.valid:
            self._go_on(flight, Answer(FOUND, raw), entry)
            return
        self._keep(flight.key, entry)
        self._land(flight, entry)

    def heard(self, flight: _Flight[V], answer: Answer) -> None:
        """Redis's first answer, where it is no value, or has been waited for."""
        if answer is DOWN and self._remote is not None:
            self.stats.remote_down += 1
        try:
            entry = self._by_remote(flight, answer)
        except Exception as error:  # noqa: BLE001 - as above
            self._land(flight, error)
            return
        self._go_on(flight, answer, entry)

    def _go_on(self, flight: _Flight[V], answer: Answer, entry: CachedEntry[V] | None) -> None:
        if entry is None:
            self._take_off(flight, self._fly(flight, answer))
        elif flight.valid:
            self._keep(flight.key, entry)
            self._land(flight, entry)
        else:
            self.stats.outrun += 1
            self._take_off(flight, self._fly(flight, None))

    def _flight(self, key: str, told: Told[V]) -> _Flight[V]:
        return _Flight(self, key, self._claim_seconds, self._now(), self.epoch, [told], copy_context())

    def _take_off(self, flight: _Flight[V], work: Coroutine[None, None, None]) -> None:
        flight.task = asyncio.get_running_loop().create_task(work, context=flight.context)

    def _land(self, flight: _Flight[V], outcome: CachedEntry[V] | BaseException) -> None:
        del self._flights[flight.key]
        for told in flight.waiting:
            told(outcome)

    async def _fly(self, flight: _Flight[V], answer: Answer | None) -> None:
        """The load, where Redis's first answer did not end it; `None`: a push has outrun that."""
        try:
            entry = await self._attempts(flight, answer)
        except BaseException as error:
            self._land(flight, error)
            if not isinstance(error, Exception):
                raise
        else:
            self._land(flight, entry)

    async def _attempts(self, flight: _Flight[V], answer: Answer | None) -> CachedEntry[V]:
        key = flight.key
        for _ in range(ATTEMPTS if answer is not None else ATTEMPTS - 1):
            entry = None
            if answer is None:
                flight.valid, flight.started, flight.epoch = True, self._now(), self.epoch
            if answer is None or answer.state is State.BUSY:
                answer = await self._ask_remote(key, flight.started, answer)
                entry = self._by_remote(flight, answer)
            if entry is None:
                entry = await self._by_authority(flight, answer)
            if flight.valid:
                self._keep(key, entry)
                return entry
            self.stats.outrun += 1
            answer = None
        raise UnavailableError("this changes faster than it can be read; try again")

    def _by_remote(self, flight: _Flight[V], answer: Answer) -> CachedEntry[V] | None:
        """What Redis knows, if that is enough."""
        if answer.state is FOUND:
            return self._read(flight, answer.raw)
        if answer.state is State.ABSENT:
            self.stats.remote_hits += 1
            return self._entry(flight, None, None, 0, REDIS)
        return None

    def _read(self, flight: _Flight[V], raw: bytes) -> CachedEntry[V] | None:
        """The value that Redis has, unless it is unreadable or past its end."""
        try:
            value = self._source.decode(raw)
        except ValueError:
            self.stats.unreadable += 1
            return None
        left = self._left(value)
        if left is not None and left <= 0:
            return None
        self.stats.remote_hits += 1
        return self._entry(flight, value, left, len(raw), REDIS)

    def _left(self, value: V) -> float | None:
        """Seconds until its own end, where it has one."""
        expires = self._source.expires(value)
        return None if expires is None else expires - self._wall()

    async def _by_authority(self, flight: _Flight[V], answer: Answer) -> CachedEntry[V]:
        key = flight.key
        try:
            value = await self._ask_source(key)
        except Exception:
            if answer.state is State.CLAIMED and self._remote is not None:
                await self._remote.release(key, answer.raw)
            if answer.state is State.DOWN:
                stale = self._stand_in(key)
                if stale is not None:
                    return stale
            raise
        raw = NEGATIVE if value is None else self._source.encode(value)
        if answer.raw and self._remote is not None:
            seconds = self._remote_seconds(value)
            if flight.valid and seconds > 0:
                await self._remote.fill(key, answer.raw, raw, seconds=seconds)
            elif answer.state is State.CLAIMED:
                await self._remote.release(key, answer.raw)  # or the next attempt would wait for this one
        left = None if value is None else self._left(value)
        return self._entry(flight, value, left, len(raw), AUTHORITY)

    async def _ask_remote(self, key: str, since: float, answer: Answer | None) -> Answer:
        """Redis's answer, after `answer`; waits a bounded time for a load by another process."""
        if self._remote is None:
            return DOWN
        lifetimes = self._lifetimes
        pause = lifetimes.lock_poll
        answer = answer or await self._remote.claim(key, seconds=self._claim_seconds)
        while answer.state is State.BUSY and self._now() < since + lifetimes.lock_wait:
            await asyncio.sleep(pause)
            pause = min(pause * 2, lifetimes.lock_poll * 10)
            answer = await self._remote.claim(key, seconds=self._claim_seconds)
        if answer.state is State.DOWN:
            self.stats.remote_down += 1
        return answer

    async def _ask_source(self, key: str) -> V | None:
        self.stats.loads += 1
        try:
            async with asyncio.timeout(self._lifetimes.load_timeout):
                return await self._source.load(key)
        except TimeoutError:
            self.stats.load_errors += 1
            raise UnavailableError("the authority did not answer in time; try again") from None
        except Exception:
            self.stats.load_errors += 1
            raise

    def _entry(self, flight: _Flight[V], value: V | None, left: float | None, size: int, source: str) -> CachedEntry[V]:
        lifetimes, link, now = self._lifetimes, self._link, self._now()
        lifetime = lifetimes.fresh if value is not None else lifetimes.negative
        fresh_until = now + lifetimes.jittered(lifetime)
        if link is None or link.in_doubt:
            fresh_until = min(fresh_until, flight.started + lifetimes.doubt)
        stale_until = fresh_until + lifetimes.stale if value is not None else fresh_until
        if left is not None and now + left < stale_until:
            stale_until = now + left
            fresh_until = min(fresh_until, stale_until)
        return CachedEntry(value, len(flight.key) + size + OVERHEAD, flight.epoch, fresh_until, stale_until, source)

    def _remote_seconds(self, value: V | None) -> float:
        lifetimes = self._lifetimes
        if value is None:
            return lifetimes.jittered(lifetimes.negative)
        left, seconds = self._left(value), lifetimes.jittered(lifetimes.remote)
        return seconds if left is None else min(seconds, left)

    def _keep(self, key: str, entry: CachedEntry[V]) -> None:
        before = self._held.put(key, entry)
        if before is not None and before is not entry:
            before.kill()
        self.local.set(key, entry)

    def _stand_in(self, key: str) -> CachedEntry[V] | None:
        """The last known value, while neither Redis nor the authority answers."""
        now = self._now()
        entry = self._held.get(key)
        if entry is None or now >= entry.stale_until:
            return None
        self.stats.stale += 1
        entry.fresh_until = min(now + self._lifetimes.stale_retry, entry.stale_until)
        entry.epoch = self.epoch
        return entry


def _settle(waiter: asyncio.Future[CachedEntry[V]], outcome: CachedEntry[V] | BaseException) -> None:
    """Each who waits has a future of his own, so that one who is cancelled takes nothing from the others."""
    if waiter.done():
        return
    if isinstance(outcome, CachedEntry):
        waiter.set_result(outcome)
    elif isinstance(outcome, asyncio.CancelledError):
        waiter.cancel()
    else:
        waiter.set_exception(outcome)


def _nobody(_: object) -> None:
    """Waits for what is kept without a load."""
