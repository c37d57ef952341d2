"""Shapes to ClickHouse's SQL, once for each shape."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column

from coffee_core.domain.errors import InputError
from coffee_core.rest.dao_provider import AggregateShape, CountShape, NodeShape, SelectShape
from coffee_core.stores.aggregates import check
from coffee_core.stores.clickhouse.aggregates import aggregate
from coffee_core.stores.clickhouse.binds import Binds
from coffee_core.stores.clickhouse.conditions import Conditions
from coffee_core.stores.clickhouse.table import declaration_of, table_name
from coffee_core.stores.clickhouse.types import form_of, identifier
from coffee_core.stores.model import Model
from coffee_core.stores.values import reader_of

NO_LIMIT = (1 << 63) - 1
_count = reader_of(Column("limit", BigInteger()))


class Query(NamedTuple):
    """A SELECT and its parameters."""

    sql: str
    binds: Binds


class Compiler:
    """For one table. Values are always bound on the server; only names declared in the Entity are written into SQL."""

    def __init__(self, model: Model, id_column: str) -> None:
        self._model = model
        self._id_column = id_column
        self._conditions = Conditions(model)
        final = " FINAL" if declaration_of(model.table).replacing else ""
        self._from = f"FROM {identifier(table_name(model.table))}{final}"

    def rows(self, columns: tuple[str, ...], where: NodeShape, binds: Binds) -> Query:
        """All rows that match; `binds` may hold values that come before those of `where`."""
        names = ", ".join(map(identifier, columns))
        return Query(f"SELECT {names} {self._from} WHERE {self._conditions.where(where, binds)}", binds)

    def count(self, shape: CountShape) -> Query:
        """How many match. An estimate is not needed: counting reads the columns of the conditions only."""
        binds = Binds()
        return Query(f"SELECT count() {self._from} WHERE {self._conditions.where(shape.where, binds)}", binds)

    def aggregate(self, shape: AggregateShape) -> Query:
        """A row for each group."""
        check(shape, self._model.columns)
        binds = Binds()
        sql = aggregate(self._model, shape, self._from, self._conditions.where(shape.where, binds))
        limit = binds.parameter(binds.value(_count), "UInt64", _at_most)
        return Query(f"{sql} LIMIT {limit} OFFSET {binds.parameter(binds.value(_count), 'UInt64', _at_most)}", binds)

    def select(self, shape: SelectShape) -> Query:
        """One page, in order."""
        query = self.rows(shape.columns, shape.where, Binds())
        if shape.order is None:
            return query
        binds, name, descending = query.binds, shape.order[0], shape.order[1] != shape.backwards
        if name in self._model.json:
            raise InputError(f"{name!r} is a JSON document: rows cannot be sorted by it")
        sql = query.sql
        if shape.after != "none":
            sql += f" AND {self._beyond(shape, name, binds, descending=descending)}"
        way = "DESC" if descending else "ASC"
        sql += f" ORDER BY {self._ordered(name)} {way} NULLS {'FIRST' if shape.backwards else 'LAST'}"
        if name != self._id_column:
            sql += f", {self._ordered(self._id_column)} {way}"
        sql += f" LIMIT {binds.parameter(binds.value(_count), 'UInt64', _at_most)}"
        if shape.each:
            sql += f" BY {identifier(shape.each)}"
        if shape.offset:
            sql += f" OFFSET {binds.parameter(binds.value(_count), 'UInt64', _at_most)}"
        return Query(sql, binds)

    def _ordered(self, name: str) -> str:
        return form_of(self._model.columns[name].type).ordered.format(identifier(name))

    def _place(self, name: str, binds: Binds) -> str:
        form = form_of(self._model.columns[name].type)
        value = binds.scalar(self._model.readers[name], form.sent_as, form.send)
        return form.ordered.format(form.bound.format(value))

    def _beyond(self, shape: SelectShape, name: str, binds: Binds, *, descending: bool) -> str:
        """What is read from the shape's place on; `descending`: on the way that is read."""
        than = "<" if descending else ">"
        of_id = f"{than}=" if shape.before != shape.backwards else than  # with the place's own row, or without
        here, id_here = self._ordered(name), self._ordered(self._id_column)
        column: Column[Any] = self._model.columns[name]
        unknown, known = f"isNull({identifier(name)})", f"isNotNull({identifier(name)})"
        if shape.after == "null":
            by_id = f"({unknown} AND {id_here} {of_id} {self._place(self._id_column, binds)})"
            return f"({by_id} OR {known})" if shape.backwards else by_id
        value, id_value = self._place(name, binds), self._place(self._id_column, binds)
        if name == self._id_column:  # both values are the id
            return f"({here} {of_id} {value} AND {id_here} {of_id} {id_value})"
        beyond = f"{here} {than} {value} OR ({here} = {value} AND {id_here} {of_id} {id_value})"
        return f"({beyond} OR {unknown})" if column.nullable and not shape.backwards else f"({beyond})"


def _at_most(value: int | None) -> int:
    if value is None:
        return NO_LIMIT
    if value < 0:
        raise InputError("a page does not begin or end before the first row")
    return value
