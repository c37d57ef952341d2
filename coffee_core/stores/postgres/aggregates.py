"""Aggregations to SQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Date, DateTime, Float, Integer, Table, cast, func
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, aggregate_order_by
from sqlalchemy.sql.elements import Grouping

from coffee_core.domain.aggregation import By, Function, Measure, Unit
from coffee_core.rest.dao_provider import AggregateShape
from coffee_core.stores.postgres.text import ordered

# SQLAlchemy's typed builders know columns at check time; ours are known at run time only
_sql: Any = sqlalchemy


def aggregate(table: Table, shape: AggregateShape, where: Any) -> Any:
    """The SELECT, all but its limit; `where` is compiled already."""
    groups = [_group(table, part, at) for at, part in enumerate(shape.by)]
    answered = [*groups, *[_measure(table, measure) for measure in shape.measures]]
    statement = _sql.select(*[one.label(f"a{at}") for at, one in enumerate(answered)])
    statement = statement.select_from(table).where(where).group_by(*groups)
    order: list[Any] = []
    if shape.order is not None:
        place, descending = shape.order
        first = ordered(answered[place])
        order.append((first.desc() if descending else first).nulls_last())
    order += [ordered(one).nulls_last() for one in groups]
    return statement.order_by(*order)


def _group(table: Table, part: By, at: int) -> Any:
    column: Any = table.c[part.column]
    if part.unit is Unit.VALUE:
        return column
    if part.unit is Unit.EACH:
        return func.unnest(column, type_=column.type.item_type).column_valued(f"each{at}")
    if isinstance(column.type, DateTime):
        column = column.op("AT TIME ZONE")(_sql.literal_column("'UTC'"))
    else:  # or PostgreSQL would make it a time of the connection's own zone
        column = cast(column, TIMESTAMP())
    return cast(func.date_trunc(_sql.literal_column(f"'{part.unit}'"), column), Date)


def _measure(table: Table, measure: Measure) -> Any:
    if measure.function is Function.COUNT:
        return func.count()
    column: Any = table.c[measure.column]
    match measure.function:
        case Function.DISTINCT:
            return func.count(column.distinct())
        case Function.SUM:
            return cast(func.sum(column), BigInteger if isinstance(column.type, Integer) else column.type)
        case Function.AVG:
            return cast(func.avg(column), Float)
        case Function.MIN:
            return func.min(ordered(column))
        case Function.MAX:
            return func.max(ordered(column))
        case _:
            by: Any = ordered(table.c[measure.by])
            values = func.array_agg(
                aggregate_order_by(column, by.desc(), ordered(column).desc()), type_=ARRAY(column.type)
            )
            there = values.filter(column.is_not(None), table.c[measure.by].is_not(None))
            return Grouping(there)[_sql.literal_column("1")]
