"""The PostgreSQL store keeps the contract."""

import pytest
from pydantic import SecretStr

from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.rest.container import Store
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.dao_provider import DaoProviderContract


class TestPostgresStore(DaoProviderContract):
    """All of it."""

    @pytest.fixture(autouse=True)
    def _on(self, postgres_store: PostgresStore) -> None:
        self.store = postgres_store

    async def make(self) -> Store:
        return self.store

    async def make_lost(self) -> Store | None:
        return PostgresStore(DatabaseSettings(url=SecretStr("postgresql://nobody@127.0.0.1:1/nowhere")))
