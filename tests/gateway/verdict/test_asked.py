"""A session that is met for the first time: what happens while it is looked up, and what that takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from coffee_core.cache.announce import invalidate
from coffee_core.cache.redis_client import AnyRedis, open_redis
from coffee_core.cache.two_tier import TwoTierCache
from coffee_core.testing.cache import until
from gateway.build import BuiltVerdict
from gateway.verdict.decision import Decision, Forward, Refused, RequestHead
from gateway.verdict.pending import Pending
from tests.gateway.verdict.rig import TARGET, Identity, User, decide, forwarded, request


async def known_to_redis(verdict: BuiltVerdict, user: User) -> None:
    """And not to this process."""
    await forwarded(verdict, request(TARGET, user.bearer()))
    for key, cache in ((f"session:{user.sid}", verdict.sessions), (f"plan:{user.partner}", verdict.plans)):
        cache.forget(key)


def begun(verdict: BuiltVerdict, user: User) -> Pending[Decision]:
    decision = verdict.core.decide(request(TARGET, user.bearer()))
    assert isinstance(decision, Pending)
    return decision


async def test_what_redis_knows_takes_no_task(verdict: BuiltVerdict, identity: Identity) -> None:
    user = User(identity)
    await known_to_redis(verdict, user)
    before = asyncio.all_tasks()
    decision = begun(verdict, user)
    told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    decision.then(lambda outcome: told.set_result((outcome, asyncio.all_tasks())))
    outcome, tasks = cast("tuple[object, set[asyncio.Task[object]]]", await told)
    assert isinstance(outcome, Forward)
    assert {task for task in tasks if "redis" not in task.get_name()} <= before
    assert identity.times(user.sid) == 1


async def test_many_requests_of_one_new_session_are_one_look_up(verdict: BuiltVerdict, identity: Identity) -> None:
    user = User(identity)
    await known_to_redis(verdict, user)
    hits = verdict.sessions.stats.remote_hits
    decisions = await asyncio.gather(*(begun(verdict, user) for _ in range(20)))
    assert all(isinstance(decision, Forward) for decision in decisions)
    assert verdict.sessions.stats.remote_hits == hits + 1


async def test_a_request_that_is_given_up_takes_nothing_from_others_and_is_not_counted(
    verdict: BuiltVerdict, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = User(identity)
    await known_to_redis(verdict, user)
    settled: list[object] = []
    found = verdict.core.found
    monkeypatch.setattr(verdict.core, "found", lambda *known: (settled.append(known), found(*known))[1])
    left, stays = begun(verdict, user), begun(verdict, user)
    left.cancel()
    assert isinstance(await stays, Forward)
    assert left.over
    assert len(settled) == 1


async def test_a_fault_of_ours_is_told_to_who_waits_and_the_next_request_goes_on(
    verdict: BuiltVerdict, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, other = User(identity), User(identity)
    await known_to_redis(verdict, user)
    await known_to_redis(verdict, other)

    def faulty(*_: object) -> Decision:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(verdict.core, "found", faulty)
        with pytest.raises(RuntimeError, match="a fault"):
            await begun(verdict, user)
    assert isinstance(await decide(verdict, request(TARGET, other.bearer())), Forward)


@asynccontextmanager
async def waiting_for(
    missing: TwoTierCache[Any], key: str, verdict: BuiltVerdict, identity: Identity, head: RequestHead, redis: AnyRedis
) -> AsyncIterator[asyncio.Future[Decision]]:
    """A request of somebody known, that waits for what one cache has lost; identity answers at the end of the block."""
    await forwarded(verdict, head)
    missing.forget(key)
    await redis.delete(key)
    identity.open.clear()
    waiting = asyncio.ensure_future(decide(verdict, head))
    await until(lambda: key in missing._flights)
    try:
        yield waiting
    finally:
        identity.open.set()
    await waiting


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AnyRedis]:
    client = open_redis(redis_url, timeout=5, max_connections=2)
    yield client
    await client.aclose()


async def test_a_logout_counts_for_a_request_that_waits_for_its_plan(
    verdict: BuiltVerdict, identity: Identity, redis: AnyRedis
) -> None:
    user = User(identity)
    session, plan, head = f"session:{user.sid}", f"plan:{user.partner}", request(TARGET, user.bearer())
    async with waiting_for(verdict.plans, plan, verdict, identity, head, redis) as waiting:
        del identity.sessions[user.sid]
        await invalidate(redis, session)
        await until(lambda: verdict.sessions.peek(session) is None)
    decision = waiting.result()
    assert isinstance(decision, Refused)
    assert decision.status == 401


async def test_a_smaller_plan_counts_for_a_request_that_waits_for_its_session(
    verdict: BuiltVerdict, identity: Identity, redis: AnyRedis
) -> None:
    user = User(identity)
    session, plan, head = f"session:{user.sid}", f"plan:{user.partner}", request(TARGET, user.bearer())
    async with waiting_for(verdict.sessions, session, verdict, identity, head, redis) as waiting:
        identity.plans[user.partner] = {"type": "FREE", "until": None}
        await invalidate(redis, plan)
        await until(lambda: verdict.plans.peek(plan) is None)
    decision = waiting.result()
    assert isinstance(decision, Forward)
    assert decision.passage.plan == b"FREE"
