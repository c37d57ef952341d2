"""A session that is met for the first time: what happens while it is looked up, and what that takes."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway.build import BuiltVerdict
from gateway.verdict.decision import Decision, Forward
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
