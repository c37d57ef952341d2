"""Settles leases with the ledger in the background: all that are asked for while one round trip is under way go
together in the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from gateway.verdict.ledger import Claim, RedisLedger
from gateway.verdict.meter import AHEAD, ASK, Lease, Meter
from gateway.verdict.quota import Quota

log = logging.getLogger(__name__)

AT_ONCE = 200
"""Claims in one script: the server does nothing else meanwhile."""
ROUNDS = 3
"""Times that a request asks whose token another one has taken before it."""
TELL_EVERY = 2.0
LOOK_EVERY = 0.5
"""Seconds between two signs of life, while Redis answers and while it does not."""


class Settler:
    """Implements `Settling`. `start` and `stop` frame its life; before and after, each process counts alone."""

    def __init__(self, ledger: RedisLedger) -> None:
        self.alone = True
        self.trips = 0
        """Round trips with claims, since the start."""
        self.key = ledger.key
        self._ledger = ledger
        self._meters: list[Meter] = []
        self._asked: dict[Lease, None] = {}
        self._ahead: dict[Lease, None] = {}
        self._arrived: asyncio.Future[None] | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._living: asyncio.Task[None] | None = None
        self._stopping = False
        self._nudged = asyncio.Event()
        """There is something to look at, or to end."""

    @property
    def processes(self) -> int:
        """As the ledger last knew."""
        return self._ledger.processes

    def meter(self, quota: Quota, max_callers: int = 100_000) -> Meter:
        """A meter that counts with the other processes."""
        meter = Meter(quota, self, max_callers)
        self._meters.append(meter)
        return meter

    def ask(self, lease: Lease) -> None:
        """Settle this lease soon."""
        lease.asked = True
        self._asked[lease] = None
        if self._flushing is None:
            self._nudged.set()
            self._flushing = asyncio.get_running_loop().create_task(self._flush(), name="limits: claims")

    async def take(self, meter: Meter, caller: str) -> float:
        """As `Meter.take`, and never `ASK`: it waits for the ledger, or until that is known to be gone."""
        for _ in range(ROUNDS):
            now = time.monotonic()
            left = meter.take(caller, now)
            if left != ASK:
                return left
            lease = meter.lease(caller, now)
            lease.need += 1
            self.ask(lease)
            if self._arrived is None:
                self._arrived = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._arrived)
        meter.refused += 1
        return -AHEAD

    async def start(self) -> None:
        """Look whether Redis is there, and go on looking."""
        self.alone = not await self._ledger.present()
        self._living = asyncio.get_running_loop().create_task(self._live(), name="limits: signs of life")

    async def stop(self) -> None:
        """Wait for what is under way; what is held ends with the process.

        The task is told and not cancelled: a cancellation that meets the end of a client library's own wait may be
        swallowed.
        """
        self._stopping = True
        self.alone = True
        self._nudged.set()
        living, self._living = self._living, None
        if living is not None:
            await living
        if self._flushing is not None:
            await self._flushing
        await self._ledger.absent()

    async def _live(self) -> None:
        told = time.monotonic()
        while not self._stopping:
            every = LOOK_EVERY if self.alone else TELL_EVERY
            if self._ahead or any(self._meters):
                await asyncio.sleep(AHEAD)
            else:  # nobody holds anything: the next request wakes it up
                self._nudged.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, told + every - time.monotonic())):
                        await self._nudged.wait()
            now = time.monotonic()
            self._sweep(now)
            if now - told >= every:
                there = await self._ledger.present()
                told = time.monotonic()
                if there == self.alone and not self._stopping:
                    self._change(alone=not there)

    def _sweep(self, now: float) -> None:
        """What callers who are silent do not use goes back."""
        for lease in list(self._ahead):
            if lease.tokens <= lease.reserve:
                del self._ahead[lease]
            elif now - lease.at >= AHEAD:
                del self._ahead[lease]
                lease.give_back(lease.reserve)
                self.ask(lease)
        for meter in self._meters:
            meter.forget(now)

    def _change(self, *, alone: bool) -> None:
        self.alone = alone
        if alone:
            log.warning("Redis does not answer: this process counts one part in %d of each limit", self.processes)
        else:
            log.info("limits are counted with %d processes", self.processes)

    async def _flush(self) -> None:
        try:
            while self._asked:
                leases = list(self._asked)[:AT_ONCE]
                for lease in leases:
                    del self._asked[lease]
                arrived = self._arrived
                if len(leases) < AT_ONCE or not self._asked:
                    self._arrived = None
                now = time.monotonic()
                await self._settle(leases, [lease.claim(now) for lease in leases])
                if arrived is not None and arrived is not self._arrived:
                    arrived.set_result(None)
        finally:
            self._flushing = None

    async def _settle(self, leases: Sequence[Lease], claims: Sequence[Claim]) -> None:
        parts: dict[str, list[int]] = {}
        for index, claim in enumerate(claims):
            parts.setdefault(self._ledger.part(claim), []).append(index)
        self.trips += 1
        answers = await asyncio.gather(
            *(self._ledger.claim([claims[index] for index in part]) for part in parts.values())
        )
        now = time.monotonic()
        for part, grants in zip(parts.values(), answers, strict=True):
            if grants is None and not self.alone and not self._stopping:
                self._change(alone=True)
            for index in part:
                leases[index].asked = False
            for index, grant in zip(part, grants or (), strict=grants is not None):
                lease = leases[index]
                lease.settle(grant, now)
                if lease.tokens > lease.reserve:
                    self._ahead[lease] = None
