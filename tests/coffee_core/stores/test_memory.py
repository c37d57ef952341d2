"""The memory store keeps the contract."""

from coffee_core.rest.container import Store
from coffee_core.stores.memory.store import MemoryStore
from coffee_core.testing.dao_provider import DaoProviderContract


class TestMemoryStore(DaoProviderContract):
    """As PostgreSQL does."""

    async def make(self) -> Store:
        return MemoryStore()
