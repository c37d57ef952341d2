"""ClickHouse as a store: one client, a provider for each Entity."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import cast

from sqlalchemy import Table
from sqlalchemy.orm import InstrumentedAttribute

from coffee_core.domain.errors import UnavailableError
from coffee_core.domain.ids import EntityT, IdT
from coffee_core.stores.clickhouse.connection import NOT_CONFIGURED, Connection
from coffee_core.stores.clickhouse.ids import Ids
from coffee_core.stores.clickhouse.provider import ClickHouseDaoProvider
from coffee_core.stores.clickhouse.settings import ClickHouseSettings
from coffee_core.stores.model import Model, utc_now


class ClickHouseStore:
    """`ClickHouseStore(settings)`; connects at the first statement. Without a URL every statement is answered
    `UnavailableError` with a sentence, and nothing else of the platform is touched."""

    def __init__(self, settings: ClickHouseSettings, *, now: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.connection = Connection(settings)
        self._now = now
        self._ids = Ids()

    async def open(self) -> None:
        """Connect now, to find out early; without a URL there is nothing to do."""
        if self.settings.url.get_secret_value():
            await self.connection.client()

    async def close(self) -> None:
        """Close the connections."""
        await self.connection.close()

    def provider(self, entity: type[EntityT], id: InstrumentedAttribute[IdT]) -> ClickHouseDaoProvider[EntityT, IdT]:
        """The provider for `entity`."""
        model = Model(cast("Table", entity.__table__), self._now, self._ids.next_id)
        return ClickHouseDaoProvider(model, id.key, self.connection)

    async def check(self) -> str | None:
        """Ready when a statement is answered."""
        if not self.settings.url.get_secret_value():
            return NOT_CONFIGURED
        try:
            await self.connection.query("SELECT 1", {})
        except UnavailableError as error:
            return error.detail
        return None
