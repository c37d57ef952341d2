"""One Entity in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal, cast

import asyncpg
import msgspec
import orjson
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import JSONB

from coffee_core.domain.context import CURRENT
from coffee_core.domain.ids import EntityT, IdT
from coffee_core.persistence.driver import Prepared
from coffee_core.persistence.errors import translate
from coffee_core.persistence.pool import Connection, Pool, PostgresTransaction
from coffee_core.persistence.unit_of_work import UnitOfWork
from coffee_core.rest.dao_provider import (
    CountShape,
    DaoProvider,
    Features,
    Row,
    SelectShape,
    Shape,
    StatementPlan,
    UpsertShape,
)
from coffee_core.rest.rows import picking
from coffee_core.stores.model import answered
from coffee_core.stores.postgres.compiler import Binds, Compiled, Compiler, like_patterns
from coffee_core.stores.postgres.copying import Copied, blocks_of, copied
from coffee_core.stores.postgres.many import to_json

_decode_json = msgspec.json.Decoder().decode
_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


def _estimate(rows: Sequence[Row]) -> Sequence[Row]:
    """The planner's guess, as the one number of a count."""
    return [[int(orjson.loads(rows[0][0])[0]["Plan"]["Plan Rows"])]]


class PostgresPlan(StatementPlan[EntityT]):
    """A compiled statement: prepared once on each connection."""

    __slots__ = (
        "_compiler", "_copied", "arrays", "as_given", "estimated", "json_at", "listed", "lists", "many",
        "ordered", "sql", "text_at",
    )  # fmt: skip

    def __init__(
        self, shape: Shape, columns: tuple[str, ...], compiler: Compiler, compiled: Compiled | None = None
    ) -> None:
        super().__init__(shape, columns)
        self._compiler = compiler
        self._copied: Copied | Literal["unknown"] | None = "unknown"
        self.many = isinstance(shape, UpsertShape) and compiled is None
        compiled = compiled or compiler.compile(shape)
        self.sql = compiled.sql
        self.ordered = None if compiled.order is None else picking(compiled.order)
        self.json_at = compiled.json_at
        self.text_at = compiled.text_at
        self.arrays = compiled.arrays
        self.lists = compiled.lists
        self.listed: PostgresPlan[EntityT] | None = None
        """Of many rows, the statement that takes them as lists."""
        if self.lists is not None:
            self.listed = PostgresPlan(shape, columns, compiler, Compiled(compiled.listed, None, Binds()))
        self.as_given = not (self.many or self.json_at or self.text_at) and self.ordered is None
        """Whether the values are the statement's parameters as they come."""
        self.estimated = isinstance(shape, CountShape) and shape.estimated
        if self.estimated:
            self.sql = f"EXPLAIN (FORMAT JSON) {self.sql.replace('count(*)', '1', 1)}"

    def copied(self) -> Copied | None:
        """The same select for COPY, if there is one; compiled when it is first asked for."""
        if self._copied == "unknown":
            self._copied = copied(self._compiler, cast("SelectShape", self.shape))
        return self._copied

    def way(self, values: Sequence[object]) -> tuple[PostgresPlan[EntityT], Sequence[object]]:
        """The statement for just these many rows, and what it takes."""
        if self.lists is None or self.listed is None:
            return self, values
        lists = self.lists.of(cast("Sequence[Sequence[object]]", values))
        return (self, values) if lists is None else (self.listed, lists)

    def arguments(self, values: Sequence[object]) -> Sequence[object]:
        """The statement's parameters, in its order."""
        if self.many:
            rows = cast("Sequence[Sequence[object]]", values)
            if self.arrays is not None:
                return self.arrays.of(rows)
            columns = cast("UpsertShape", self.shape).columns
            return (to_json([dict(zip(columns, row, strict=True)) for row in rows]),)
        values = self.read(values)
        return values if self.ordered is None else self.ordered(values)

    def read(self, values: Sequence[object]) -> Sequence[object]:
        """The values as the server takes them, in the order of the shape."""
        if self.json_at or self.text_at:
            values = list(values)
            for at in self.json_at:
                if values[at] is not None:
                    values[at] = to_json(values[at])
            for at in self.text_at:
                values[at] = like_patterns(cast("str", values[at]))
        return values


