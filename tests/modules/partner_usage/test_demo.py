"""What the demo's partners have before they use anything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from coffee_core.domain.context import RequestContext
from coffee_core.embedded.fresh_database import fresh_database
from coffee_core.metering.meter import Meter
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.container import Container
from coffee_core.rest.settings import RestSettings
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.events import RecordedEvents
from coffee_core.testing.running import migrate
from modules.identity.demo import load_demo as load_identity
from modules.identity.module import IDENTITY
from modules.identity.settings import IdentitySettings
from modules.partner_usage.demo import load_demo
from modules.partner_usage.module import PARTNER_USAGE
from modules.partner_usage.tables import TABLES
from modules.social_profile.module import SOCIAL_PROFILE
from modules.wiring import meet_needs
from tests.coffee_core.rest.sample import connection


@pytest.fixture
async def empty_store(database_url: str) -> AsyncIterator[PostgresStore]:
    """A database without anybody."""
    async with fresh_database(database_url) as url:
        await migrate(url, [IDENTITY, SOCIAL_PROFILE, PARTNER_USAGE])
        store = PostgresStore(DatabaseSettings(url=SecretStr(url), read_url=SecretStr(""), pool_max=4))
        await store.open()
        yield store
        await store.close()


async def test_the_demos_partners_have_the_limits_of_their_contracts_and_keep_what_they_used(
    empty_store: PostgresStore,
) -> None:
    rest = RestSettings(cursor_key=SecretStr("a key of the tests"))
    container = Container(store=empty_store, events=RecordedEvents(), rest=rest)
    container.configure(IdentitySettings(redis_url=None, hash_memory_kib=64, hash_passes=1, hash_lanes=1))
    meet_needs(container)
    await load_identity(container)
    await load_demo(container)
    async with acting_as(RequestContext(request_id="r", partner_id=2)):
        await container.need(Meter).use("DISCOVERY")
    await load_demo(container)
    async with connection(empty_store.pool.url) as raw:
        rows = await raw.fetch(f'SELECT partner_id, namespace, "limit", consumed FROM {TABLES.counters}')
    found = {(row["partner_id"], row["namespace"]): (row["limit"], row["consumed"]) for row in rows}
    assert found[2, "DISCOVERY"] == (1000, 1)
    assert found[1, "PROFILE_PAGE"] == (5, 0)
    assert found[3, "CAMPAIGN_REPORT"] == (10_000, 0)
    assert len(found) == 10
