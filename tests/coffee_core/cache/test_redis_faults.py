"""Redis slow, hanging, restarting, emptied, mad: bounded waits, the authority answers, never a wrong yes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio.client import PubSub

from coffee_core.cache.announce import announce, invalidate
from coffee_core.cache.lifetimes import Clock
from coffee_core.cache.link import InvalidationLink
from coffee_core.cache.redis_client import AnyRedis, open_redis
from coffee_core.domain.errors import UnavailableError
from coffee_core.testing.cache import SETTINGS, Authority, Fact, TestClock, until
from tests.coffee_core.cache.rig import Process
from tests.support.cable import Cable


@pytest.fixture
async def cable(redis_url: str) -> AsyncIterator[Cable]:
    async with Cable(redis_url) as cable:
        yield cable


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AnyRedis]:
    client = open_redis(redis_url, timeout=1, max_connections=2)
    yield client
    await client.aclose()


async def test_while_redis_hangs_the_authority_answers_and_the_wait_is_bounded(cable: Cable) -> None:
    authority = Authority()
    keys = [authority.key(str(n)) for n in range(8)]
    authority.facts = {key: Fact("yes") for key in keys}
    async with Process.run(cable.url, authority) as process:
        cable.hang()
        began = time.monotonic()
        for key in keys:
            assert await process.cache.get(key) == Fact("yes")
        # three time-outs of 0.3 s make it pause; one for each of the eight would be 2.4 s
        assert time.monotonic() - began < 2.0
        cable.flow()


async def test_while_redis_is_gone_the_authority_answers_and_what_is_kept_is_kept_briefly(cable: Cable) -> None:
    authority, hand = Authority(), TestClock()
    key = authority.key("a")
    authority.facts[key] = Fact("yes")
    async with Process.run(cable.url, authority, hand.clock) as process:
        await cable.cut()
        await until(lambda: process.link.in_doubt)
        assert await process.cache.get(key) == Fact("yes")
        assert process.cache.peek(key) is not None
        hand.ahead = SETTINGS.doubt + 0.1
        assert process.cache.peek(key) is None


async def test_a_revocation_whose_push_was_lost_holds_within_the_bound(cable: Cable, redis: AnyRedis) -> None:
    """The cut link is noticed, what was in process is asked for again, and Redis no longer has it."""
    authority = Authority()
    key = authority.key("a")
    authority.facts[key] = Fact("yes")
    async with Process.run(cable.url, authority) as process:
        await process.cache.get(key)
        cable.hang()
        del authority.facts[key]
        await invalidate(redis, key)
        await until(lambda: process.cache.peek(key) is None, SETTINGS.doubt + 1)
        assert await process.cache.get(key) is None
        cable.flow()


async def test_a_link_that_fails_as_nobody_foresaw_is_in_doubt_at_once_and_comes_back(
    redis_url: str, redis: AnyRedis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority()
    key = authority.key("a")
    authority.facts[key] = Fact("yes")
    async with Process.run(redis_url, authority) as process:
        link = process.link
        assert await process.cache.get(key) == Fact("yes")

        def faulty(*_: object) -> None:
            monkeypatch.undo()
            raise LookupError("a fault")

        monkeypatch.setattr(link, "_hear", faulty)
        doubts, reconnects = link.doubts, link.reconnects
        await until(lambda: link.doubts > doubts)
        assert process.cache.peek(key) is None
        await until(lambda: link.reconnects > reconnects and not link.in_doubt)
        assert "the invalidation link failed" in caplog.text
        assert await process.cache.get(key) == Fact("yes")
        del authority.facts[key]
        await invalidate(redis, key)
        await until(lambda: process.cache.peek(key) is None)


async def test_silence_is_noticed_while_the_link_waits_for_something_else(redis_url: str) -> None:
    link = InvalidationLink(redis_url, canary_every=0.05, doubt_after=0.3)
    listen, over = link._listen, asyncio.Event()

    async def stuck(pubsub: PubSub) -> None:
        listening = asyncio.create_task(listen(pubsub))
        await until(lambda: not link.in_doubt)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await over.wait()

    link._listen = stuck  # type: ignore[method-assign]
    link.start()
    await until(lambda: link.doubts == 1 and link.in_doubt)
    over.set()
    await link.stop()
    assert link.doubts == 1


async def test_after_a_reconnect_nothing_from_before_is_fresh(cable: Cable, redis: AnyRedis) -> None:
    authority = Authority()
    key = authority.key("a")
    authority.facts[key] = Fact("old")
    async with Process.run(cable.url, authority) as process:
        await process.cache.get(key)
        reconnects = process.link.reconnects
        await cable.cut()
        authority.facts[key] = Fact("new")
        await invalidate(redis, key)
        await cable.plug_in()
        await until(lambda: process.link.reconnects > reconnects and not process.link.in_doubt)
        assert await process.cache.get(key) == Fact("new")


async def test_with_redis_and_authority_gone_the_known_go_on_and_the_unknown_are_told_to_come_back(
    cable: Cable,
) -> None:
    authority, hand = Authority(), TestClock()
    known, short, unknown = (authority.key(name) for name in "abc")
    authority.facts = {known: Fact("yes"), short: Fact("yes", until=hand.clock.wall() + 30)}
    async with Process.run(cable.url, authority, hand.clock) as process:
        await process.cache.get(known)
        await process.cache.get(short)
        await cable.cut()
        authority.down = True
        await until(lambda: process.link.in_doubt)
        assert await process.cache.get(known) == Fact("yes")
        assert await process.cache.get(short) == authority.facts[short]
        with pytest.raises(UnavailableError):
            await process.cache.get(unknown)
        hand.ahead = 31
        assert await process.cache.get(known) == Fact("yes")
        with pytest.raises(UnavailableError):  # past its own end
            await process.cache.get(short)
        hand.ahead = SETTINGS.fresh + SETTINGS.stale + 40
        with pytest.raises(UnavailableError):  # past the cap
            await process.cache.get(known)


async def test_with_the_authority_gone_what_redis_no_longer_has_is_not_vouched_for(
    redis_url: str, redis: AnyRedis
) -> None:
    """Emptied or revoked: the cache cannot tell, so the value it still has in process does not stand in."""
    authority = Authority()
    key = authority.key("a")
    authority.facts[key] = Fact("yes")
    async with Process.run(redis_url, authority) as process:
        await process.cache.get(key)
        await redis.delete(key)
        process.cache.drop()
        authority.down = True
        with pytest.raises(UnavailableError):
            await process.cache.get(key)


async def test_rubbish_and_values_past_their_end_in_redis_are_replaced_by_the_authoritys(
    redis_url: str, redis: AnyRedis
) -> None:
    authority = Authority()
    rubbish, ended = authority.key("a"), authority.key("b")
    authority.facts = {rubbish: Fact("yes"), ended: Fact("yes")}
    await redis.set(rubbish, b"{", ex=60)
    await redis.set(ended, authority.encode(Fact("no", until=time.time() - 1)), ex=60)
    async with Process.run(redis_url, authority) as process:
        assert await process.cache.get(rubbish) == Fact("yes")
        assert await process.cache.get(ended) == Fact("yes")
    for key in (rubbish, ended):
        raw = await redis.get(key)
        assert isinstance(raw, bytes)
        assert authority.decode(raw) == Fact("yes")


async def test_a_fill_that_a_plain_delete_has_outrun_is_not_stored(redis_url: str, redis: AnyRedis) -> None:
    """No push at all: the claim in the key's own place is what the delete removes."""
    authority = Authority()
    key = authority.key("a")
    authority.facts[key] = Fact("old")
    authority.gate.clear()
    async with Process.run(redis_url, authority) as process:
        waiting = asyncio.ensure_future(process.cache.get(key))
        await asyncio.wait_for(authority.reading.wait(), 5)
        await redis.delete(key)
        authority.gate.set()
        await waiting
        assert await redis.get(key) is None


