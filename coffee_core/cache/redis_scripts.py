"""Lua scripts on Redis, and what is stored there: one round trip each, with every wait bounded."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache, partial
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from coffee_core.cache.pipeline import Pipeline
from coffee_core.cache.redis_client import AnyRedis, open_redis
from coffee_core.cache.resp import Fault, Reply


class Silence(Enum):
    """Says that Redis did not answer, or only with an error."""

    DOWN = "down"


DOWN: Final = Silence.DOWN


class RedisScripts:
    """Never raises for Redis's sake: a server that is slow, gone, full or mad is an answer (`DOWN`).

    `timeout` bounds each script, waiting for one of `max_connections` (the client's, or fewer) included. After
    `pause_after` failures in a row nothing is asked for `pause` seconds, so that a hanging server costs one time-out
    and not one per request.
    """

    def __init__(
        self,
        redis: AnyRedis,
        *,
        timeout: float = 0.25,
        max_connections: int = 32,
        pause: float = 1.0,
        pause_after: int = 3,
    ) -> None:
        self.redis = redis
        self.errors = 0
        """Scripts without an answer, ever."""
        self._timeout = timeout
        self._room = asyncio.Semaphore(max_connections)
        self._pause = pause
        self._pause_after = pause_after
        self._failures = 0
        self._paused_until = 0.0
        self._pipeline = Pipeline(redis, timeout) if isinstance(redis, Redis) else None
        self.single = self._pipeline is not None
        """Whether all keys are on one server."""
        self._running: set[asyncio.Task[None]] = set()

    @classmethod
    def open(cls, url: str, *, timeout: float = 0.25, max_connections: int = 32) -> RedisScripts:
        """With a client of its own for a URL of `open_redis`; connects when the first script runs."""
        return cls(
            open_redis(url, timeout=timeout, max_connections=max_connections),
            timeout=timeout,
            max_connections=max_connections,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._pipeline is not None:
            await self._pipeline.close()
        await self.redis.aclose()

    def ask(self, script: str, keys: Sequence[bytes], args: Sequence[bytes], told: Callable[[object], None]) -> None:
        """As `run`, and `told` hears the reply: for questions that come by the thousand and are asked by no task.

        On a single server they have a connection of their own, where none waits for the reply to another. `told` may
        not raise; it is called at once while nothing is asked.
        """
        if time.monotonic() < self._paused_until:
            told(DOWN)
        elif self._pipeline is not None:
            text, sha = _encoded(script)
            rest = (b"%d" % len(keys), *keys, *args)
            self._pipeline.ask((b"EVALSHA", sha, *rest), partial(self._told, told), instead=(b"EVAL", text, *rest))
        else:
            task = asyncio.get_running_loop().create_task(self._run(script, keys, args, told))
            self._running.add(task)  # the loop itself holds tasks by weak references only
            task.add_done_callback(self._running.discard)

    def values(self, keys: Sequence[bytes], told: Callable[[object], None]) -> None:
        """What is stored under each of these, `None` where no text is; as `ask`, and on a single server only."""
        if time.monotonic() < self._paused_until or self._pipeline is None:
            told(DOWN)
        else:
            self._pipeline.ask((b"MGET", *keys), partial(self._told, told))

    async def run(self, script: str, keys: Sequence[str | bytes], *args: str | bytes | float) -> object:
        """The script's reply, or `DOWN`. On a cluster all keys must be of one slot (`{tag}`). The text goes over the
        wire only to a server that does not know it yet."""
        if time.monotonic() < self._paused_until:
            return DOWN
        task = asyncio.current_task()
        cancelled = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(self._timeout), self._room:
                try:
                    reply: object = await self.redis.evalsha(_sha(script), len(keys), *keys, *args)
                except NoScriptError:
                    reply = await self.redis.eval(script, len(keys), *keys, *args)
        except (RedisError, RedisClusterException, OSError, TimeoutError):
            self._failed()
            reply = DOWN
        else:
            self._failures = 0
        if task is not None and task.cancelling() > cancelled:
            raise asyncio.CancelledError  # that the client's `asyncio.wait_for` lost: python/cpython#86296, until 3.12
        return reply

    async def _run(
        self, script: str, keys: Sequence[bytes], args: Sequence[bytes], told: Callable[[object], None]
    ) -> None:
        reply: object = DOWN
        try:
            reply = await self.run(script, keys, *args)
        finally:  # whatever happened: nobody must wait for ever
            told(reply)

    def _told(self, told: Callable[[object], None], reply: Reply) -> None:
        if isinstance(reply, Fault):
            self._failed()
            told(DOWN)
        else:
            self._failures = 0
            told(reply)

    def _failed(self) -> None:
        self.errors += 1
        self._failures += 1
        if self._failures >= self._pause_after:
            self._paused_until = time.monotonic() + self._pause


@lru_cache(maxsize=256)
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


@lru_cache(maxsize=256)
def _encoded(script: str) -> tuple[bytes, bytes]:
    return script.encode(), _sha(script).encode()
