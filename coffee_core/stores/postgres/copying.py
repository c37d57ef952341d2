"""What a select finds as CSV, written by PostgreSQL's COPY: no value of it becomes an object of Python.

COPY takes no parameters. So the values of the statement are settings of its transaction, each bound by the protocol as
a parameter is everywhere else, and the statement reads them where the others have their `$1`. Nothing that a caller
sent is ever written into SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, NamedTuple

import sqlalchemy
from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Float,
    Numeric,
    String,
    Text,
    Uuid,
    bindparam,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import Dialect

from coffee_core.rest.dao_provider import SelectShape
from coffee_core.stores.postgres.compiler import Binds, Compiler
from coffee_core.stores.postgres.many import INTEGERS

SETTING = "coffee_copy.p"
"""The settings that hold a statement's values, by number. They last for the one transaction, of a new connection."""
PLAIN = frozenset((*INTEGERS, Boolean, Date, JSONB, Numeric, String, Text, Uuid))
"""Types whose text is what a reader of the CSV expects; by exact class, as a subclass may be kept in another way."""
FLOATS = frozenset((Double, Float))
LISTED = frozenset((*INTEGERS, Boolean, String, Text))
"""Types whose arrays are written as JSON."""

_sql: Any = sqlalchemy  # typed for columns that are known when types are checked


class Copied(NamedTuple):
    """A select that COPY runs. A value that is None is not set, and read as NULL."""

    sql: str
    casts: Sequence[str]
    """By the number of a value, its placeholder with its type: `{}::BIGINT`."""

    def binding(self, values: Sequence[object]) -> tuple[str, list[object]]:
        """The statement that sets the values, and its parameters; no statement if there are none."""
        given = [at for at, value in enumerate(values) if value is not None]
        sets = [
            f"set_config('{SETTING}{at}', ({self.casts[at].format(f'${place}')})::text, true)"
            for place, at in enumerate(given, 1)
        ]
        return f"SELECT {', '.join(sets)}" if sets else "", [values[at] for at in given]


def copied(compiler: Compiler, shape: SelectShape) -> Copied | None:
    """None where a column or a value has a type that is not known here."""
    columns = [_written(compiler.table.c[name]) for name in shape.columns]
    binds = _Settings(compiler.dialect)
    statement = compiler.select(shape, binds).with_only_columns(*columns)
    compiled = statement.compile(dialect=compiler.dialect)
    if any(column is None for column in columns) or None in binds.casts or compiled.positiontup:
        return None
    casts = [cast for cast in binds.casts if cast is not None]
    return Copied(str(compiled), casts)


def _written(column: Column[Any]) -> Any:
    """The column as its text is to be; None if that is not known."""
    kind = type(column.type)
    if kind in PLAIN or (isinstance(column.type, DateTime) and kind is DateTime and column.type.timezone):
        return column
    if kind in FLOATS:
        return _sql.cast(column, Double())  # shortest text that is exact: of a `real` it would be a shorter one
    if isinstance(column.type, ARRAY) and type(column.type.item_type) in LISTED:
        return func.to_json(column).label(column.name)
    return None


class _Settings(Binds):
    """Reads a setting where a statement that takes parameters has one, under the same cast."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self.casts: list[str | None] = []
        self._dialect = dialect

    def next_of(self, type_: Any) -> Any:
        at = len(self.casts)
        self.count += 1
        placeholder, cast, name = str(bindparam("p", type_=type_).compile(dialect=self._dialect)).partition("::")
        known = placeholder == "$1" and cast != ""
        self.casts.append(f"{{}}::{name}" if known else None)
        return _sql.literal_column(f"current_setting('{SETTING}{at}', true)::{name if known else 'text'}", type_)


async def blocks_of(raw: Any, sql: str, size: int) -> AsyncGenerator[bytes, None]:  # Any: asyncpg has no types
    """What COPY writes for `sql`, whole rows in blocks of at least `size` bytes; the next one comes meanwhile."""
    blocks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(1)
    held = bytearray()

    async def take(rows: bytes) -> None:
        held.extend(rows)
        # a row ends at a line break outside of quotes, and quotes within a value are doubled
        if len(held) >= size and held.endswith(b"\n") and held.count(b'"') % 2 == 0:
            await blocks.put(bytes(held))
            held.clear()

    async def copy() -> None:
        try:
            await raw.copy_from_query(sql, output=take, format="csv")
            if held:
                await blocks.put(bytes(held))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the blocks are read
            await blocks.put(error)
        else:
            await blocks.put(None)

    copying = asyncio.create_task(copy())
    try:
        while (block := await blocks.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
    finally:
        copying.cancel()
