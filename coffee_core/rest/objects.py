"""Stored rows as detached instances of their Entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, cast

from sqlalchemy import JSON, Table
from sqlalchemy.orm import configure_mappers
from sqlalchemy.orm.attributes import manager_of_class

from coffee_core.domain.ids import EntityT
from coffee_core.rest.dao_provider import DaoProvider, Row
from coffee_core.rest.many_rows import PLANS_KEPT
from coffee_core.rest.rows import Projection, Rows, picking


class _Layout(NamedTuple):
    """Of the rows of one projection, where some names are wanted."""

    pick: Callable[[Row], Row] | None
    """None where it is what a row begins with."""
    names: Sequence[str]
    """Of what is picked."""
    documents: Sequence[str]
    """Those to decode."""
    blank: Mapping[str, object]
    """None under each name, if some are not read."""


class Objects(Generic[EntityT]):
    """For one Entity, whose provider makes plain values of stored ones; its ids do not matter."""

    def __init__(self, entity: type[EntityT], provider: DaoProvider[EntityT, Any]) -> None:
        configure_mappers()  # or the first attribute read of an instance that no query made fails
        table = cast("Table", entity.__table__)
        self._columns = tuple(column.name for column in table.columns)
        self._documents = frozenset(column.name for column in table.columns if isinstance(column.type, JSON))
        self._provider = provider
        self._new: Callable[[], EntityT] = manager_of_class(entity).new_instance
        self._layouts: dict[tuple[Projection, tuple[str, ...]], _Layout] = {}

    def of(self, found: Rows[EntityT]) -> list[EntityT]:
        """One for each row."""
        out: list[EntityT] = []
        for values in self.values(found, self._columns):
            entity = self._new()
            vars(entity).update(values)
            out.append(entity)
        return out

    def values(self, found: Rows[EntityT], names: tuple[str, ...]) -> list[dict[str, object]]:
        """For each row what stands under these names; None under one that is no column, or was not read."""
        wanted, plain = (found.projection, names), self._provider.plain
        pick, read, documents, blank = self._layouts.get(wanted) or self._new_layout(wanted)
        out: list[dict[str, object]] = []
        for row in found.rows:
            values: dict[str, object] = dict(zip(read, row if pick is None else pick(row)))  # noqa: B905 - as long as `read`
            if blank:
                values = {**blank, **values}
            for column in documents:
                values[column] = plain(column, values[column])
            out.append(values)
        return out

    def _new_layout(self, wanted: tuple[Projection, tuple[str, ...]]) -> _Layout:
        columns, names = wanted[0].columns, wanted[1]
        places = {column: place for place, column in enumerate(columns)}
        read = [name for name in names if name in places]
        pick = None if read == list(columns[: len(read)]) else picking([places[name] for name in read])
        documents = [name for name in read if name in self._documents]
        if len(self._layouts) >= PLANS_KEPT:
            self._layouts.clear()
        blank = {} if len(read) == len(names) else dict.fromkeys(names)
        layout = self._layouts[wanted] = _Layout(pick, read, documents, blank)
        return layout
