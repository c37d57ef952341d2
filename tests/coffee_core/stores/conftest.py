"""The contract's tables on real servers, made once for the session."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateSchema

from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.stores.clickhouse.settings import ClickHouseSettings
from coffee_core.stores.clickhouse.store import ClickHouseStore
from coffee_core.stores.clickhouse.table import create_table
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.dao_provider import ContractEntity, Note, Sample


@pytest.fixture(scope="session")
async def contract_database(database_url: str) -> str:
    """The URL of a database that has the contract's tables."""
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://", 1))
    async with engine.begin() as connection:
        await connection.execute(CreateSchema("coffee_contract"))
        await connection.run_sync(ContractEntity.metadata.create_all)
    await engine.dispose()
    return database_url


@pytest.fixture(scope="session")
async def postgres_store(contract_database: str) -> AsyncIterator[PostgresStore]:
    """The PostgreSQL store on them."""
    store = PostgresStore(DatabaseSettings(url=SecretStr(contract_database)))
    await store.open()
    yield store
    await store.close()


@pytest.fixture(scope="session")
async def clickhouse_store(clickhouse_url: str) -> AsyncIterator[ClickHouseStore]:
    """The ClickHouse store on tables of its own."""
    store = ClickHouseStore(ClickHouseSettings(url=SecretStr(clickhouse_url)))
    for entity in (Sample, Note):
        await store.connection.command(create_table(entity))
    yield store
    await store.close()
