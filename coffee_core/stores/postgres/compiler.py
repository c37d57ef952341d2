"""Shapes to SQL: SQLAlchemy Core writes it, once for each shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

import sqlalchemy
from sqlalchemy import BigInteger, Boolean, Column, Float, Table, Text, and_, bindparam, func, or_
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.elements import Grouping

from coffee_core.domain.search import FilterType
from coffee_core.rest.dao_provider import (
    AggregateShape,
    ConditionShape,
    CountShape,
    DeleteShape,
    FlagShape,
    GroupShape,
    InsertShape,
    JsonKind,
    NodeShape,
    SelectShape,
    Shape,
    TextShape,
    UpdateShape,
    UpsertShape,
)
from coffee_core.stores.aggregates import check
from coffee_core.stores.postgres.aggregates import aggregate
from coffee_core.stores.postgres.lists import Lists, listed_rows, lists_of
from coffee_core.stores.postgres.many import Arrays, arrays_of, many_rows
from coffee_core.stores.postgres.text import ordered

# SQLAlchemy's typed builders know columns at check time; ours are known at run time only: Any at this one place.
_sql: Any = sqlalchemy

Comparison = Callable[[ColumnElement[Any], ColumnElement[Any]], ColumnElement[bool]]

COMPARISONS: dict[FilterType, Comparison] = {
    FilterType.EQ: lambda c, v: c == v,
    FilterType.NE: lambda c, v: c != v,
    FilterType.GT: lambda c, v: c > v,
    FilterType.GTE: lambda c, v: c >= v,
    FilterType.LT: lambda c, v: c < v,
    FilterType.LTE: lambda c, v: c <= v,
    FilterType.LIKE: lambda c, v: c.like(v),
    FilterType.ILIKE: lambda c, v: c.ilike(v),
}

BEYOND: dict[tuple[bool, bool], FilterType] = {
    (False, False): FilterType.GT,
    (False, True): FilterType.GTE,
    (True, False): FilterType.LT,
    (True, True): FilterType.LTE,
}
"""What is read from a place on: by whether the way leads downwards, and whether the place's own row is part of it."""

# Any: SQLAlchemy's type objects share no useful base with a type parameter of their own
JSON_TYPES: dict[JsonKind, tuple[str, Any]] = {
    JsonKind.NUMBER: ("'number'", Float()),
    JsonKind.BOOLEAN: ("'boolean'", Boolean()),
    JsonKind.TEXT: ("'string'", Text()),
}


class Compiled:
    """SQL text and, by position of the statement's parameters, which value of the shape's goes there."""

    __slots__ = ("arrays", "json_at", "listed", "lists", "order", "sql", "text_at")

    def __init__(self, sql: str, order: tuple[int, ...] | None, binds: Binds, arrays: Arrays | None = None) -> None:
        self.sql = sql
        self.order = order
        self.json_at = tuple(binds.json_at)
        self.text_at = tuple(binds.text_at)
        self.arrays = arrays
        """Of many rows, if they travel as arrays."""
        self.lists: Lists | None = None
        """The same, if they can travel as lists."""
        self.listed = ""
        """The statement that takes those."""


