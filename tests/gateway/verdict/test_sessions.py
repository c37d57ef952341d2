"""Sessions and plans: one load each, revoked at once, never a silent yes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator

import pytest

from coffee_core.cache.announce import announce, invalidate
from coffee_core.cache.redis_client import AnyRedis, open_redis
from coffee_core.testing.cache import until
from gateway.build import BuiltVerdict
from gateway.verdict.decision import Forward
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User, decide, forwarded, refused, request
from tests.support.cable import Cable


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AnyRedis]:
    client = open_redis(redis_url, timeout=1, max_connections=2)
    yield client
    await client.aclose()


async def log_out(identity: Identity, redis: AnyRedis, user: User) -> None:
    """What identity does after its commit."""
    del identity.sessions[user.sid]
    await invalidate(redis, f"session:{user.sid}")


async def test_five_hundred_at_once_cause_one_look_up_of_session_and_plan(
    verdict: BuiltVerdict, identity: Identity
) -> None:
    user = User(identity)
    head = request(TARGET, user.bearer())
    decisions = await asyncio.gather(*(decide(verdict, head) for _ in range(500)))
    assert all(isinstance(decision, Forward) for decision in decisions)
    assert identity.times(user.sid) == 1
    assert identity.asked[f"/identity-service/api/partners/{user.partner}/plan"] == 1
    verdict.sessions.drop()
    verdict.plans.drop()
    await asyncio.gather(*(decide(verdict, head) for _ in range(500)))
    assert identity.times(user.sid) == 1  # Redis had it


@pytest.mark.parametrize("in_redis", [False, True])
async def test_five_hundred_at_once_on_a_session_that_ran_out_cause_one_load_in_each_tier(
    identity: Identity, redis: AnyRedis, redis_url: str, in_redis: bool
) -> None:
    user = User(identity)
    head, key = request(TARGET, user.bearer()), f"session:{user.sid}"
    async with rig.running(rig.settings(identity, redis_url, session_seconds=0.2)) as built:
        await forwarded(built, head)
        if not in_redis:
            await redis.delete(key)
        await until(lambda: built.sessions.peek(key) is None)
        before = dataclasses.replace(built.sessions.stats)
        decisions = await asyncio.gather(*(decide(built, head) for _ in range(500)))
        now = built.sessions.stats
    assert all(isinstance(decision, Forward) for decision in decisions)
    assert (now.misses - before.misses, now.joined - before.joined) == (500, 499)
    assert now.remote_hits - before.remote_hits == in_redis
    assert now.loads - before.loads == (not in_redis)
    assert identity.times(user.sid) == (1 if in_redis else 2)


async def test_what_identity_wrote_into_redis_is_believed(
    verdict: BuiltVerdict, identity: Identity, redis: AnyRedis
) -> None:
    user = User(None)
    await redis.set(f"session:{user.sid}", json.dumps(user.session | {"device": "phone"}), ex=60)
    await redis.set(f"plan:{user.partner}", json.dumps({"type": "SAAS", "until": None}), ex=60)
    assert (await forwarded(verdict, request(TARGET, user.bearer()))).passage.plan == b"SAAS"
    assert identity.times(user.sid) == 0


async def test_a_logged_out_session_is_refused_at_once_in_every_process(
    identity: Identity, redis_url: str, redis: AnyRedis
) -> None:
    config = rig.settings(identity, redis_url)
    async with rig.running(config) as one, rig.running(config) as other:
        user = User(identity)
        head = request(TARGET, user.bearer())
        for built in (one, other):
            await forwarded(built, head)
        await log_out(identity, redis, user)
        key = f"session:{user.sid}"
        await until(lambda: one.sessions.peek(key) is None and other.sessions.peek(key) is None, 1.0)
        for built in (one, other):
            await refused(built, head, 401)


async def test_a_revocation_holds_within_the_bound_when_the_push_is_lost(
    identity: Identity, redis_url: str, redis: AnyRedis
) -> None:
    async with (
        Cable(redis_url) as cable,
        rig.running(rig.settings(identity, cable.url, doubt_seconds=0.5, link_doubt_seconds=0.3)) as built,
    ):
        user = User(identity)
        head = request(TARGET, user.bearer())
        await forwarded(built, head)
        cable.hang()
        began = time.monotonic()
        await log_out(identity, redis, user)
        while isinstance(await decide(built, head), Forward):
            assert time.monotonic() - began < 3.0
            await asyncio.sleep(0.01)
        await refused(built, head, 401)
        cable.flow()


async def test_a_logout_during_the_look_up_is_not_forgotten(
    identity: Identity, redis_url: str, redis: AnyRedis
) -> None:
    async with rig.running(rig.settings(identity, redis_url)) as built:
        user = User(identity)
        head = request(TARGET, user.bearer())
        identity.open.clear()
        waiting = asyncio.ensure_future(decide(built, head))
        key = f"session:{user.sid}"
        await until(lambda: key in built.sessions._flights)
        before = built.sessions.stats.invalidations
        await log_out(identity, redis, user)
        await until(lambda: built.sessions.stats.invalidations > before)
        identity.open.set()
        assert not isinstance(await waiting, Forward)
        await refused(built, head, 401)


async def test_a_plan_that_is_bought_counts_at_once(verdict: BuiltVerdict, identity: Identity, redis: AnyRedis) -> None:
    user = User(identity, plan=None)
    head = request(TARGET, user.bearer())
    assert (await forwarded(verdict, head)).passage.plan == b"FREE"
    key = f"plan:{user.partner}"
    await announce(redis, key, json.dumps({"type": "PAID", "until": None}).encode(), seconds=60)
    await until(lambda: verdict.plans.peek(key) is None)
    forward = await forwarded(verdict, head)
    assert forward.passage.plan == b"PAID"
    assert b"x-bb-plan-type: PAID\r\n" in forward.head


async def test_a_contract_ends_when_it_ends(verdict: BuiltVerdict, identity: Identity) -> None:
    user = User(identity)
    identity.plans[user.partner] = {"type": "SAAS", "until": time.time() + 1.5}
    head = request(TARGET, user.bearer())
    assert (await forwarded(verdict, head)).passage.plan == b"SAAS"
    del identity.plans[user.partner]
    key = f"plan:{user.partner}"
    await until(lambda: verdict.plans.peek(key) is None)
    forward = await forwarded(verdict, head)
    assert forward.passage.plan == b"FREE"
    assert b"x-bb-plan-type: FREE\r\n" in forward.head


async def test_redis_gone_identity_answers(identity: Identity, redis_url: str) -> None:
    async with Cable(redis_url) as cable, rig.running(rig.settings(identity, cable.url)) as built:
        await cable.cut()
        await forwarded(built, request(TARGET, User(identity).bearer()))


async def test_redis_hanging_the_wait_is_bounded(identity: Identity, redis_url: str) -> None:
    async with Cable(redis_url) as cable, rig.running(rig.settings(identity, cable.url)) as built:
        cable.hang()
        began = time.monotonic()
        await forwarded(built, request(TARGET, User(identity).bearer()))
        assert time.monotonic() - began < 2.0
        cable.flow()


async def test_both_gone_the_known_go_on_and_the_unknown_get_503(redis_url: str) -> None:
    async with (
        Identity.serve() as identity,
        Cable(redis_url) as cable,
        rig.running(rig.settings(identity, cable.url, doubt_seconds=0.1, link_doubt_seconds=0.3)) as built,
    ):
        known, unknown = User(identity), User(identity)
        head = request(TARGET, known.bearer())
        await forwarded(built, head)
        await cable.cut()
        identity.status = 500
        link = built.link
        assert link is not None
        await until(lambda: link.in_doubt)
        assert built.sessions.peek(f"session:{known.sid}") is None
        await forwarded(built, head)
        refusal = await refused(built, request(TARGET, unknown.bearer()), 503)
        assert any(name == b"retry-after" for name, _ in refusal.headers)
        await forwarded(built, head)


async def test_an_unknown_session_is_remembered_briefly(verdict: BuiltVerdict, identity: Identity) -> None:
    user = User(None)
    for _ in range(5):
        await refused(verdict, request(TARGET, user.bearer()), 401)
    assert identity.times(user.sid) == 1


async def test_without_redis_everything_still_works(identity: Identity) -> None:
    async with rig.running(rig.settings(identity, None)) as built:
        user = User(identity)
        await forwarded(built, request(TARGET, user.bearer()))
        assert isinstance(built.core.decide(request(TARGET, user.bearer())), Forward)
