"""Aggregations over rows in memory: the reference for the other stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from coffee_core.domain.aggregation import By, Function, Measure, Unit
from coffee_core.rest.dao_provider import AggregateShape
from coffee_core.stores.model import Stored

Key = tuple[Any, ...]


def aggregate(shape: AggregateShape) -> Callable[[Sequence[Stored]], list[Key]]:
    """Makes the answered rows, in order, of those that match."""

    def run(rows: Sequence[Stored]) -> list[Key]:
        groups: dict[Key, list[Stored]] = {} if shape.by else {(): []}
        for row in rows:
            for key in _keys(row, shape.by):
                groups.setdefault(key, []).append(row)
        answered = [(*key, *[_measure(measure, found) for measure in shape.measures]) for key, found in groups.items()]
        answered.sort(key=lambda row: [_sort_key(value) for value in row[: len(shape.by)]])
        if shape.order is not None:
            place, descending = shape.order
            known = [row for row in answered if row[place] is not None]
            unknown = [row for row in answered if row[place] is None]
            known.sort(key=lambda row: row[place], reverse=descending)  # equals stay in their order, reversed too
            return known + unknown
        return answered

    return run


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value is None, 0 if value is None else value)


def _keys(row: Stored, by: Sequence[By]) -> Iterable[Key]:
    keys: list[Key] = [()]
    for part in by:
        values = (row[part.column] or ()) if part.unit is Unit.EACH else (_bucket(row[part.column], part.unit),)
        keys = [(*key, value) for key in keys for value in values]
    return keys


def _bucket(value: Any, unit: Unit) -> Any:
    if value is None or unit is Unit.VALUE:
        return value
    day: date = value.astimezone(UTC).date() if isinstance(value, datetime) else value
    if unit is Unit.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit is Unit.MONTH else day


def _measure(measure: Measure, rows: Sequence[Stored]) -> Any:
    if measure.function is Function.COUNT:
        return len(rows)
    name = measure.column
    if measure.function is Function.LAST:
        pairs = [(row[measure.by], row[name]) for row in rows if row[name] is not None and row[measure.by] is not None]
        return max(pairs)[1] if pairs else None
    values = [row[name] for row in rows if row[name] is not None]
    if measure.function is Function.DISTINCT:
        return len(set(values))
    if not values:
        return None
    match measure.function:
        case Function.SUM:
            return sum(values)
        case Function.AVG:
            return float(sum(values) / len(values))
        case Function.MIN:
            return min(values)
        case _:
            return max(values)
