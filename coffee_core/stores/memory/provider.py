"""One Entity in the memory store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from coffee_core.domain.context import CURRENT
from coffee_core.domain.ids import EntityT, IdT
from coffee_core.persistence.unit_of_work import UnitOfWork
from coffee_core.rest.dao_provider import DaoProvider, Features, Row, Shape, StatementPlan
from coffee_core.stores.memory.model import MemoryModel
from coffee_core.stores.memory.statements import Statement, compile_shape
from coffee_core.stores.memory.transactions import MemoryTransaction, Tables
from coffee_core.stores.model import answered

STREAM_BATCH = 500
"""Rows in one batch of a stream."""


class MemoryPlan(StatementPlan[EntityT]):
    """A compiled statement: a function."""

    __slots__ = ("statement",)

    def __init__(self, shape: Shape, columns: tuple[str, ...], statement: Statement) -> None:
        super().__init__(shape, columns)
        self.statement = statement


class MemoryDaoProvider(DaoProvider[EntityT, IdT]):
    """Made by `MemoryStore.provider`."""

    def __init__(self, model: MemoryModel, id_column: str, tables: Tables) -> None:
        self._model = model
        self._id_column = id_column
        self._tables = tables

    @property
    def features(self) -> Features:
        """All of it."""
        return Features()

    @property
    def column_types(self) -> Mapping[str, type]:
        """Python type of each column."""
        return self._model.column_types

    def key(self, id: IdT, /) -> object:
        """The id itself."""
        return id

    def plan(self, shape: Shape) -> MemoryPlan[EntityT]:
        """Compile to a function."""
        return MemoryPlan(shape, answered(shape), compile_shape(self._model, self._id_column, shape))

    async def run(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> Sequence[Row]:
        """In the current unit of work's transaction, or alone."""
        statement = cast("MemoryPlan[EntityT]", plan).statement
        context = CURRENT.get(None)
        work = None if context is None else context.work
        if isinstance(work, UnitOfWork) and work.transactional:
            async with work.lock:
                transaction = cast("MemoryTransaction", await work.join(self._tables))
                return await transaction.run(self._model, statement, values)
        return await self._tables.run(self._model, statement, values)

    async def stream(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> AsyncIterator[Sequence[Row]]:
        """What is committed at the first step, in batches."""
        statement = cast("MemoryPlan[EntityT]", plan).statement
        found = statement.run(self._tables.rows(self._model), values)
        for start in range(0, len(found), STREAM_BATCH):
            yield found[start : start + STREAM_BATCH]

    def plain(self, column: str, value: Any) -> object:  # Any: a stored value of any column type
        """JSON decoded; everything else is plain already."""
        return self._model.plain(column, value)
