"""Aggregations in ClickHouse's SQL."""

from __future__ import annotations

from sqlalchemy import DateTime

from coffee_core.domain.aggregation import By, Function, Measure, Unit
from coffee_core.rest.dao_provider import AggregateShape
from coffee_core.stores.clickhouse.types import form_of, identifier
from coffee_core.stores.model import Model

FUNCTIONS = {
    Function.DISTINCT: "uniqExact",
    Function.SUM: "sumOrNull",
    Function.AVG: "avgOrNull",
    Function.MIN: "minOrNull",
    Function.MAX: "maxOrNull",
}


def aggregate(model: Model, shape: AggregateShape, source: str, where: str) -> str:
    """The SELECT, all but its limit; `source` is the FROM clause. Aliases are none of a column's names."""
    groups = [_group(model, part) for part in shape.by]
    measures = [_measure(measure) for measure in shape.measures]
    names = [identifier(f"coffee {at}") for at in range(len(groups) + len(measures))]
    answered = ", ".join([f"{one} AS {name}" for one, name in zip([*groups, *measures], names, strict=True)])
    sql = f"SELECT {answered} {source} WHERE {where}"  # names of the Entity's columns, quoted
    keys = names[: len(groups)]
    if keys:
        sql += f" GROUP BY {', '.join(keys)}"
    order: list[str] = []
    if shape.order is not None:
        place, descending = shape.order
        order.append(f"{_ordered(model, shape, names, place)} {'DESC' if descending else 'ASC'} NULLS LAST")
    order += [f"{_ordered(model, shape, names, at)} ASC NULLS LAST" for at in range(len(keys))]
    return f"{sql} ORDER BY {', '.join(order)}" if order else sql


def _ordered(model: Model, shape: AggregateShape, names: list[str], place: int) -> str:
    if place < len(shape.by) and shape.by[place].unit is Unit.VALUE:
        return form_of(model.columns[shape.by[place].column].type).ordered.format(names[place])
    return names[place]


def _group(model: Model, part: By) -> str:
    name = identifier(part.column)
    if part.unit is Unit.VALUE:
        return name
    if part.unit is Unit.EACH:
        return f"arrayJoin({name})"
    day = f"toDate32({name})" if isinstance(model.columns[part.column].type, DateTime) else name
    match part.unit:  # toMonday and its like answer a Date, which begins in 1970: days are counted back instead
        case Unit.WEEK:
            return f"subtractDays({day}, toDayOfWeek({day}) - 1)"
        case Unit.MONTH:
            return f"subtractDays({day}, toDayOfMonth({day}) - 1)"
        case _:
            return day


def _measure(measure: Measure) -> str:
    if measure.function is Function.COUNT:
        return "count()"
    name = identifier(measure.column)
    if measure.function is not Function.LAST:
        return f"{FUNCTIONS[measure.function]}({name})"
    by = identifier(measure.by)
    place = f"(assumeNotNull({by}), assumeNotNull({name}))"
    return f"argMaxOrNullIf({name}, {place}, isNotNull({name}) AND isNotNull({by}))"
