"""For the authority: change what is cached, then tell every process. Call it after the commit."""

from __future__ import annotations

import asyncio

from redis.asyncio import RedisCluster

from coffee_core.cache.link import CHANNEL
from coffee_core.cache.redis_client import AnyRedis


async def invalidate(redis: AnyRedis, *keys: str, channel: str = CHANNEL) -> None:
    """Delete the keys and push them. A Redis that fails raises: the caller tries again until it is done."""
    for key in keys:
        await redis.delete(key)
        await _publish(redis, channel, key)


async def announce(redis: AnyRedis, key: str, value: bytes, *, seconds: float, channel: str = CHANNEL) -> None:
    """Store a new value for at most so many seconds and push its key."""
    await redis.set(key, value, px=max(1, int(seconds * 1000)))
    await _publish(redis, channel, key)


async def _publish(redis: AnyRedis, channel: str, key: str) -> None:
    """On every server of a cluster: one tells the others by a bus that loses what it carries while a connection of it
    is made anew, as in a failover, and nobody hears of that. To hear it twice does no harm."""
    if not isinstance(redis, RedisCluster):
        await redis.publish(channel, key)
        return
    told = [redis.execute_command("PUBLISH", channel, key, target_nodes=node) for node in redis.get_nodes()]
    outcomes = await asyncio.gather(*told, return_exceptions=True)
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if len(failures) == len(outcomes):  # a server that is not there has nobody to tell
        raise failures[0]
