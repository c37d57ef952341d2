"""Identity on PostgreSQL and Valkey, and one without Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coffee_core.cache.redis_client import AnyRedis, open_redis
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.stores.postgres.store import PostgresStore
from tests.modules.identity.rig import Service, migrate, settings_for


@pytest.fixture(scope="session")
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    await migrate(database_url)
    store = PostgresStore(DatabaseSettings(url=database_url, pool_max=8))
    await store.open()
    yield store
    await store.close()


@pytest.fixture(scope="session")
async def service(store: PostgresStore, redis_url: str) -> AsyncIterator[Service]:
    service = Service(store, settings_for(redis_url))
    yield service
    await service.close()


@pytest.fixture(scope="session")
async def alone(store: PostgresStore) -> AsyncIterator[Service]:
    """Without Redis."""
    service = Service(store, settings_for(None))
    yield service
    await service.close()


@pytest.fixture(params=["in Redis", "in process"])
def either(request: pytest.FixtureRequest, service: Service, alone: Service) -> Service:
    """Promises that hold with and without Redis."""
    return service if request.param == "in Redis" else alone


@pytest.fixture(scope="session")
async def redis(redis_url: str) -> AsyncIterator[AnyRedis]:
    client = open_redis(redis_url, timeout=2, max_connections=4)
    yield client
    await client.aclose()
