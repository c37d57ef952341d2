"""The module with its neighbours on real servers, made once for the session."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from coffee_core.embedded.fresh_database import fresh_database
from coffee_core.embedded.servers import Servers
from coffee_core.metering.grants import FixedGrants
from coffee_core.metering.memory import MemoryLedger
from coffee_core.metering.meter import Meter
from coffee_core.persistence.migrations.runner import History
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.rest.container import Container
from coffee_core.stores.clickhouse.migrations import upgrade
from coffee_core.stores.clickhouse.settings import ClickHouseSettings
from coffee_core.stores.clickhouse.store import ClickHouseStore
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.api_client import ApiClient
from coffee_core.testing.events import RecordedEvents
from coffee_core.testing.running import migrate, running
from modules.discovery.demo import sample
from modules.discovery.module import DISCOVERY
from modules.discovery.needs import ProfileTables
from modules.social_profile import demo as profiles_demo
from modules.social_profile.module import SOCIAL_PROFILE
from modules.social_profile.published import PublishedProfiles
from tests.servers import url_of

MODULES = [SOCIAL_PROFILE, DISCOVERY]
PARTNERS = itertools.count(7000)
LIMITS = {"DISCOVERY": 100_000, "PROFILE_PAGE": 100_000}


@dataclass
class World:
    """One application with the demo's profiles and series."""

    api: ApiClient
    store: PostgresStore
    analytics: ClickHouseStore
    containers: list[Container]
    limits: dict[str, int]
    events: RecordedEvents = field(default_factory=RecordedEvents)

    @property
    def container(self) -> Container:
        return self.containers[0]

    def partner(self) -> ApiClient:
        """Somebody new, on PAID."""
        return self.api.as_partner(next(PARTNERS))

    @property
    def operator(self) -> ApiClient:
        return self.api.as_partner(0)


@pytest.fixture(scope="session")
async def world(servers: Servers, clickhouse_url: str) -> AsyncIterator[World]:
    async with fresh_database(await url_of("COFFEE_TEST_DATABASE_URL", servers, "postgres")) as url:
        await migrate(url, MODULES)
        store = PostgresStore(DatabaseSettings(url=SecretStr(url), read_url=SecretStr(""), pool_max=8))
        analytics = ClickHouseStore(ClickHouseSettings(url=SecretStr(clickhouse_url)))
        await upgrade(analytics.connection, [History("discovery", "modules.discovery.migrations")], lambda _: None)
        await store.open()
        events, containers, limits = RecordedEvents(), list[Container](), dict(LIMITS)
        grants = FixedGrants(limits)
        grants.limits = limits

        def wiring(container: Container) -> None:
            containers.append(container)
            container.meet(Meter, Meter(MemoryLedger(), grants))
            container.meet(ProfileTables, PublishedProfiles(container))  # type: ignore[type-abstract]  # mypy #4717

        async with running(MODULES, store, events=events, analytics=analytics, wiring=wiring) as api:
            await profiles_demo.sample(containers[0])
            await sample(containers[0])
            yield World(api, store, analytics, containers, limits, events)
        await analytics.close()
        await store.close()


@pytest.fixture
def api(world: World) -> ApiClient:
    """A partner that no other test has."""
    world.events.raised.clear()
    return world.partner()


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COFFEE_DISCOVERY_")]:
        monkeypatch.delenv(name)
