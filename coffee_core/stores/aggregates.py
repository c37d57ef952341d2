"""What may be aggregated, checked alike by every store before it compiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ARRAY, JSON, Boolean, Column, Date, DateTime, Float, Integer, Numeric, Uuid

from coffee_core.domain.aggregation import By, Function, Measure, Unit
from coffee_core.domain.errors import InputError
from coffee_core.rest.dao_provider import AggregateShape

CALENDAR = (Unit.DAY, Unit.WEEK, Unit.MONTH)


def check(shape: AggregateShape, columns: Mapping[str, Column[Any]]) -> None:
    """`InputError` with a sentence where a column cannot be used so."""
    for part in shape.by:
        _check_group(part, columns[part.column].type)
    if sum(part.unit is Unit.EACH for part in shape.by) > 1:
        raise InputError("rows are grouped by the elements of one array at most")
    for measure in shape.measures:
        if measure.function is not Function.COUNT:
            _check_measure(measure, columns)
    if not (shape.by or shape.measures):
        raise InputError("an aggregation needs a group or a measure")
    if shape.order is not None and not 0 <= shape.order[0] < len(shape.by) + len(shape.measures):
        raise InputError("an aggregation is sorted by one of its own groups or measures")


def _check_group(part: By, type_: Any) -> None:  # Any here and below: SQLAlchemy's type objects
    if part.unit is Unit.EACH:
        if not isinstance(type_, ARRAY):
            raise InputError(f"{part.column!r} is no array")
    elif part.unit in CALENDAR:
        if not isinstance(type_, Date | DateTime):
            raise InputError(f"{part.column!r} holds no times: there is no {part.unit} of it")
    elif isinstance(type_, JSON | ARRAY):
        raise InputError(f"rows cannot be grouped by {part.column!r} as a whole")


def _check_measure(measure: Measure, columns: Mapping[str, Column[Any]]) -> None:
    type_ = columns[measure.column].type
    if isinstance(type_, JSON | ARRAY):
        raise InputError(f"there is no {measure.function} of {measure.column!r}")
    if measure.function in (Function.SUM, Function.AVG):
        if isinstance(type_, Boolean) or not isinstance(type_, Integer | Float | Numeric):
            raise InputError(f"there is no {measure.function} of {measure.column!r}: it is no number")
    elif measure.function in (Function.MIN, Function.MAX, Function.LAST) and isinstance(type_, Boolean | Uuid):
        raise InputError(f"there is no {measure.function} of {measure.column!r}")
    if measure.function is Function.LAST and isinstance(columns[measure.by].type, JSON | ARRAY | Boolean | Uuid):
        raise InputError(f"nothing is last by {measure.by!r}")
