"""Logouts and contract changes over two gateway processes: none is missed, with the push and without it.

How long they take is measured by `python -m tests.benchmarks.revocation`: times decide no test, but for the bound
without the push, which is a setting.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator

import pytest

from coffee_core.cache.announce import announce
from coffee_core.cache.redis_client import AnyRedis, open_redis
from tests.benchmarks.revocation import Asking, known_to, lags, log_out, percentile, two_gateways
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User, forwarded, request
from tests.support.cable import Cable

LOGOUTS = int(os.environ.get("COFFEE_TEST_LOGOUTS", "40"))
"""1000 is the full size."""
BOUND = 1.0
"""Seconds, as configured, after which a revocation counts whose push was lost."""
BUSY = 10.0
"""Seconds that a busy machine may take on top."""


@pytest.fixture
async def identity() -> AsyncIterator[Identity]:
    async with Identity.serve() as identity:
        yield identity


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AnyRedis]:
    client = open_redis(redis_url, timeout=5, max_connections=2)
    yield client
    await client.aclose()


async def test_each_logout_counts_in_both_processes(identity: Identity, redis_url: str, redis: AnyRedis) -> None:
    async with two_gateways(identity, redis_url) as gateways:
        took = await lags(gateways, identity, redis, LOGOUTS)
    p50, p99 = (percentile(took.dead, share) * 1000 for share in (0.5, 0.99))
    print(f"{LOGOUTS} logouts, dead after: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    assert len(took.refused) == LOGOUTS
    assert took.refused[-1] < BUSY  # far below the 60 s for which a session is believed


async def test_with_the_push_link_cut_each_logout_counts_within_the_bound(
    identity: Identity, redis_url: str, redis: AnyRedis
) -> None:
    async with (
        Cable(redis_url) as cable,
        two_gateways(
            identity,
            cable.url,
            COFFEE_GATEWAY_DOUBT_SECONDS=str(BOUND),
            COFFEE_GATEWAY_LINK_DOUBT_SECONDS=str(BOUND / 2),
        ) as gateways,
    ):
        users = await known_to(gateways, identity, LOGOUTS)
        ended: dict[str, float] = {}
        late = [0.0]

        async def ask_until_refused(gateway: Asking) -> None:
            waiting = {user.sid: user for user in users}
            while waiting:
                for sid in [sid for sid in waiting if sid in ended]:
                    if await gateway.status(waiting[sid]) == 401:
                        del waiting[sid]
                    else:
                        late.append(time.monotonic() - ended[sid])
                await asyncio.sleep(0)

        cable.hang()
        asking = asyncio.gather(*map(ask_until_refused, gateways))
        for user in users:
            await log_out(identity, redis, user)
            ended[user.sid] = time.monotonic()
        await asking
        print(f"{LOGOUTS} logouts without a push: one was let pass until {max(late):.2f} s after its own")
        assert max(late) < BOUND + BUSY
        assert [identity.times(user.sid) >= 2 for user in users] == [True] * LOGOUTS  # asked anew, by each process
        cable.flow()


async def test_a_contract_change_reaches_all_sessions_of_a_partner_at_once(
    identity: Identity, redis_url: str, redis: AnyRedis
) -> None:
    """A partner's plan is one entry, of which the decisions for all of his sessions are made: the tenant's epoch."""
    config = rig.settings(identity, redis_url)
    async with rig.running(config) as one, rig.running(config) as other:
        first = User(identity)
        users = [first]
        for _ in range(99):
            user = User(identity, plan=None)
            user.partner, user.session["partnerId"] = first.partner, int(first.partner)
            users.append(user)
        heads = [request(TARGET, user.bearer()) for user in users]
        for built in (one, other):
            for head in heads:
                assert b"x-bb-plan-type: PAID\r\n" in (await forwarded(built, head)).head
        key = f"plan:{first.partner}"
        identity.plans[first.partner] = {"type": "SAAS", "until": None}
        await announce(redis, key, json.dumps(identity.plans[first.partner]).encode(), seconds=60)
        async with asyncio.timeout(BUSY):
            while any(built.plans.peek(key) is not None for built in (one, other)):
                await asyncio.sleep(0.001)
        for built in (one, other):
            for head in heads:
                assert b"x-bb-plan-type: SAAS\r\n" in (await forwarded(built, head)).head


async def test_a_canary_session_is_revoked_over_and_over_and_its_lag_is_told(
    identity: Identity, redis_url: str
) -> None:
    async with rig.running(rig.settings(identity, redis_url)) as built:
        link = built.link
        assert link is not None
        async with asyncio.timeout(BUSY):
            while sum(link.lag.counts) < 3:
                await asyncio.sleep(0.01)
        lag = {
            sample.name: sample.value
            for family in built.collectors()[0].collect()
            if family.name == "gateway_revocation_lag_seconds"
            for sample in family.samples
        }
        assert lag["gateway_revocation_lag_seconds_count"] >= 3
        assert lag["gateway_revocation_lag_seconds_sum"] > 0
        assert built.sessions.stats.invalidations == 0  # nobody's but the canary's

        revoke = built.sessions.forget
        built.sessions.forget = lambda key: None  # type: ignore[method-assign]  # a revocation that does nothing
        async with asyncio.timeout(BUSY):
            while not link.in_doubt:
                await asyncio.sleep(0.01)
        built.sessions.forget = revoke  # type: ignore[method-assign]
        async with asyncio.timeout(BUSY):
            while link.in_doubt:
                await asyncio.sleep(0.01)
