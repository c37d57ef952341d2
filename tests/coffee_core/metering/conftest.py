"""The tables of the ledger, on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.stores.postgres.store import PostgresStore
from tests.coffee_core.metering.tables import make_tables


@pytest.fixture(scope="session")
async def metered_store(database_url: str) -> AsyncIterator[PostgresStore]:
    await make_tables(database_url)
    store = PostgresStore(DatabaseSettings(url=database_url, pool_max=12))
    await store.open()
    yield store
    await store.close()