class Compiler:
    """For one table. Values are always bound; only names declared in the Entity are written into SQL."""

    def __init__(self, table: Table, id_column: str) -> None:
        self.table = table
        self.id_column = id_column
        self.dialect = asyncpg_dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its constructor untyped

    def compile(self, shape: Shape) -> Compiled:
        """The statement for a shape."""
        binds = Binds()
        match shape:
            case SelectShape():
                statement = self.select(shape, binds)
            case CountShape():
                statement = _sql.select(func.count()).select_from(self.table).where(self._where(shape.where, binds))
            case AggregateShape():
                check(shape, dict(self.table.c))
                statement = aggregate(self.table, shape, self._where(shape.where, binds))
                statement = statement.limit(binds.next_of(BigInteger())).offset(binds.next_of(BigInteger()))
            case InsertShape():
                values = {c: binds.next(self._column(c)) for c in shape.columns}
                statement = _sql.insert(self.table).values(values).returning(*self._columns(shape.returning))
            case UpdateShape():
                statement = self._update(shape, binds)
            case DeleteShape():
                where = self._where(shape.where, binds)
                statement = _sql.delete(self.table).where(where).returning(*self._columns(shape.returning))
            case UpsertShape():
                return self._many(shape, binds)
            case _:
                assert_never(shape)
        compiled = statement.compile(dialect=self.dialect)
        order = tuple(int(name[1:]) for name in compiled.positiontup or ())
        return Compiled(str(compiled), None if order == tuple(range(binds.count)) else order, binds)

    def _column(self, name: str) -> Column[Any]:
        return self.table.c[name]

    def _columns(self, names: tuple[str, ...]) -> list[Column[Any]]:
        return [self.table.c[name] for name in names]

    # -- reads

    def select(self, shape: SelectShape, binds: Binds) -> Any:
        """The select itself, not compiled yet: `binds` says how it takes its values."""
        statement = _sql.select(*self._columns(shape.columns)).where(self._where(shape.where, binds))
        if shape.for_update:
            statement = statement.with_for_update()
        if shape.order is None:
            return statement
        name, descending = shape.order[0], shape.order[1] != shape.backwards
        beyond = [] if shape.after == "none" else self._beyond(shape, name, binds, descending=descending)
        sort, id_column = ordered(self._column(name)), ordered(self._column(self.id_column))
        by = self._by(shape, name, sort, id_column)
        if shape.each:
            return self._of_each(statement, shape, by, binds)
        limit = binds.next_of(BigInteger())
        if len(beyond) > 1:
            statement = statement.add_columns(sort.label("place_sort"), id_column.label("place_id"))
            parts = [statement.where(part).order_by(*by).limit(limit) for part in beyond]
            rows = _sql.union_all(*parts).subquery()
            statement = _sql.select(*[rows.c[column] for column in shape.columns])
            by = self._by(shape, name, rows.c.place_sort, rows.c.place_id)
        elif beyond:
            statement = statement.where(beyond[0])
        statement = statement.order_by(*by).limit(limit)
        return statement.offset(binds.next_of(BigInteger())) if shape.offset else statement

    def _by(
        self, shape: SelectShape, name: str, sort: ColumnElement[Any], id_column: ColumnElement[Any]
    ) -> list[ColumnElement[Any]]:
        """The order in which rows are read."""
        descending = shape.order is not None and shape.order[1] != shape.backwards
        by: list[ColumnElement[Any]] = [sort.desc() if descending else sort]
        if self._column(name).nullable:
            by = [by[0].nulls_first() if shape.backwards else by[0].nulls_last()]
        if name != self.id_column:
            by.append(id_column.desc() if descending else id_column)
        return by

    def _of_each(self, statement: Any, shape: SelectShape, by: list[ColumnElement[Any]], binds: Binds) -> Any:
        """The first rows of each group: numbered within it, so that one statement reads them all."""
        place = func.row_number().over(partition_by=self._column(shape.each), order_by=by).label("place_in_group")
        numbered = statement.add_columns(place).subquery()
        few = numbered.c.place_in_group <= binds.next_of(BigInteger())
        return _sql.select(*[numbered.c[name] for name in shape.columns]).where(few).order_by(place.name)

    def _beyond(self, shape: SelectShape, name: str, binds: Binds, *, descending: bool) -> list[ColumnElement[bool]]:
        """What is read from the shape's place on; `descending`: on the way that is read.

        Where NULLs are beyond as well as values, two conditions: an index leads to the place for each of them alone,
        and would be read from its beginning for one or the other.
        """
        column = self._column(name)
        sort, id_column = ordered(column), ordered(self._column(self.id_column))
        with_itself = shape.before != shape.backwards
        reads_on: Any = COMPARISONS[BEYOND[descending, with_itself]]  # of rows of two values too
        if shape.after == "null":
            by_id = and_(column.is_(None), reads_on(id_column, binds.next(self._column(self.id_column))))
            return [by_id, column.is_not(None)] if shape.backwards else [by_id]
        value, id_value = binds.next(column), binds.next(self._column(self.id_column))
        if name == self.id_column:
            # both values are the id; comparing with both keeps the values of every cursor alike
            return [and_(reads_on(sort, value), reads_on(sort, id_value))]
        beyond = reads_on(_sql.tuple_(sort, id_column), _sql.tuple_(value, id_value))
        return [beyond, column.is_(None)] if column.nullable and not shape.backwards else [beyond]

    def _where(self, shape: NodeShape, binds: Binds) -> ColumnElement[bool]:
        match shape:
            case GroupShape("not", (part,)):
                return self._where(part, binds).is_not(_sql.true())  # two-valued: what is unknown does not hold
            case GroupShape(op, parts):
                conditions = [self._where(part, binds) for part in parts]
                return and_(_sql.true(), *conditions) if op == "and" else or_(_sql.false(), *conditions)
            case FlagShape(column, value):
                flag: ColumnElement[bool] = self._column(column)
                return flag if value else _sql.not_(flag)
            case TextShape(columns):
                patterns = binds.next_words()
                if len(columns) == 1:
                    # ILIKE ALL has no index; ILIKE with the longest word has one, where pg_trgm is
                    only: Any = self._column(columns[0])
                    longest = Grouping(patterns)[_sql.literal_column("1")]
                    return and_(only.ilike(longest), only.ilike(_sql.all_(patterns)))
                whole = (
                    func.concat_ws(_sql.literal_column("' '"), *self._columns(columns))
                    if columns
                    else _sql.literal_column("''")
                )
                return whole.ilike(_sql.all_(patterns))
            case ConditionShape():
                return self._json_condition(shape, binds) if shape.path else self._condition(shape, binds)
            case _:
                assert_never(shape)

    def _condition(self, shape: ConditionShape, binds: Binds) -> ColumnElement[bool]:
        column: Any = self._column(shape.column)
        match shape.type:
            case FilterType.IS_NULL:
                return column.is_(None)  # type: ignore[no-any-return]
            case FilterType.NOT_NULL:
                return column.is_not(None)  # type: ignore[no-any-return]
            case FilterType.IN:
                return column == func.any(binds.next_of(ARRAY(column.type)))  # type: ignore[no-any-return]
            case FilterType.NOT_IN:
                return and_(column.is_not(None), column != func.all(binds.next_of(ARRAY(column.type))))
            case FilterType.BETWEEN:
                return ordered(column).between(binds.next(column), binds.next(column))
            case FilterType.ARRAY_CONTAINS:
                return column.op("@>")(binds.next(column))  # type: ignore[no-any-return]
            case FilterType.ARRAY_OVERLAPS:
                if isinstance(column.type, JSONB):
                    return column.has_any(binds.next_of(ARRAY(Text())))  # type: ignore[no-any-return]
                return column.op("&&")(binds.next(column))  # type: ignore[no-any-return]
            case FilterType.LIKE | FilterType.ILIKE:
                return COMPARISONS[shape.type](column, binds.next_of(Text()))
            case _:
                return COMPARISONS[shape.type](ordered(column), binds.next(column))

    def _json_condition(self, shape: ConditionShape, binds: Binds) -> ColumnElement[bool]:
        node: Any = self._column(shape.column)
        for step in shape.path:  # `-> text` finds members of objects only: `#>` would take "0" for an array's element
            node = node.op("->")(_sql.literal_column(quoted(step)))
        found = func.jsonb_typeof(node)
        if shape.type is FilterType.IS_NULL:
            return func.coalesce(found, _sql.literal_column("'null'")) == _sql.literal_column("'null'")  # type: ignore[no-any-return]
        if shape.type is FilterType.NOT_NULL:
            return func.coalesce(found, _sql.literal_column("'null'")) != _sql.literal_column("'null'")  # type: ignore[no-any-return]
        if shape.type in (FilterType.ARRAY_CONTAINS, FilterType.ARRAY_OVERLAPS):
            values = binds.next_of(ARRAY(Text()))
            matches = node.op("?&" if shape.type is FilterType.ARRAY_CONTAINS else "?|")(values)
            return and_(found == _sql.literal_column("'array'"), matches)
        as_text = node.op("#>>")(_sql.literal_column("'{}'"))
        wanted, type_ = JSON_TYPES[shape.kind or JsonKind.TEXT]
        value = _sql.case((found == _sql.literal_column(wanted), _sql.cast(as_text, type_)))
        if shape.kind is JsonKind.TEXT:
            value = value.collate("C")
        match shape.type:
            case FilterType.IN:
                matches = value == func.any(binds.next_of(ARRAY(type_)))
            case FilterType.NOT_IN:
                matches = and_(value.is_not(None), value != func.all(binds.next_of(ARRAY(type_))))
            case FilterType.BETWEEN:
                matches = value.between(binds.next_of(type_), binds.next_of(type_))
            case _:
                matches = COMPARISONS[shape.type](value, binds.next_of(type_))
        return and_(self._has_key(shape), matches) if len(shape.path) > 1 else matches

    def _has_key(self, shape: ConditionShape) -> ColumnElement[bool]:
        """Says again that the last step is there, in words that an index over the keys of that object serves: what
        lies deeper in a document is usually kept by names that no index can know beforehand, such as cities."""
        parent: Any = self._column(shape.column)
        for step in shape.path[:-1]:
            parent = parent.op("->")(_sql.literal_column(quoted(step)))
        return parent.op("?")(_sql.literal_column(quoted(shape.path[-1])))  # type: ignore[no-any-return]

    # -- writes

    def _update(self, shape: UpdateShape, binds: Binds) -> Any:
        values: dict[str, Any] = {c: binds.next(self._column(c)) for c in shape.columns}
        self._count_up(values)
        where = self._where(shape.where, binds)
        return _sql.update(self.table).values(values).where(where).returning(*self._columns(shape.returning))

    def _count_up(self, values: dict[str, Any]) -> None:
        if "version" in self.table.c:
            values["version"] = self.table.c.version + _sql.literal_column("1")
        if "updated_at" in self.table.c:
            values["updated_at"] = func.now()

    def _many(self, shape: UpsertShape, binds: Binds) -> Compiled:
        """One statement for any number of rows, by each way on which they can travel."""
        columns, ordered_ = self._columns(shape.columns), not shape.key
        arrays, lists = arrays_of(columns), lists_of(columns)
        compiled = Compiled(
            self._upsert(shape, many_rows(columns, self.dialect, ordered=ordered_)), None, binds, arrays
        )
        if lists is not None:
            compiled.lists = lists
            compiled.listed = self._upsert(shape, listed_rows(columns, lists.kinds, self.dialect, ordered=ordered_))
        return compiled

    def _upsert(self, shape: UpsertShape, source: str) -> str:
        """Written out: SQLAlchemy has no INSERT from such a source."""
        quote = self.dialect.identifier_preparer
        q = quote.quote
        table = quote.format_table(self.table)
        names = ", ".join(q(c) for c in shape.columns)
        returning = "".join(f"t.{q(c)}, " for c in shape.returning)
        sql = f"INSERT INTO {table} AS t ({names}) {source}"
        if shape.key:
            fixed = {*shape.key, "created_by", "partner_id", "version", "created_at", "updated_at"}
            changing = [c for c in shape.columns if c not in fixed]
            compared = [c for c in changing if c != "updated_by"]
            sql += f" ON CONFLICT ({', '.join(q(c) for c in shape.key)}) "
            if compared:
                sets = [f"{q(c)} = EXCLUDED.{q(c)}" for c in changing]
                if "version" in self.table.c:
                    sets.append("version = t.version + 1")
                if "updated_at" in self.table.c:
                    sets.append("updated_at = now()")
                old = ", ".join(f"t.{q(c)}" for c in compared)
                new = ", ".join(f"EXCLUDED.{q(c)}" for c in compared)
                sql += f"DO UPDATE SET {', '.join(sets)} WHERE ({old}) IS DISTINCT FROM ({new})"
                sql += "".join(f" AND t.{q(c)} = EXCLUDED.{q(c)}" for c in shape.scope)
            else:
                sql += "DO NOTHING"
        return f"{sql} RETURNING {returning}(t.xmax = 0)"


class Binds:
    """Names the parameters of a statement in the order in which the shape takes its values."""

    def __init__(self) -> None:
        self.count = 0
        self.json_at: list[int] = []
        self.text_at: list[int] = []

    def next(self, column: Column[Any]) -> Any:
        if isinstance(column.type, JSONB):
            self.json_at.append(self.count)
        return self.next_of(column.type)

    def next_words(self) -> Any:
        self.text_at.append(self.count)
        return self.next_of(ARRAY(Text()))

    def next_of(self, type_: Any) -> Any:
        self.count += 1
        return bindparam(f"p{self.count - 1}", type_=type_)


def quoted(text: str) -> str:
    """A text as an SQL literal (standard_conforming_strings is on)."""
    return "'" + text.replace("'", "''") + "'"


def like_patterns(words: str) -> list[str]:
    """One LIKE pattern for each word, its own wildcards escaped; the longest first."""
    escape = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})
    return [f"%{word.translate(escape)}%" for word in sorted(words.split(), key=len, reverse=True)]
