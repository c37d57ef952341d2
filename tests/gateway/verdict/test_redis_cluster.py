"""Sessions, plans, limits and pushes over a cluster of three masters, and while one of them is being replaced."""

from __future__ import annotations

import asyncio
import contextlib

from redis.exceptions import RedisClusterException, RedisError

from coffee_core.cache.announce import _publish, invalidate
from coffee_core.cache.link import CHANNEL
from coffee_core.cache.redis_client import AnyRedis, open_redis
from coffee_core.testing.cache import until
from gateway.verdict.decision import Forward, Refused
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User, decide, forwarded, refused, request
from tests.support.valkey import cluster, cluster_url, text

SOON = 30.0
"""Seconds; a busy machine takes longer than it should."""


async def log_out(identity: Identity, redis: AnyRedis, user: User) -> None:
    """As the authority does: until Redis has taken it."""
    identity.sessions.pop(user.sid, None)
    async with asyncio.timeout(SOON):
        while True:
            try:
                return await invalidate(redis, f"session:{user.sid}")
            except (RedisError, RedisClusterException, OSError):
                await asyncio.sleep(0.1)


async def test_a_cluster_is_one_second_tier_for_all_processes() -> None:
    async with cluster() as nodes, Identity.serve() as identity:
        url = cluster_url(nodes)
        config = rig.settings(
            identity, url, partner_rate_free=0.004, partner_burst_seconds=500, redis_timeout_seconds=5
        )
        async with rig.running(config) as one, rig.running(config) as other:
            assert one.settler is not None
            assert other.settler is not None
            await until(lambda: not other.settler.alone and other.settler.processes == 2, SOON)
            users = [User(identity) for _ in range(30)]
            for built in (one, other):
                for user in users:
                    await forwarded(built, request(TARGET, user.bearer()))
            assert [identity.times(user.sid) for user in users] == [1] * 30  # the other process found them in Redis
            assert all([await node.tell("DBSIZE") for node in nodes])

            poor = User(identity, "FREE")
            head = request(TARGET, poor.bearer())
            outcomes = [await decide(built, head) for built in (one, other, one, other)]
            assert [isinstance(outcome, Forward) for outcome in outcomes] == [True, True, False, False]

            redis = open_redis(url, timeout=5, max_connections=4)
            for user in users:
                await log_out(identity, redis, user)
                key = f"session:{user.sid}"
                await until(lambda: all(built.sessions.peek(key) is None for built in (one, other)), SOON)  # noqa: B023
            await redis.aclose()
            for built in (one, other):
                for user in users:
                    await refused(built, request(TARGET, user.bearer()), 401)


async def test_a_revocation_needs_no_bus_between_the_servers() -> None:
    """A server that is deaf to the others, as while their connections are made anew, hears what it is told itself."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(cluster())
        identity = await stack.enter_async_context(Identity.serve())
        built = await stack.enter_async_context(rig.running(rig.settings(identity, cluster_url(nodes))))
        link, user = built.link, User(identity)
        assert link is not None
        await forwarded(built, request(TARGET, user.bearer()))
        redis = open_redis(cluster_url(nodes), timeout=1, max_connections=4)
        stack.push_async_callback(redis.aclose)
        await redis.set("it", "knows the servers")
        names = {node.port: await text(node, "CLUSTER", "MYID") for node in nodes}
        for deaf in nodes:  # whichever has the link
            for other in nodes:
                if other is not deaf:
                    await deaf.tell("CLUSTER", "FORGET", names[other.port])
        await _publish(redis, CHANNEL, f"session:{user.sid}")
        await until(lambda: built.sessions.peek(f"session:{user.sid}") is None, SOON)
        assert not link.in_doubt


async def test_while_a_master_is_replaced_nobody_is_refused_and_no_revocation_is_lost() -> None:
    async with cluster(replicas=1) as nodes, Identity.serve() as identity:
        config = rig.settings(identity, cluster_url(nodes), doubt_seconds=0.5)
        async with rig.running(config) as built:
            users = [User(identity) for _ in range(20)]
            for user in users:
                await forwarded(built, request(TARGET, user.bearer()))
            await nodes[0].kill()  # the one that carries the link as well
            asked = 0
            async with asyncio.timeout(SOON):
                while "role:master" not in await text(nodes[3], "INFO", "replication"):
                    for user in (users[asked % 20], User(identity)):
                        outcome = await decide(built, request(TARGET, user.bearer()))
                        assert isinstance(outcome, Forward), outcome
                        asked += 1
                    await asyncio.sleep(0.02)
            assert asked >= 4
            redis = open_redis(cluster_url(nodes), timeout=1, max_connections=4)
            for user in users:
                await log_out(identity, redis, user)
            await redis.aclose()
            link = built.link
            assert link is not None
            async with asyncio.timeout(SOON):
                for user in users:
                    while not isinstance(await decide(built, request(TARGET, user.bearer())), Refused):
                        await asyncio.sleep(0.05)
            await until(lambda: not link.in_doubt, SOON)
            assert link.reconnects >= 2
            settler = built.settler
            assert settler is not None
            await until(lambda: not settler.alone, SOON)
