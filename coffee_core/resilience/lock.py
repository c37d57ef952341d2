"""A lock that processes share in Redis, with a fencing token.

    locks = RedisLocks(RedisScripts.open(url))
    async with locks.hold("nightly-report", seconds=10) as held:
        await store(report, fence=held.fence)

No lock in Redis is more than a promise: with a process that stalls, or a server whose clock is set, there may be two
holders. What must never be written by the older one is guarded by the token: it grows from holder to holder, so that
the store refuses a smaller one (`UPDATE ... SET fence = $1 WHERE id = $2 AND fence <= $1`).
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from coffee_core.cache.redis_scripts import DOWN, RedisScripts
from coffee_core.domain.errors import UnavailableError

TAKE_SCRIPT = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return -math.max(1, redis.call('PTTL', KEYS[1])) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local time = redis.call('TIME')
local fence = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, time[1] * 1000000 + time[2])
redis.call('SET', KEYS[2], string.format('%.0f', fence))
return fence
"""
"""The fence is the server's microsecond, or one more than the last if that is not less: it grows even where the server
has lost its data. An owner that asks again (its first answer was lost) is given the lock again."""
EXTEND_SCRIPT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
RELEASE_SCRIPT = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
FIRST_POLL = 0.01
LONGEST_POLL = 0.25


class LockBusyError(UnavailableError):
    """Somebody else holds it, and did not let go in time."""


class LockLostError(UnavailableError):
    """It was held, and cannot be kept: the block was cancelled, because another may be at work by now."""


@dataclass(frozen=True, slots=True)
class Held:
    """A lock while it is held."""

    name: str
    fence: int
    """Larger than that of every earlier holder; fits a bigint."""


class RedisLocks:
    """Locks by name, each a key of its own. They are not re-entrant and not fair."""

    def __init__(self, scripts: RedisScripts, *, prefix: str = "lock:") -> None:
        self._scripts = scripts
        self._prefix = prefix

    @asynccontextmanager
    async def hold(self, name: str, *, seconds: float = 10.0, wait: float = 0.0) -> AsyncIterator[Held]:
        """Hold it for the block, however long that takes; another gets it at most `seconds` after this process died.

        `LockBusyError` where it is not free within `wait` seconds, `UnavailableError` where Redis does not answer. The
        lock is prolonged three times in its `seconds`; when that fails until they are over, or somebody else has it,
        the block is cancelled and `LockLostError` comes out.
        """
        if seconds < 0.05:
            raise ValueError(f"a lock is held for at least 0.05 s, not {seconds}")
        owner = secrets.token_hex(16)
        fence, until = await self._take(name, owner, seconds, wait)
        scope = asyncio.timeout_at(until)
        try:
            async with scope:
                keeper = asyncio.create_task(self._keep(name, owner, seconds, scope), name=f"lock {name}")
                try:
                    yield Held(name, fence)
                finally:
                    keeper.cancel()
                    await asyncio.wait((keeper,))
        except TimeoutError as error:
            if scope.expired():
                raise LockLostError(f"the lock {name!r} could not be kept") from error
            raise
        finally:
            await asyncio.shield(self._scripts.run(RELEASE_SCRIPT, self._keys(name)[:1], owner))

    async def _take(self, name: str, owner: str, seconds: float, wait: float) -> tuple[int, float]:
        """The fence, and until when on the loop's clock."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + wait
        pause = FIRST_POLL
        try:
            while True:
                asked = loop.time()
                reply = await self._scripts.run(TAKE_SCRIPT, self._keys(name), owner, _milliseconds(seconds))
                if isinstance(reply, int) and reply > 0:
                    return reply, asked + seconds
                left = give_up - loop.time()
                if left <= 0:
                    break
                await asyncio.sleep(min(left, pause * random.uniform(0.5, 1)))  # noqa: S311  # spreads attempts
                pause = min(pause * 2, LONGEST_POLL)
        except asyncio.CancelledError:  # the answer that is on its way may have given it to us
            await asyncio.shield(self._scripts.run(RELEASE_SCRIPT, self._keys(name)[:1], owner))
            raise
        if isinstance(reply, int):
            raise LockBusyError(f"the lock {name!r} is held by another", retry_after=-reply / 1000)
        raise UnavailableError(f"the lock {name!r} cannot be asked for; try again")

    async def _keep(self, name: str, owner: str, seconds: float, scope: asyncio.Timeout) -> None:
        """Prolong it until cancelled; ends the block when it is lost."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(seconds / 3)
            asked = loop.time()
            reply = await self._scripts.run(EXTEND_SCRIPT, self._keys(name)[:1], owner, _milliseconds(seconds))
            if scope.expired():
                return
            if reply == 1:
                scope.reschedule(asked + seconds)
            elif reply is not DOWN:
                scope.reschedule(loop.time())
                return

    def _keys(self, name: str) -> tuple[str, str]:
        return f"{self._prefix}{{{name}}}", f"{self._prefix}{{{name}}}:fence"


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
