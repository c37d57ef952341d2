"""One platform for all of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.end_to_end.callers import USERS, Callers
from tests.end_to_end.platform import Platform


@pytest.fixture(scope="package")
async def callers(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> AsyncIterator[Callers]:
    """All of them logged in, at one platform for the tests of this folder."""
    folder: Path = tmp_path_factory.mktemp("contract")
    platform = Platform(folder, redis_url)
    platform.env["COFFEE_GATEWAY_CORS_ORIGINS"] = "https://app.example.com"
    async with (
        platform.up(),
        httpx2.AsyncClient(base_url=platform.gateway, trust_env=False, timeout=20) as client,
    ):
        callers = Callers(client)
        for name in USERS:
            callers.tokens[name] = (await callers.login(name)).json()["data"][0]
        yield callers
