from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.build import BuiltVerdict
from tests.gateway.verdict.rig import Identity, running, settings


@pytest.fixture(scope="module")
async def identity() -> AsyncIterator[Identity]:
    async with Identity.serve() as identity:
        yield identity


@pytest.fixture(scope="module")
async def verdict(identity: Identity, redis_url: str) -> AsyncIterator[BuiltVerdict]:
    config = settings(identity, redis_url, cors_origins=("https://app.example.com", "https://*.pages.example"))
    async with running(config) as built:
        yield built
