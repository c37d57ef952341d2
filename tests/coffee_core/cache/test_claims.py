"""Keys that are asked about together cost one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from coffee_core.cache.claims import AT_ONCE
from coffee_core.cache.redis_client import open_redis
from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.cache.redis_tier import RedisTier, State
from tests.support.ports import free_port


class Counting(RedisScripts):
    """Counts what is asked."""

    trips = 0

    def ask(self, script: str, keys: Sequence[bytes], args: Sequence[bytes], told: Callable[[object], None]) -> None:
        self.trips += 1
        super().ask(script, keys, args, told)


def counting(url: str) -> tuple[RedisTier, Counting]:
    scripts = Counting(open_redis(url, timeout=0.3, max_connections=8), timeout=0.3)
    return RedisTier(scripts), scripts


async def test_each_key_gets_its_own_answer_and_all_of_one_turn_one_round_trip(redis_url: str) -> None:
    tier, scripts = counting(redis_url)
    mine = await tier.claim("claims:filled", seconds=30)
    assert await tier.fill("claims:filled", mine.raw, b"value", seconds=30)
    held = await tier.claim("claims:held", seconds=30)
    scripts.trips = 0
    names = ["claims:filled", "claims:held", "claims:new", "claims:new"]
    answers = await asyncio.gather(*(tier.claim(name, seconds=30) for name in names))
    assert [answer.state for answer in answers] == [State.FOUND, State.BUSY, State.CLAIMED, State.BUSY]
    assert answers[0].raw == b"value"
    assert scripts.trips == 1
    for name, answer in (("claims:held", held), ("claims:new", answers[2])):
        await tier.release(name, answer.raw)
    await tier.close()


async def test_more_than_one_script_may_take_are_asked_in_several(redis_url: str) -> None:
    tier, scripts = counting(redis_url)
    answers = await asyncio.gather(*(tier.claim(f"claims:{n}", seconds=1) for n in range(AT_ONCE + 1)))
    assert {answer.state for answer in answers} == {State.CLAIMED}
    assert scripts.trips == 2
    await tier.close()


async def test_who_asks_a_server_that_is_gone_is_told_so_and_does_not_wait() -> None:
    tier, scripts = counting(f"redis://127.0.0.1:{free_port()}")
    answers = await asyncio.gather(*(tier.claim(f"claims:{n}", seconds=1) for n in range(3)))
    assert [answer.state for answer in answers] == [State.DOWN] * 3
    assert scripts.errors == 1
    await tier.close()
