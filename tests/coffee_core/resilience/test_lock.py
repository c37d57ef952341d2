"""One holder at a time, tokens that grow, and a holder that learns when it is no more."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.domain.errors import UnavailableError
from coffee_core.resilience.lock import LockBusyError, LockLostError, RedisLocks
from tests.support.cable import Cable

HOLDER = """
import asyncio, sys
from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.resilience.lock import LockLostError, RedisLocks

async def main(url, name):
    locks = RedisLocks(RedisScripts.open(url, timeout=5))
    try:
        async with locks.hold(name, seconds=1) as held:
            print(held.fence, flush=True)
            await asyncio.sleep(60)
    except LockLostError as error:
        print(error, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def locks(scripts: RedisScripts) -> RedisLocks:
    return RedisLocks(scripts)


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@asynccontextmanager
async def holder(url: str, name: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Another process that has it, and its token."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, url, name, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_one_holds_it_and_the_next_gets_a_larger_token(locks: RedisLocks, name: str) -> None:
    async with locks.hold(name) as first:
        with pytest.raises(LockBusyError, match="held by another") as busy:
            async with locks.hold(name):
                pass
        assert 0 < busy.value.retry_after <= 10
    async with locks.hold(name) as second:
        assert second.fence > first.fence


async def test_of_many_at_once_one_is_inside_and_all_come_in(locks: RedisLocks, name: str) -> None:
    inside, most, fences = 0, 0, []

    async def work() -> None:
        nonlocal inside, most
        async with locks.hold(name, wait=60) as held:
            inside += 1
            most = max(most, inside)
            fences.append(held.fence)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(8)))
    assert most == 1
    assert fences == sorted(set(fences))


async def test_it_is_kept_for_as_long_as_the_block_takes(locks: RedisLocks, name: str, scripts: RedisScripts) -> None:
    async with locks.hold(name, seconds=3):
        await scripts.redis.pexpire(f"lock:{{{name}}}", 1500)
        while await scripts.redis.pttl(f"lock:{{{name}}}") <= 1500:  # until it is prolonged
            await asyncio.sleep(0.01)
    assert await scripts.redis.exists(f"lock:{{{name}}}") == 0


async def test_who_dies_holding_it_leaves_it_to_the_next_in_time(locks: RedisLocks, name: str, redis_url: str) -> None:
    async with holder(redis_url, name) as (process, fence):
        process.kill()
        async with locks.hold(name, wait=60) as held:
            assert held.fence > fence


async def test_who_was_stalled_learns_that_another_has_it(locks: RedisLocks, name: str, redis_url: str) -> None:
    async with holder(redis_url, name) as (process, fence):
        process.send_signal(signal.SIGSTOP)
        async with locks.hold(name, wait=60) as held:
            assert held.fence > fence  # what the stalled one may still write, a store refuses
            process.send_signal(signal.SIGCONT)
            said, _ = await process.communicate()
            assert said.decode().strip() == f"the lock {name!r} could not be kept"
        assert process.returncode == 0


async def test_a_lock_that_the_server_has_forgotten_is_lost_and_tokens_still_grow(
    locks: RedisLocks, name: str, scripts: RedisScripts
) -> None:
    """A clock of the server that jumps ends keys too early; a restart without its data does as well."""
    with pytest.raises(LockLostError):
        async with locks.hold(name, seconds=0.5) as first:
            await scripts.redis.delete(f"lock:{{{name}}}", f"lock:{{{name}}}:fence")
            await asyncio.sleep(60)
    async with locks.hold(name) as second:
        assert second.fence > first.fence


async def test_tokens_grow_though_the_servers_clock_is_set_back(
    locks: RedisLocks, name: str, scripts: RedisScripts
) -> None:
    ahead = 4_000_000_000_000_000
    await scripts.redis.set(f"lock:{{{name}}}:fence", ahead)
    fences = []
    for _ in range(2):
        async with locks.hold(name) as held:
            fences.append(held.fence)
    assert fences == [ahead + 1, ahead + 2]


async def test_without_redis_nobody_gets_it_and_who_has_it_loses_it(redis_url: str, name: str) -> None:
    async with Cable(redis_url) as cable:
        scripts = RedisScripts.open(cable.url, timeout=0.2, max_connections=2)
        locks = RedisLocks(scripts)
        with pytest.raises(LockLostError):
            async with locks.hold(name, seconds=0.5):
                await cable.cut()
                await asyncio.sleep(60)
        with pytest.raises(UnavailableError, match="cannot be asked for"):
            async with locks.hold(name):
                pass
        await scripts.close()


async def test_who_gives_up_waiting_leaves_nothing_behind(locks: RedisLocks, name: str, scripts: RedisScripts) -> None:
    async with locks.hold(name):

        async def wait() -> None:
            async with locks.hold(name, wait=60):
                pass

        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await scripts.redis.exists(f"lock:{{{name}}}") == 1
    assert await scripts.redis.exists(f"lock:{{{name}}}") == 0


async def test_what_the_block_raises_comes_out_and_the_lock_is_free(locks: RedisLocks, name: str) -> None:
    with pytest.raises(TimeoutError, match="mine"):
        async with locks.hold(name):
            raise TimeoutError("mine")
    async with locks.hold(name):
        pass
