"""Keys that many ask about at once cost few trips to Redis, and nobody waits for two time-outs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from coffee_core.cache.lookups import AT_ONCE, Lookups
from coffee_core.cache.redis_client import open_redis
from coffee_core.cache.redis_scripts import DOWN, RedisScripts, Silence
from tests.support.cable import Cable
from tests.support.ports import free_port


class Counting(RedisScripts):
    """Remembers how many keys each question had."""

    def __init__(self, url: str) -> None:
        super().__init__(open_redis(url, timeout=0.3, max_connections=4), timeout=0.3)
        self.asked: list[int] = []

    def values(self, keys: Sequence[bytes], told: Callable[[object], None]) -> None:
        self.asked.append(len(keys))
        super().values(keys, told)


class Asking(NamedTuple):
    """About one key."""

    key: str
    reply: asyncio.Future[bytes | Silence | None]


def lookups_on(scripts: RedisScripts) -> Lookups[Asking]:
    return Lookups(scripts, lambda asking, reply: asking.reply.set_result(reply))


def ask(lookups: Lookups[Asking], key: str) -> asyncio.Future[bytes | Silence | None]:
    asking = Asking(key, asyncio.get_running_loop().create_future())
    lookups.ask(asking)
    return asking.reply


async def test_each_key_gets_its_own_value_and_all_of_one_turn_one_trip(redis_url: str) -> None:
    scripts = Counting(redis_url)
    lookups = lookups_on(scripts)
    await scripts.redis.mset({"lookups:a": b"one", "lookups:b": b"", "lookups:c": b"\r\n$3"})
    await scripts.redis.rpush("lookups:list", "x")
    names = ["lookups:a", "lookups:none", "lookups:b", "lookups:list", "lookups:c", "lookups:a"]
    values = await asyncio.gather(*(ask(lookups, name) for name in names))
    assert values == [b"one", None, b"", None, b"\r\n$3", b"one"]
    assert scripts.asked == [6]
    assert scripts.errors == 0
    await scripts.close()


async def test_what_is_asked_while_a_trip_is_under_way_goes_in_the_next_one(redis_url: str) -> None:
    scripts = Counting(redis_url)
    lookups = lookups_on(scripts)
    first = ask(lookups, "lookups:first")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scripts.asked == [1]
    rest = [ask(lookups, f"lookups:{n}") for n in range(AT_ONCE)]
    await asyncio.sleep(0)
    rest += [ask(lookups, f"lookups:{n}") for n in range(AT_ONCE)]
    assert await asyncio.gather(first, *rest) == [None] * (2 * AT_ONCE + 1)
    assert scripts.asked == [1, AT_ONCE, AT_ONCE]
    await ask(lookups, "lookups:later")
    assert scripts.asked[3:] == [1]
    await scripts.close()


async def test_who_came_while_redis_was_silent_is_told_so_with_the_first(redis_url: str) -> None:
    async with Cable(redis_url) as cable:
        scripts = Counting(cable.url)
        lookups = lookups_on(scripts)
        await ask(lookups, "lookups:before")
        cable.hang()
        first = ask(lookups, "lookups:first")
        await asyncio.sleep(0)
        behind = ask(lookups, "lookups:behind")
        assert await asyncio.wait_for(first, 5) is DOWN
        assert behind.done()
        assert behind.result() is DOWN
        assert scripts.errors == 1
        cable.flow()
        assert await ask(lookups, "lookups:after") is None
        await scripts.close()


async def test_a_server_that_is_gone_is_silent() -> None:
    scripts = Counting(f"redis://127.0.0.1:{free_port()}")
    lookups = lookups_on(scripts)
    assert await asyncio.gather(*(ask(lookups, f"lookups:{n}") for n in range(3))) == [DOWN] * 3
    assert scripts.errors == 1
    await scripts.close()
