"""A script that a task waits for ends with that task."""

from __future__ import annotations

import asyncio

import pytest

from coffee_core.cache.redis_scripts import RedisScripts


async def test_who_is_cancelled_while_redis_answers_stays_cancelled(redis_url: str) -> None:
    scripts = RedisScripts.open(redis_url, timeout=5)
    try:
        await scripts.run("return 1", ["a"])  # from here on it is connected
        cancelled = 0
        for steps in range(1, 10):  # of the loop; with the first the question has hardly left
            asking = asyncio.ensure_future(scripts.run("return 1", ["a"]))
            for _ in range(steps):
                await asyncio.sleep(0)
            if not asking.done():
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
                cancelled += 1
        assert cancelled
    finally:
        await scripts.close()
