"""The Redis of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coffee_core.cache.redis_scripts import RedisScripts


@pytest.fixture(scope="session")
async def scripts(redis_url: str) -> AsyncIterator[RedisScripts]:
    """Patient, because the machine may be busy."""
    scripts = RedisScripts.open(redis_url, timeout=10, max_connections=8)
    yield scripts
    await scripts.close()