class PostgresDaoProvider(DaoProvider[EntityT, IdT]):
    """`PostgresDaoProvider(ItemEntity, ItemEntity.id.key, pool)`; usually made by the container."""

    def __init__(self, entity: type[EntityT], id_column: str, pool: Pool) -> None:
        self._table = cast("Table", entity.__table__)
        self._compiler = Compiler(self._table, id_column)
        self._pool = pool
        self._json = frozenset(c.name for c in self._table.columns if isinstance(c.type, JSONB))
        self._limit = pool.settings.statements_per_connection

    @property
    def features(self) -> Features:
        """All of it."""
        return Features()

    @property
    def column_types(self) -> Mapping[str, type]:
        """Python type of each column."""
        return {c.name: dict if isinstance(c.type, JSONB) else c.type.python_type for c in self._table.columns}

    def key(self, id: IdT, /) -> object:
        """The id itself."""
        return id

    def plan(self, shape: Shape) -> PostgresPlan[EntityT]:
        """Compile with SQLAlchemy Core."""
        return PostgresPlan(shape, answered(shape), self._compiler)

    async def run(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> Sequence[Row]:
        """In the current unit of work's transaction, or alone."""
        statement: PostgresPlan[EntityT] = plan  # type: ignore[assignment]  # made by `plan` above; a cast is a call
        given = values
        if statement.many:
            statement, given = statement.way(values)
        context = CURRENT.get(None)
        work = None if context is None else context.work
        if work is not None and work.transactional:  # type: ignore[attr-defined]  # the one Work there is: UnitOfWork
            return await self._run_within(cast("UnitOfWork", work), statement, given)
        pool = self._pool
        connection = pool.ready() or await pool.take()
        try:
            prepared = connection.statements.get(statement) or await self._prepare(connection, statement)
            arguments = given if statement.as_given else statement.arguments(given)
            rows: Sequence[Row] = await prepared.run(arguments, "", 0, False, None)
        except asyncpg.InvalidCachedStatementError as error:  # refused before it ran
            connection.translated(error)
            pool.give(connection)
            return await self.run(plan, values)
        except asyncpg.DataError as error:  # of the driver's own: the server has parsed, and waits for the values
            pool.mend(connection)
            raise translate(error) from error
        except _DRIVER_ERRORS as error:
            pool.give(connection)
            raise translate(error) from error
        except asyncpg.OutdatedSchemaCacheError:
            connection.retire()
            pool.give(connection)
            raise
        except BaseException:
            pool.mend(connection)
            raise
        pool.pass_on(connection)
        return _estimate(rows) if statement.estimated else rows

    async def _run_within(
        self, work: UnitOfWork, statement: PostgresPlan[EntityT], values: Sequence[object]
    ) -> Sequence[Row]:
        async with work.lock:
            connection = cast("PostgresTransaction", await work.join(self._pool)).connection
            try:
                prepared = connection.statements.get(statement) or await self._prepare(connection, statement)
                rows: Sequence[Row] = await prepared.run(statement.arguments(values), "", 0, False, None)
            except _DRIVER_ERRORS as error:
                raise connection.translated(error) from error
            except asyncpg.OutdatedSchemaCacheError:
                connection.retire()
                raise
        return _estimate(rows) if statement.estimated else rows

    async def _prepare(self, connection: Connection, statement: PostgresPlan[EntityT]) -> Prepared:
        return await connection.prepare(statement, statement.sql, self._limit)

    async def stream(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> AsyncIterator[Sequence[Row]]:
        """Through a server-side cursor in a read-only snapshot, `stream_batch` rows at a time."""
        statement = cast("PostgresPlan[EntityT]", plan)
        size = self._pool.settings.stream_batch
        async with self._pool.snapshot() as connection:
            try:
                cursor = await connection.raw.cursor(statement.sql, *statement.arguments(values))
                rows: Sequence[Row] = await cursor.fetch(size)
                while rows:
                    # the server makes the next batch while this one is written out
                    ahead = asyncio.ensure_future(cursor.fetch(size))
                    try:
                        await asyncio.sleep(0)  # or the question would leave only when somebody waits for the answer
                        yield rows
                        rows = await ahead
                    finally:
                        if ahead.done() and not ahead.cancelled():
                            ahead.exception()  # seen, where nobody reads on
                        ahead.cancel()
            except _DRIVER_ERRORS as error:
                raise translate(error) from error

    def writes_csv(self, plan: StatementPlan[EntityT]) -> bool:
        """Unless there is a type in it whose text may be another than the value that the driver makes of it."""
        return cast("PostgresPlan[EntityT]", plan).copied() is not None

    async def csv(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> AsyncIterator[bytes]:
        """By COPY in a read-only snapshot, in blocks of `stream_bytes`."""
        statement = cast("PostgresPlan[EntityT]", plan)
        copied = statement.copied()
        assert copied is not None, "not every select can be copied: see `writes_csv`"
        async with self._pool.snapshot() as connection:
            try:
                sql, parameters = copied.binding(statement.read(values))
                if sql:
                    await connection.raw.fetch(sql, *parameters)
                blocks = blocks_of(connection.raw, copied.sql, self._pool.settings.stream_bytes)
                async with aclosing(blocks):
                    async for block in blocks:
                        yield block
            except _DRIVER_ERRORS as error:
                raise translate(error) from error

    def plain(self, column: str, value: Any) -> object:  # Any: a stored value of any column type
        """JSON decoded; everything else is plain already."""
        if value is not None and column in self._json:
            return _decode_json(value)
        return cast("object", value)
