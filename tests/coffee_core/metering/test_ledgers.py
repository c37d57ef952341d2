"""Both ledgers keep the contract."""

from __future__ import annotations

import json

import pytest

from coffee_core.metering.ledger import Clock, Ledger
from coffee_core.metering.memory import MemoryLedger
from coffee_core.metering.postgres import PostgresLedger
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.ledger import LedgerBench, LedgerContract
from tests.coffee_core.metering.tables import TABLES
from tests.coffee_core.rest.sample import connection

Kept = list[tuple[str, int | None, dict[str, object]]]


class TestMemoryLedger(LedgerContract):
    async def make(self, clock: Clock) -> Ledger:
        return MemoryLedger(clock)

    async def activities(self, bench: LedgerBench) -> Kept:
        assert isinstance(bench.ledger, MemoryLedger)
        return [(each.type, each.account_id, dict(each.meta)) for each in bench.ledger.activities]


class TestPostgresLedger(LedgerContract):
    @pytest.fixture(autouse=True)
    def _on(self, metered_store: PostgresStore) -> None:
        self.store = metered_store

    async def make(self, clock: Clock) -> Ledger:
        return PostgresLedger(self.store.pool, TABLES, clock=clock)

    async def activities(self, bench: LedgerBench) -> Kept:
        async with connection(self.store.pool.url) as raw:
            await raw.set_type_codec("jsonb", encoder=str, decoder=json.loads, schema="pg_catalog")
            rows = await raw.fetch(
                f"SELECT type, account_id, meta FROM {TABLES.activities} WHERE partner_id = $1", bench.partner
            )
        return [tuple(row) for row in rows]
