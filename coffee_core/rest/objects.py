"""Stored rows as detached instances of their Entity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, cast

from sqlalchemy import JSON, Table
from sqlalchemy.orm import configure_mappers
from sqlalchemy.orm.attributes import manager_of_class

from coffee_core.domain.ids import EntityT
from coffee_core.rest.dao_provider import DaoProvider
from coffee_core.rest.many_rows import PLANS_KEPT
from coffee_core.rest.rows import Projection, Rows


class Objects(Generic[EntityT]):
    """For one Entity, whose provider makes plain values of stored ones; its ids do not matter."""

    def __init__(self, entity: type[EntityT], provider: DaoProvider[EntityT, Any]) -> None:
        configure_mappers()  # or the first attribute read of an instance that no query made fails
        table = cast("Table", entity.__table__)
        self._columns = tuple(column.name for column in table.columns)
        self._documents = frozenset(column.name for column in table.columns if isinstance(column.type, JSON))
        self._provider = provider
        self._new: Callable[[], EntityT] = manager_of_class(entity).new_instance
        self._layouts: dict[Projection, tuple[Sequence[str], dict[str, object]]] = {}
        """For each projection the columns to decode, and None for each that is not read."""

    def of(self, found: Rows[EntityT]) -> list[EntityT]:
        """One for each row."""
        projection = found.projection
        columns, plain = projection.columns, self._provider.plain
        documents, missing = self._layouts.get(projection) or self._new_layout(projection)
        out: list[EntityT] = []
        for row in found.rows:
            entity = self._new()
            state: dict[str, object] = vars(entity)
            state.update(missing)
            state.update(zip(columns, row, strict=True))
            for column in documents:
                state[column] = plain(column, state[column])
            out.append(entity)
        return out

    def _new_layout(self, projection: Projection) -> tuple[Sequence[str], dict[str, object]]:
        columns = projection.columns
        missing: dict[str, object] = {c: None for c in self._columns if c not in columns}
        if len(self._layouts) >= PLANS_KEPT:
            self._layouts.clear()
        layout = self._layouts[projection] = ([c for c in columns if c in self._documents], missing)
        return layout
