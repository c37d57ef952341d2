"""Openings of circuit breakers, shared by processes in Redis."""

from __future__ import annotations

from coffee_core.cache.redis_scripts import RedisScripts

TELL_SCRIPT = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 1
"""
LOOK_SCRIPT = "return redis.call('PTTL', KEYS[1])"


class RedisOpening:
    """A `SharedOpening`: one key for each open breaker, which ends with the opening. A Redis that is gone makes each
    process judge for itself."""

    def __init__(self, scripts: RedisScripts, *, prefix: str = "breaker:") -> None:
        self._scripts = scripts
        self._prefix = prefix

    async def tell(self, name: str, seconds: float) -> None:
        """Open for so long, or longer where that was told before."""
        await self._scripts.run(TELL_SCRIPT, (self._prefix + name,), max(1, int(seconds * 1000)))

    async def look(self, name: str) -> float:
        """Seconds that are left of it; 0 if it is not open."""
        left = await self._scripts.run(LOOK_SCRIPT, (self._prefix + name,))
        return left / 1000 if isinstance(left, int) and left > 0 else 0.0
