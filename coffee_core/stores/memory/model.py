"""A table in memory: its model, its keys, its counter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Table

from coffee_core.stores.memory.rows import Rows, UniqueKey, unique_keys
from coffee_core.stores.model import Model


class MemoryModel(Model):
    """Counts ids up as a sequence does: a number that was given out is not taken back."""

    def __init__(self, table: Table, now: Callable[[], datetime]) -> None:
        super().__init__(table, now, self._next_id)
        self.keys: tuple[UniqueKey, ...] = unique_keys(table)
        self._last_id = 0

    def new_rows(self) -> Rows:
        """An empty table."""
        return Rows(self.keys)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id