async def test_a_load_that_a_push_has_outrun_does_not_wait_for_its_own_claim(redis_url: str, redis: AnyRedis) -> None:
    """Before, a request that came between the delete and the push was answered a whole `lock_wait` later."""
    authority = Authority()
    key = authority.key("a")
    authority.facts[key] = Fact("yes")
    patient = replace(SETTINGS, lock_wait=60.0, load_timeout=60.0)
    async with Process.run(redis_url, authority, lifetimes=patient) as process:
        authority.gate.clear()
        await redis.delete(key)
        load = asyncio.ensure_future(process.cache.get(key))
        await until(lambda: authority.loads[key] == 1)
        process.cache.invalidate(key)
        del authority.facts[key]
        authority.gate.set()
        async with asyncio.timeout(20):
            assert await load is None
        assert authority.loads[key] == 2


async def test_what_the_authority_announces_is_what_every_process_sees(redis_url: str, redis: AnyRedis) -> None:
    authority = Authority()
    key = authority.key("a")
    authority.facts[key] = Fact("old")
    async with Process.run(redis_url, authority) as process:
        await process.cache.get(key)
        await announce(redis, key, authority.encode(Fact("new")), seconds=60)
        await until(lambda: process.cache.peek(key) is None)
        assert await process.cache.get(key) == Fact("new")
    assert authority.loads[key] == 1


async def test_a_process_that_died_while_it_loaded_does_not_hold_the_others_up(redis_url: str) -> None:
    """Its claim stays until it ends by itself; the others wait for `lock_wait` and ask the authority."""
    authority = Authority()
    key = authority.key("a")
    authority.facts[key] = Fact("yes")
    patient = replace(SETTINGS, lock_wait=0.1)
    async with Process.run(redis_url, authority) as dead, Process.run(redis_url, authority, Clock(), patient) as other:
        await dead.remote.claim(key, seconds=30)
        assert await other.cache.get(key) == Fact("yes")
        assert other.cache.peek(key) is not None


async def test_a_load_that_takes_too_long_is_given_up(redis_url: str) -> None:
    authority = Authority()
    key = authority.key("a")
    authority.gate.clear()
    hasty = replace(SETTINGS, load_timeout=0.05)
    async with Process.run(redis_url, authority, Clock(), hasty) as process:
        with pytest.raises(UnavailableError):
            await process.cache.get(key)
        assert process.cache.stats.load_errors == 1


async def test_the_number_of_loads_in_flight_is_bounded(redis_url: str) -> None:
    authority = Authority()
    authority.gate.clear()
    async with Process.run(redis_url, authority, Clock(), replace(SETTINGS, max_loads=3)) as process:
        waiting = [asyncio.ensure_future(process.cache.get(authority.key(str(n)))) for n in range(3)]
        await until(lambda: sum(authority.loads.values()) == 3)
        with pytest.raises(UnavailableError):
            await process.cache.get(authority.key("one more"))
        authority.gate.set()
        assert await asyncio.gather(*waiting) == [None] * 3


async def test_a_push_takes_milliseconds_and_the_canary_measures_it(redis_url: str, redis: AnyRedis) -> None:
    authority = Authority()
    key = authority.key("a")
    authority.facts[key] = Fact("yes")
    async with Process.run(redis_url, authority) as process:
        await process.cache.get(key)
        await until(lambda: sum(process.link.lag.counts) >= 3)
        await invalidate(redis, key)
        await until(lambda: process.cache.peek(key) is None, 1.0)
        assert 0 < process.link.lag.last < 1.0
