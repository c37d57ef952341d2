"""The push: a key that changed at the authority is dropped by every process in milliseconds.

The payload of the pub/sub channel `coffee:invalidate` is the key. Because pub/sub says nothing about what was lost, a
canary goes the whole way round (publish, server, this subscription) several times a second: while it does not come
back, the link is in doubt and the caches shorten their lifetimes; after each reconnect they are dropped. Where a
`Canary` is planted in a cache, the way ends when that is gone from it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Protocol

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from coffee_core.cache.redis_client import open_server, server_urls
from coffee_core.cache.stats import Lag
from coffee_core.domain.tasks import end_tasks

CHANNEL = "coffee:invalidate"
MAX_KEY = 512
"""Bytes; a longer payload is no key of ours."""

log = logging.getLogger(__name__)


class Invalidated(Protocol):
    """What the link tells a cache."""

    def invalidate(self, key: str) -> None:
        """This key changed: nothing known of it counts any more."""
        ...

    def drop(self) -> None:
        """Pushes may have been missed: nothing in process counts as fresh any more."""
        ...


class Canary(Protocol):
    """Something in a cache that is revoked over and over, to see that revocation works and how long it takes."""

    def plant(self) -> None:
        """It is there again; its revocation is about to be sent."""
        ...

    def revoke(self) -> bool:
        """Its revocation has come: do as with every other; whether it is gone."""
        ...


class InvalidationLink:
    """One subscription per process. `start()` returns at once; until the first canary is back the link is in doubt."""

    def __init__(
        self, url: str, *, canary_every: float = 0.25, doubt_after: float = 1.0, channel: str = CHANNEL
    ) -> None:
        self.in_doubt = True
        self.lag = Lag()
        self.pushes = 0
        self.doubts = 0
        self.reconnects = 0
        self.canary: Canary | None = None
        self._urls: Sequence[str] = server_urls(url)
        self._every = canary_every
        self._doubt_after = doubt_after
        self._channel = channel
        self._canary = f"{channel}:canary:{secrets.token_hex(8)}"
        self._caches: list[Invalidated] = []
        self._heard = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._turn = 0
        self._stopping = asyncio.Event()

    def attach(self, cache: Invalidated) -> None:
        """Tell this cache from now on."""
        self._caches.append(cache)

    def start(self) -> None:
        """Connect in the background and keep connected."""
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._keep(), name="invalidation link")
            self._watching = loop.create_task(self._watch(), name="invalidation link's watch")

    async def stop(self) -> None:
        """Disconnect; the caches are in doubt from now on."""
        self._stopping.set()
        task, self._task = self._task, None
        if task is not None:
            await _end(task, self._doubt_after)
        watching, self._watching = self._watching, None
        if watching is not None:
            await _end(watching, self._doubt_after)
        self._doubt("stopped")

    async def _keep(self) -> None:
        pause = 0.05
        while not self._stopping.is_set():
            connected = time.monotonic()
            try:
                await self._serve(self._urls[self._turn % len(self._urls)])
            except (RedisError, OSError, TimeoutError) as error:
                self._doubt(str(error) or type(error).__name__)
            except Exception:  # whatever it is, nothing is pushed, and nobody else would say so
                self._doubt("failed")
                log.exception("the invalidation link failed")
            self._turn += 1
            pause = 0.05 if time.monotonic() - connected > 5 else min(pause * 2, 1.0)
            await _pause(self._stopping, pause)

    async def _watch(self) -> None:
        """The canary's silence is noticed also where the link waits for something else."""
        while not self._stopping.is_set():
            if time.monotonic() - self._heard > self._doubt_after + self._every:
                self._doubt("no canary")
            await _pause(self._stopping, self._every)

    async def _serve(self, url: str) -> None:
        """Subscribe and listen until the link fails."""
        async with AsyncExitStack() as stack:
            hearing = open_server(url, timeout=self._doubt_after, max_connections=1)
            stack.push_async_callback(hearing.aclose)
            telling = open_server(url, timeout=self._doubt_after, max_connections=1)
            stack.push_async_callback(telling.aclose)
            pubsub = hearing.pubsub()
            stack.push_async_callback(pubsub.aclose)
            await pubsub.subscribe(self._channel, self._canary)
            for _ in range(2):
                message = await pubsub.get_message(timeout=self._doubt_after)
                if message is None or message["type"] != "subscribe":
                    raise RedisError("the subscription was not confirmed")
            self.reconnects += 1
            self._drop()  # whatever was pushed before the subscription stood is lost
            over = asyncio.Event()
            beat = asyncio.get_running_loop().create_task(self._beat(telling, over), name="invalidation canary")
            stack.push_async_callback(_end, beat, self._doubt_after)
            stack.callback(over.set)
            try:
                await self._listen(pubsub)
            except Exception as error:
                self._doubt(str(error) or type(error).__name__)  # to close the connections may take a while
                raise

    async def _listen(self, pubsub: PubSub) -> None:
        """Until it is over, or fails."""
        began = time.monotonic()
        while not self._stopping.is_set():
            message = await pubsub.get_message(timeout=self._every)
            if message is not None:
                if message["type"] != "message":
                    raise RedisError("subscribed anew: pushes in between are lost")
                self._hear(message["channel"], message["data"])
            now = time.monotonic()
            if now - self._heard > self._doubt_after:
                self._doubt("no canary")
            if now - max(self._heard, began) > 2 * self._doubt_after:
                raise RedisError("no canary")

    async def _beat(self, telling: Redis, over: asyncio.Event) -> None:
        """Send canaries until it is over; a failure is heard as silence."""
        while not over.is_set():
            if self.canary is not None:
                self.canary.plant()
            try:
                async with asyncio.timeout(self._doubt_after):
                    await telling.publish(self._canary, str(time.monotonic()))
            except (RedisError, OSError, TimeoutError) as error:
                log.debug("canary not sent: %s", error)
            await _pause(over, self._every)

    def _hear(self, channel: bytes, data: bytes) -> None:
        if channel == self._canary.encode():
            gone = self.canary is None or self.canary.revoke()
            now = time.monotonic()
            if not gone:
                self._doubt("the canary outlived its revocation")
                return
            self._heard = float(data)  # when it was sent: a canary that comes late is no proof of now
            self.lag.observe(now - self._heard)
            if self.in_doubt and now - self._heard <= self._doubt_after:
                self.in_doubt = False
                log.info("the invalidation link is sound")
            return
        self.pushes += 1
        if len(data) > MAX_KEY:
            return
        key = data.decode("utf-8", "replace")
        for cache in self._caches:
            cache.invalidate(key)

    def _doubt(self, why: str) -> None:
        if not self.in_doubt:
            self.in_doubt = True
            self.doubts += 1
            self._drop()
            log.warning("the invalidation link is in doubt (%s): lifetimes in process are cut", why)

    def _drop(self) -> None:
        for cache in self._caches:
            cache.drop()


async def _pause(event: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until it happens."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _end(task: asyncio.Task[None], seconds: float) -> None:
    """Let it end by itself, for it has been told; then cancel it. In the middle of a connect that leaks its socket."""
    await asyncio.wait((task,), timeout=seconds)
    await end_tasks(task)
