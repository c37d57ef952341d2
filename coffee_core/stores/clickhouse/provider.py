"""One Entity in ClickHouse."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
import orjson
from sqlalchemy import DateTime

from coffee_core.domain.errors import RuleError
from coffee_core.domain.ids import EntityT, IdT
from coffee_core.domain.search import FilterType
from coffee_core.rest.dao_provider import (
    AggregateShape,
    ConditionShape,
    CountShape,
    DaoProvider,
    DeleteShape,
    Features,
    GroupShape,
    InsertShape,
    NodeShape,
    Row,
    SelectShape,
    Shape,
    StatementPlan,
    UpdateShape,
    UpsertShape,
)
from coffee_core.stores.clickhouse.binds import Binds
from coffee_core.stores.clickhouse.compiler import Compiler, Query
from coffee_core.stores.clickhouse.connection import Connection
from coffee_core.stores.clickhouse.table import DELETED, WRITTEN, declaration_of, table_name
from coffee_core.stores.clickhouse.types import column_type, in_range
from coffee_core.stores.model import Model, Stored, Upsert, answered, key_of, refuse_twice

Run = Callable[[Sequence[object]], Awaitable[Sequence[Row]]]


class ClickHousePlan(StatementPlan[EntityT]):
    """A compiled statement. `query` is what a stream runs; only a select has one."""

    __slots__ = ("query", "run")

    def __init__(self, shape: Shape, run: Run, query: Query | None = None) -> None:
        super().__init__(shape, answered(shape))
        self.run = run
        self.query = query


class ClickHouseDaoProvider(DaoProvider[EntityT, IdT]):
    """Made by `ClickHouseStore.provider`. There are no transactions: a write lasts at once, whatever becomes of the
    unit of work. Updates, upserts and deletes need a replacing table: rows are read, changed and written anew."""

    def __init__(self, model: Model, id_column: str, connection: Connection) -> None:
        self._model = model
        self._connection = connection
        self._compiler = Compiler(model, id_column)
        self._kept = declaration_of(model.table)
        self._table = table_name(model.table)
        self._written = 0
        columns = [*model.columns, *((WRITTEN, DELETED) if self._kept.replacing else ())]
        types = [column_type(column) for column in model.columns.values()]
        self._stored_columns = tuple(model.columns)
        self._insert_columns = columns
        self._insert_types = [*types, *(("UInt64", "UInt8") if self._kept.replacing else ())]
        self._times = [name for name, column in model.columns.items() if isinstance(column.type, DateTime)]

    @property
    def features(self) -> Features:
        """No transactions, no unique keys; updates where the Entity says `replacing`."""
        return Features(transactions=False, unique_keys=False, updates=self._kept.replacing)

    @property
    def column_types(self) -> Mapping[str, type]:
        """Python type of each column."""
        return self._model.column_types

    def key(self, id: IdT, /) -> object:
        """The id itself."""
        return id

    def plan(self, shape: Shape) -> ClickHousePlan[EntityT]:
        """Compile."""
        match shape:
            case SelectShape():
                if shape.for_update:
                    raise RuleError(f"{self._table} is kept in ClickHouse, which locks no rows")
                query = self._compiler.select(shape)
                return ClickHousePlan(shape, self._reading(query, shape.columns), query)
            case CountShape():
                return ClickHousePlan(shape, self._reading(self._compiler.count(shape), ()))
            case AggregateShape():
                return ClickHousePlan(shape, self._reading(self._compiler.aggregate(shape), ()))
            case InsertShape(columns, returning):
                insert = self._inserting(UpsertShape(columns, (), returning))
                return ClickHousePlan(shape, _single(insert))
            case UpsertShape():
                return ClickHousePlan(shape, self._upserting(shape) if shape.key else self._inserting(shape))
            case UpdateShape():
                return ClickHousePlan(shape, self._updating(shape))
            case DeleteShape():
                return ClickHousePlan(shape, self._deleting(shape))

    async def run(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> Sequence[Row]:
        """Run at once."""
        return await cast("ClickHousePlan[EntityT]", plan).run(values)

    async def stream(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> AsyncIterator[Sequence[Row]]:
        """One statement, answered block by block: it reads the parts that were there when it began."""
        query = cast("ClickHousePlan[EntityT]", plan).query
        assert query is not None, "only a select can be streamed"
        decode = self._decoder(plan.columns)
        blocks = self._connection.stream(query.sql, query.binds.fill(query.binds.read(values)))
        async for block in blocks:
            yield decode(block)

    def plain(self, column: str, value: Any) -> object:  # Any: a stored value of any column type
        """JSON decoded; everything else is plain already."""
        return self._model.plain(column, value)

    # -- reads

    def _decoder(self, columns: Sequence[str]) -> Callable[[Sequence[Row]], Sequence[Row]]:
        documents = [at for at, name in enumerate(columns) if name in self._model.json]
        if not documents:
            return lambda rows: rows

        def decode(rows: Sequence[Row]) -> Sequence[Row]:
            decoded = [list(row) for row in rows]
            for row in decoded:
                for at in documents:
                    if row[at] is not None:
                        row[at] = msgspec.Raw(row[at].encode())
            return decoded

        return decode

    def _reading(self, query: Query, columns: Sequence[str]) -> Run:
        decode, (sql, binds) = self._decoder(columns), query

        async def run(values: Sequence[object]) -> Sequence[Row]:
            return decode(await self._connection.query(sql, binds.fill(binds.read(values))))

        return run

    async def _stored(self, query: Query, read: Sequence[Any]) -> list[Stored]:
        """Whole rows, documents decoded."""
        rows = await self._connection.query(query.sql, query.binds.fill(read))
        names, plain = self._stored_columns, self._model.plain
        return [{name: plain(name, value) for name, value in zip(names, row, strict=True)} for row in rows]

    # -- writes

    async def _write(self, rows: Sequence[Stored], *, deleted: bool = False) -> None:
        """Insert rows; in a replacing table each takes the place of the one before."""
        if not rows:
            return
        block = [self._block_row(row) for row in rows]
        if self._kept.replacing:
            for values in block:
                self._written = max(self._written + 1, time.time_ns())
                values += [self._written, int(deleted)]
        await self._connection.insert(self._table, self._insert_columns, self._insert_types, block)

    def _block_row(self, row: Stored) -> list[Any]:
        for name in self._times:
            if isinstance(value := row[name], datetime):
                in_range(value)
        return [
            orjson.dumps(value).decode() if value is not None and name in self._model.json else value
            for name, value in row.items()
        ]

    def _inserting(self, shape: UpsertShape) -> Run:
        answer = self._model.answer(shape.returning)

        async def run(values: Sequence[object]) -> Sequence[Row]:
            rows = self._given(shape.columns, values)
            await self._write(rows)
            return [(*answer(row), True) for row in rows]

        return run

    def _given(self, columns: Sequence[str], values: Sequence[object]) -> list[Stored]:
        model = self._model
        return [model.row(model.read(columns, cast("Sequence[object]", row))) for row in values]

    def _require_replacing(self, changed: Sequence[str] = ()) -> None:
        if not self._kept.replacing:
            raise RuleError(f"{self._table} only takes new rows: what is written there stays as it is")
        fixed = [name for name in changed if name in self._kept.order_by]
        if fixed:
            raise RuleError(f"{', '.join(fixed)} of {self._table} cannot change: rows are kept by it")

    def _updating(self, shape: UpdateShape) -> Run:
        self._require_replacing(shape.columns)
        binds = Binds()
        for name in shape.columns:
            binds.value(self._model.readers[name])
        query = self._compiler.rows(self._stored_columns, shape.where, binds)
        answer = self._model.answer(shape.returning)

        async def run(values: Sequence[object]) -> Sequence[Row]:
            read = binds.read(values)
            changed = dict(zip(shape.columns, read, strict=False))
            rows = [self._model.written(row, changed) for row in await self._stored(query, read)]
            await self._write(rows)
            return [answer(row) for row in rows]

        return run

    def _deleting(self, shape: DeleteShape) -> Run:
        self._require_replacing()
        query = self._compiler.rows(self._stored_columns, shape.where, Binds())
        answer = self._model.answer(shape.returning)

        async def run(values: Sequence[object]) -> Sequence[Row]:
            rows = await self._stored(query, query.binds.read(values))
            await self._write(rows, deleted=True)
            return [answer(row) for row in rows]

        return run

    def _upserting(self, shape: UpsertShape) -> Run:
        rule = Upsert(self._model, shape)
        self._require_replacing([name for name in shape.columns if name not in shape.key and name in rule.changing])
        parts: list[NodeShape] = [ConditionShape(FilterType.IN, name) for name in shape.key]
        query = self._compiler.rows(self._stored_columns, GroupShape("and", tuple(parts)), Binds())
        answer = self._model.answer(shape.returning)

        async def run(values: Sequence[object]) -> Sequence[Row]:
            given = self._given(shape.columns, values)
            refuse_twice(given, shape.key)
            read = query.binds.read([[row[name] for row in given] for name in shape.key])
            there = {key_of(row, shape.key): row for row in await self._stored(query, read)}
            written: list[tuple[Stored, bool]] = []
            for new in given:
                old = there.get(key_of(new, shape.key))
                row = new if old is None else rule.change(old, new)
                if row is not None:
                    written.append((row, old is None))
            await self._write([row for row, _ in written])
            return [(*answer(row), created) for row, created in written]

        return run


def _single(many: Run) -> Run:
    async def run(values: Sequence[object]) -> Sequence[Row]:
        return [row[:-1] for row in await many([values])]

    return run
