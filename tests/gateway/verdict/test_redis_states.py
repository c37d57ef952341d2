"""A Redis that is slow, restarts, or is emptied. (Hanging, gone and without a push: test_sessions; failing over:
test_redis_cluster; limits: test_shared_limits; all of it in words: docs/reference/redis.md.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from coffee_core.cache.announce import invalidate
from coffee_core.cache.redis_client import open_redis
from coffee_core.testing.cache import until
from gateway.verdict.decision import Forward, Refused
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User, decide, forwarded, refused, request
from tests.support.valkey import Valkey

SOON = 30.0
"""Seconds; a busy machine takes longer than it should."""


@pytest.fixture
async def valkey() -> AsyncIterator[Valkey]:
    async with Valkey("--enable-debug-command", "local") as valkey:
        yield valkey


async def becomes(built: rig.BuiltVerdict, user: User, kind: type[Forward | Refused]) -> None:
    async with asyncio.timeout(SOON):
        while not isinstance(await decide(built, request(TARGET, user.bearer())), kind):
            await asyncio.sleep(0.02)


async def test_a_slow_redis_delays_those_who_need_it_up_to_the_bound_and_nobody_else(
    identity: Identity, valkey: Valkey
) -> None:
    config = rig.settings(identity, valkey.url, redis_timeout_seconds=0.2, link_doubt_seconds=5, canary_seconds=0.5)
    async with rig.running(config) as built:
        known = User(identity)
        await forwarded(built, request(TARGET, known.bearer()))
        await forwarded(built, request(TARGET, known.bearer()))
        asleep = asyncio.create_task(valkey.tell("DEBUG", "SLEEP", "2"))
        await asyncio.sleep(0.1)
        decision = built.core.decide(request(TARGET, known.bearer()))
        assert isinstance(decision, Forward)  # at once: nothing had to be asked
        began = time.monotonic()
        await forwarded(built, request(TARGET, User(identity).bearer()))
        assert time.monotonic() - began < 1.0 + SOON / 10
        await asleep
        await until(lambda: built.settler is not None and not built.settler.alone, SOON)


async def test_a_redis_that_restarts_is_found_again_and_nothing_is_believed_in_between(
    identity: Identity, valkey: Valkey
) -> None:
    async with rig.running(rig.settings(identity, valkey.url, doubt_seconds=0.3, link_doubt_seconds=0.3)) as built:
        stays, leaves = User(identity), User(identity)
        for user in (stays, leaves):
            await forwarded(built, request(TARGET, user.bearer()))
        await valkey.kill()
        link = built.link
        assert link is not None
        await until(lambda: link.in_doubt, SOON)
        await forwarded(built, request(TARGET, stays.bearer()))
        del identity.sessions[leaves.sid]  # a push that nobody hears
        await becomes(built, leaves, Refused)
        await valkey.start()
        await until(lambda: not link.in_doubt, SOON)
        await forwarded(built, request(TARGET, stays.bearer()))
        await refused(built, request(TARGET, leaves.bearer()), 401)
        async with asyncio.timeout(SOON):
            while built.sessions.peek(f"session:{stays.sid}") is None:
                await forwarded(built, request(TARGET, stays.bearer()))
        redis = open_redis(valkey.url, timeout=5, max_connections=1)
        del identity.sessions[stays.sid]
        await invalidate(redis, f"session:{stays.sid}")
        await redis.aclose()
        await becomes(built, stays, Refused)


async def test_an_emptied_redis_costs_one_question_each_and_changes_no_decision(
    identity: Identity, valkey: Valkey
) -> None:
    async with (
        rig.running(rig.settings(identity, valkey.url)) as built,
        rig.running(rig.settings(identity, valkey.url)) as other,
    ):
        user, gone = User(identity), User(identity)
        for each in (user, gone):
            await forwarded(built, request(TARGET, each.bearer()))
        redis = open_redis(valkey.url, timeout=5, max_connections=1)
        del identity.sessions[gone.sid]
        await invalidate(redis, f"session:{gone.sid}")
        await becomes(built, gone, Refused)
        await valkey.tell("FLUSHALL")
        await redis.aclose()
        asked = identity.times(user.sid)
        await forwarded(built, request(TARGET, user.bearer()))
        await asyncio.gather(*(forwarded(other, request(TARGET, user.bearer())) for _ in range(50)))
        assert identity.times(user.sid) <= asked + 2
        for each in (built, other):
            await refused(each, request(TARGET, gone.bearer()), 401)
