"""The framework's tables, and a pool on them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from coffee_core.persistence.migrations.runner import History, upgrade
from coffee_core.persistence.pool import Pool
from coffee_core.persistence.settings import DatabaseSettings


@pytest.fixture(scope="session")
async def messages_url(database_url: str) -> str:
    """A database with the tables of `coffee_core.messaging`."""
    await upgrade(database_url, [History("coffee", "coffee_core.messaging.migrations")], lambda _: None)
    return database_url


@pytest.fixture(scope="session")
async def pool(messages_url: str) -> AsyncIterator[Pool]:
    pool = Pool(messages_url, DatabaseSettings(url=SecretStr(messages_url), pool_max=8))
    await pool.open()
    yield pool
    await pool.close()
