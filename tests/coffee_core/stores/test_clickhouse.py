"""The ClickHouse store keeps the contract, without transactions and unique keys."""

import pytest
from pydantic import SecretStr

from coffee_core.rest.container import Store
from coffee_core.rest.dao_provider import Features
from coffee_core.stores.clickhouse.settings import ClickHouseSettings
from coffee_core.stores.clickhouse.store import ClickHouseStore
from coffee_core.testing.dao_provider import DaoProviderContract


class TestClickHouseStore(DaoProviderContract):
    """What an analytics store can keep."""

    features = Features(transactions=False, unique_keys=False)

    @pytest.fixture(autouse=True)
    def _on(self, clickhouse_store: ClickHouseStore) -> None:
        self.store = clickhouse_store

    async def make(self) -> Store:
        return self.store

    async def make_lost(self) -> Store | None:
        return ClickHouseStore(ClickHouseSettings(url=SecretStr("http://nobody:x@127.0.0.1:1/nowhere")))
