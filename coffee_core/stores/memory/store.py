"""The memory store: tables come into being when their provider is made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import cast

from sqlalchemy import Table
from sqlalchemy.orm import InstrumentedAttribute

from coffee_core.domain.ids import EntityT, IdT
from coffee_core.stores.memory.model import MemoryModel
from coffee_core.stores.memory.provider import MemoryDaoProvider
from coffee_core.stores.memory.transactions import Tables
from coffee_core.stores.model import utc_now


class MemoryStore:
    """`MemoryStore()`; one clock, one writer. Foreign keys, check constraints and partial indexes are not held.

    `wait_seconds`: how long a write waits for another transaction that has written, before `UnavailableError`.
    """

    def __init__(self, *, now: Callable[[], datetime] = utc_now, wait_seconds: float = 5.0) -> None:
        self._now = now
        self._models: dict[Table, MemoryModel] = {}
        self._tables = Tables(wait_seconds)

    def provider(self, entity: type[EntityT], id: InstrumentedAttribute[IdT]) -> MemoryDaoProvider[EntityT, IdT]:
        """The provider for `entity`."""
        table = cast("Table", entity.__table__)
        model = self._models.get(table)
        if model is None:
            model = self._models[table] = MemoryModel(table, self._now)
        return MemoryDaoProvider(model, id.key, self._tables)

    async def check(self) -> str | None:
        """Always ready."""
        return None
