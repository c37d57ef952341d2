"""The module with those that meet its needs, on PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.api_client import ApiClient
from coffee_core.testing.events import RecordedEvents
from coffee_core.testing.running import migrate, running
from modules.identity.module import IDENTITY
from modules.partner_usage.module import PARTNER_USAGE
from modules.social_profile.module import SOCIAL_PROFILE
from modules.wiring import meet_needs
from tests.coffee_core.rest.sample import connection

PARTNERS = itertools.count(6_000_000)
BASE = "/partner-usage-service/api/partner"
SINCE = datetime(2024, 1, 31, tzinfo=UTC)


def monthly(limit: int, **more: str) -> dict[str, object]:
    return {"limit": limit, "frequency": "monthly", **more}


class Office:
    """Partners with contracts, and callers of theirs."""

    def __init__(self, url: str, api: ApiClient) -> None:
        self.url = url
        self.api = api
        self.operator = api.as_partner(0)

    async def partner(self, **limits: dict[str, object]) -> ApiClient:
        """A caller of a new partner; with limits it has a contract on the plan SAAS since SINCE."""
        id = next(PARTNERS)
        async with connection(self.url) as raw:
            await raw.execute("INSERT INTO identity.partner (id, name) OVERRIDING SYSTEM VALUE VALUES ($1, 'P')", id)
        if limits:
            await self.sign(id, limits)
        return self.api.as_partner(id)

    async def sign(self, partner: int | None, limits: dict[str, dict[str, object]], **columns: Any) -> int:
        contract = {"contract_type": "SAAS", "plan": "SAAS", "start_time": SINCE, "end_time": None, **columns}
        insert = (
            "INSERT INTO identity.contract (partner_id, configurations, contract_type, plan, start_time, end_time) "
            "VALUES ($1, $2::text::jsonb, $3, $4, $5, $6) RETURNING id"
        )
        async with connection(self.url) as raw:
            return int(await raw.fetchval(insert, partner, orjson.dumps(limits).decode(), *contract.values()))

    async def execute(self, sql: str, *values: object) -> None:
        async with connection(self.url) as raw:
            await raw.execute(sql, *values)

    async def value(self, sql: str, *values: object) -> Any:
        async with connection(self.url) as raw:
            return await raw.fetchval(sql, *values)

    async def used(self, caller: ApiClient) -> dict[str, dict[str, Any]]:
        """What a partner sees of himself, by namespace."""
        (record,) = (await caller.get(f"{BASE}/{caller.partner}")).data
        return {each["namespace"]: each for each in record["usage"]}


@pytest.fixture(scope="session")
async def usage_store(database_url: str) -> AsyncIterator[PostgresStore]:
    await migrate(database_url, [IDENTITY, SOCIAL_PROFILE, PARTNER_USAGE])
    async with connection(database_url) as raw:
        for number in range(1, 9):
            await raw.execute(
                "INSERT INTO social_profile.instagram (ig_id, handle, is_blacklisted, is_verified, followers) "
                "VALUES ($1, $2, false, false, $3) ON CONFLICT DO NOTHING",
                f"usage{number}", f"cook{number}", number,
            )  # fmt: skip
    url = SecretStr(database_url)
    store = PostgresStore(DatabaseSettings(url=url, read_url=SecretStr(""), pool_max=8))
    await store.open()
    yield store
    await store.close()


@pytest.fixture(scope="session")
async def office(usage_store: PostgresStore) -> AsyncIterator[Office]:
    async with running([PARTNER_USAGE], usage_store, events=RecordedEvents(), wiring=meet_needs) as api:
        yield Office(usage_store.pool.url, api)
