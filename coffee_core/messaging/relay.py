"""The relay: from the outbox to the broker, at least once, in order for each key."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections import defaultdict
from collections.abc import Sequence

from coffee_core.domain.errors import CoffeeError, UnavailableError
from coffee_core.messaging.broker import Broker
from coffee_core.messaging.errors import BrokerUnavailableError
from coffee_core.messaging.outbox_table import OutboxTable, Stored
from coffee_core.messaging.settings import OutboxSettings
from coffee_core.messaging.stats import MessagingStats

log = logging.getLogger(__name__)

SHARDS_AT_ONCE = 4
"""Parts that one relay leases in one round: the rest is for the other relays."""


LOOK_SECONDS = 1.0
"""How often lag and length are measured."""


class _Lease:
    """Parts of the table that are ours until a moment on the event loop's clock."""

    def __init__(self, shards: Sequence[int], until: float) -> None:
        self.shards = shards
        self.until = until

    @property
    def held(self) -> bool:
        return asyncio.get_running_loop().time() < self.until


class Relay:
    """Any number may run. Each leases parts of the table for a moment, publishes, deletes, gives them back.

    All messages of a key are in one part and are published one after another, each after the broker has confirmed the
    one before: so they arrive in the order of their positions. A relay that dies publishes nothing more; its leases
    end after `lease_seconds`, and what it had published but not yet deleted goes out again, from the first on. One
    that was only asleep looks at its lease before each message; at worst it repeats what another has sent by then,
    in the same order, and the receivers' inbox drops that.
    """

    def __init__(
        self,
        table: OutboxTable,
        broker: Broker,
        *,
        settings: OutboxSettings | None = None,
        stats: MessagingStats | None = None,
    ) -> None:
        self._table = table
        self._broker = broker
        self._settings = settings or OutboxSettings()
        self._stats = stats or MessagingStats()
        self._holder = uuid.uuid4()
        self._woken = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._look_at = 0.0

    def wake(self) -> None:
        """There may be something to relay."""
        self._woken.set()

    def stop(self) -> None:
        """End `run` after the message in hand."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Relay until `stop()`. A database or broker that is gone is waited for."""
        while not self._stopping:
            self._woken.clear()
            try:
                worked = await self.round()
                await self._look()
            except UnavailableError as error:
                await self._pause(error)
                continue
            self._failures = 0
            if not worked:
                await self._rest(self._settings.poll_seconds)

    async def round(self) -> int:
        """Relay one batch from each part that is free; answers how many messages were stored by the broker."""
        settings = self._settings
        asked = asyncio.get_running_loop().time()
        shards = await self._table.claim(self._holder, settings.lease_seconds, SHARDS_AT_ONCE)
        if not shards:
            return 0
        try:
            return await self._relay(_Lease(shards, asked + settings.lease_seconds))
        finally:
            await asyncio.shield(self._table.release(self._holder, shards))

    async def _relay(self, lease: _Lease) -> int:
        limit = max(1, self._settings.batch // len(lease.shards))
        keys: defaultdict[tuple[str, str], list[Stored]] = defaultdict(list)
        for shard in lease.shards:
            for stored in await self._table.read(shard, limit):
                keys[str(stored.message.topic), stored.message.key].append(stored)
        done: list[int] = []
        gate = asyncio.Semaphore(self._settings.concurrency)
        keeper = asyncio.create_task(self._keep(lease))
        work = [asyncio.create_task(self._publish(stretch, gate, done, lease)) for stretch in keys.values()]
        try:
            results = await asyncio.gather(*work, return_exceptions=True)
        except asyncio.CancelledError:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            raise
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            if done:
                await asyncio.shield(self._table.delete(done))
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(done)

    async def _publish(
        self, stretch: Sequence[Stored], gate: asyncio.Semaphore, done: list[int], lease: _Lease
    ) -> None:
        """The messages of one key, until one is refused, the lease is lost or the relay is to stop."""
        async with gate:
            for position, message, attempts in stretch:
                if self._stopping or not lease.held:
                    return
                try:
                    await self._broker.publish(message)
                except BrokerUnavailableError:
                    raise
                except CoffeeError as error:
                    await self._refused(position, message.topic, attempts + 1, error.detail)
                    return
                except Exception as error:  # a fault of ours in one message must not hold up all the others
                    log.exception("message %d of the outbox cannot be published", position)
                    await self._refused(position, message.topic, attempts + 1, f"{type(error).__name__}: {error}")
                    return
                done.append(position)
                self._stats.relayed[str(message.topic),] += 1

    async def _refused(self, position: int, topic: object, attempts: int, error: str) -> None:
        settings = self._settings
        if attempts < settings.attempts_max:
            await self._table.hold_up(position, error, _pause(settings, attempts))
            return
        self._stats.refused[str(topic),] += 1
        log.error("the broker refused message %d of the outbox (%s) %d times: set aside", position, topic, attempts)
        await self._table.set_aside(position, error)

    async def _keep(self, lease: _Lease) -> None:
        """Renew the lease, until it is lost."""
        seconds = self._settings.lease_seconds
        while True:
            await asyncio.sleep(seconds / 3)
            asked = asyncio.get_running_loop().time()
            if len(await self._table.renew(self._holder, seconds, lease.shards)) < len(lease.shards):
                lease.until = 0.0
                log.warning("a lease of the outbox was lost: another relay goes on")
                return
            lease.until = asked + seconds

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        status = await self._table.status()
        self._stats.outbox_waiting, self._stats.outbox_lag = status.waiting, status.lag

    async def _pause(self, error: UnavailableError) -> None:
        self._failures += 1
        seconds = _pause(self._settings, self._failures)
        log.warning("the outbox is not relayed for %.1f s: %s", seconds, error.detail)
        await self._rest(seconds, wakeable=False)

    async def _rest(self, seconds: float, *, wakeable: bool = True) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
                while not wakeable and not self._stopping:
                    self._woken.clear()
                    await self._woken.wait()
        except TimeoutError:
            pass


def _pause(settings: OutboxSettings, failures: int) -> float:
    longest = min(settings.backoff_max_seconds, settings.backoff_seconds * 2.0 ** min(failures - 1, 30))
    return longest * random.uniform(0.5, 1)  # noqa: S311  # spreads attempts, keeps no secret
