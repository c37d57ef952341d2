"""Limits over several processes, and what becomes of them without Redis."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator

import pytest

from coffee_core.cache.redis_client import open_redis
from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.cache.redis_tier import RedisTier
from coffee_core.testing.cache import until
from gateway.verdict.count import Count
from gateway.verdict.ledger import PROCESSES, Claim, RedisLedger
from gateway.verdict.meter import ASK
from gateway.verdict.quota import Kind, Quota
from gateway.verdict.settler import Settler
from tests.gateway.verdict import rig
from tests.support.cable import Cable

RUN = float(os.environ.get("COFFEE_TEST_LIMITS_SECONDS", "1.5"))
"""Longer runs say more, and take longer."""


async def two_processes(url: str, kind: Kind, amount: int, seconds: float) -> tuple[int, float, list[list[float]]]:
    """What both let pass, in how many seconds, and what each said. One of them asks much more than the other."""
    name = f"q{rig.an_id()}"
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.gateway.verdict.limits_process", url, name, kind.value, str(amount), str(seconds)),
            *(str(RUN), pause),
            stdin=PIPE,
            stdout=PIPE,
        )
        for pause in ("0", "0.01")
    ]
    try:
        async with asyncio.timeout(60 + 10 * RUN):
            for process in started:
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"
            began = time.monotonic()
            said = []
            for process in started:
                assert process.stdin is not None
                process.stdin.write(b"go\n")
            for process in started:
                assert process.stdout is not None
                said.append([float(word) for word in (await process.stdout.readline()).split()])
            for process in started:
                await process.communicate(b"end\n")
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return int(sum(each[0] for each in said)), max(each[1] for each in said) - began, said


async def test_a_bucket_over_two_processes_stays_within_one_percent_of_the_true_figure(redis_url: str) -> None:
    amount, seconds = 1000, 10.0  # slow enough that a busy machine asks for more
    passed, took, said = await two_processes(redis_url, Kind.BUCKET, amount, seconds)
    true = amount + took * amount / seconds
    print(f"passed {passed} in {took:.3f} s, true figure {true:.1f}, {said}")
    assert 0.99 * true - 1 <= passed <= 1.01 * true
    decided = sum(each[2] for each in said)
    assert sum(each[3] for each in said) < decided / 2  # the others were decided without waiting for Redis


async def test_a_window_over_two_processes_is_never_above_its_amount(redis_url: str) -> None:
    passed, took, _ = await two_processes(redis_url, Kind.WINDOW, 1000, 1000.0)
    assert took < 60
    assert passed == 1000


@pytest.fixture
async def tier(redis_url: str) -> AsyncIterator[RedisTier]:
    tier = RedisTier(RedisScripts.open(redis_url, timeout=5, max_connections=4))
    yield tier
    await tier.close()


@pytest.mark.parametrize("kind", Kind)
async def test_redis_counts_as_this_process_does(tier: RedisTier, kind: Kind) -> None:
    ledger = RedisLedger(tier.scripts)
    quota = Quota("same", 700, 3600.0, kind)
    key = ledger.key(quota, rig.an_id())
    here = Count(quota, time.time())
    for need, want in ((1, 0), (0, 5), (1, 500), (300, 0), (3, 400), (500, 0), (1, 0), (0, 1)):
        (grant,) = await ledger.claim([Claim(key, quota, need, want, 0)]) or []
        mine = here.claim(need, want, time.time())
        assert abs(grant.tokens - mine.tokens) <= 1
        assert abs(grant.level - mine.level) <= 1
        assert grant.wait == pytest.approx(mine.wait, abs=6)
    (grant,) = await ledger.claim([Claim(key, quota, 0, 0, 50)]) or []
    assert 50 <= grant.level <= 52
    assert (await tier.redis.pttl(key)) > 3_600_000


async def test_all_limits_of_a_request_are_asked_for_in_one_round_trip(tier: RedisTier) -> None:
    settler = Settler(RedisLedger(tier.scripts))
    await settler.start()
    meters = [settler.meter(Quota(f"q{rig.an_id()}", 10, 100.0, kind)) for kind in (Kind.BUCKET, Kind.WINDOW) * 3]
    assert [meter.take("me", time.monotonic()) for meter in meters] == [ASK] * 6
    assert await asyncio.gather(*(settler.take(meter, "me") for meter in meters)) == [9] * 6
    assert settler.trips == 1
    await settler.stop()


async def test_a_process_that_ends_is_counted_no_more(tier: RedisTier) -> None:
    ledgers = [RedisLedger(tier.scripts) for _ in range(2)]
    settlers = [Settler(ledger) for ledger in ledgers]
    for settler in settlers:
        await settler.start()

    async def counted() -> list[bool]:
        return [await tier.redis.zscore(PROCESSES, ledger._name) is not None for ledger in ledgers]

    assert await counted() == [True, True]
    await settlers[0].stop()
    assert await counted() == [False, True]
    await settlers[1].stop()


async def test_what_is_not_used_goes_back(tier: RedisTier) -> None:
    settler = Settler(RedisLedger(tier.scripts))
    await settler.start()
    amount = 1_000_000  # so large that each of many processes, those of other tests among them, may keep some
    quota = Quota(f"q{rig.an_id()}", amount, 10_000_000.0)
    meter = settler.meter(quota)
    for _ in range(3):
        while meter.take("me", time.monotonic()) == ASK:
            await settler.take(meter, "me")
        await asyncio.sleep(0)
    lease = meter.lease("me", time.monotonic())
    assert lease.tokens > 0
    held = lease.tokens
    ledger = settler._ledger
    assert held > 3
    meter.forget(time.monotonic() + 60)
    assert "me" not in meter._leases

    async def given() -> bool:
        (grant,) = await ledger.claim([Claim(lease.key, quota, 0, 0, 0)]) or []
        return grant.level >= amount - 10

    async with asyncio.timeout(10):
        while not await given():
            await asyncio.sleep(0.02)
    await settler.stop()


async def test_with_redis_gone_each_process_has_its_share_neither_all_nor_nothing(redis_url: str) -> None:
    async with Cable(redis_url) as cable:
        tiers = [
            RedisTier(RedisScripts(open_redis(cable.url, timeout=0.3, max_connections=4), timeout=0.3, pause=0.2))
            for _ in range(2)
        ]
        settlers = [Settler(RedisLedger(tier.scripts)) for tier in tiers]
        for settler in settlers:
            await settler.start()
        for settler in settlers:
            await settler._ledger.present()
            assert settler.processes >= 2
        processes = settlers[0].processes
        quota = Quota(f"q{rig.an_id()}", 60, 100_000.0)
        meters = [settler.meter(quota) for settler in settlers]
        await cable.cut()
        passed = [0, 0]
        for index, (settler, meter) in enumerate(zip(settlers, meters, strict=True)):
            for _ in range(200):
                if await settler.take(meter, "me") >= 0:
                    passed[index] += 1
            assert settler.alone
            assert meter.take("me", time.monotonic()) < 0
            assert meter.take("me", time.monotonic()) != ASK
        assert passed == [60 // processes] * 2
        await cable.plug_in()
        await until(lambda: not any(settler.alone for settler in settlers), 10)
        assert await settlers[0].take(meters[0], "me") >= 0  # they count together again
        for settler, tier in zip(settlers, tiers, strict=True):
            await settler.stop()
            await tier.close()


async def test_a_redis_that_hangs_costs_a_bounded_wait_once_and_not_for_each_request(redis_url: str) -> None:
    async with Cable(redis_url) as cable:
        tier = RedisTier(RedisScripts.open(cable.url, timeout=0.3, max_connections=4))
        settler = Settler(RedisLedger(tier.scripts))
        await settler.start()
        meter = settler.meter(Quota(f"q{rig.an_id()}", 1000, 100_000.0))
        cable.hang()
        lefts = await asyncio.gather(*(settler.take(meter, str(number)) for number in range(500)))
        assert all(left >= 0 for left in lefts)
        assert settler.alone
        assert settler.trips <= 3
        assert meter.take("another", time.monotonic()) >= 0  # at once
        cable.flow()
        await settler.stop()
        await tier.close()
