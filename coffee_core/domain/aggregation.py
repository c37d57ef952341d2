"""Numbers over many rows: groups, measures, an order. The same in every store.

Rules that hold on every store: rows that are NULL in a group's column are a group of their own, which sorts last;
measures skip NULL and are NULL where nothing is left; a sum of whole numbers is whole; days and weeks are those of
UTC, and a week begins on Monday (ISO 8601).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy.orm import InstrumentedAttribute

from coffee_core.domain.search import EVERYTHING, Node


class Unit(StrEnum):
    """How a group is made of a column."""

    VALUE = "value"
    """Its values."""
    DAY = "day"
    WEEK = "week"
    """The Monday on which the week began."""
    MONTH = "month"
    """The first day of the month."""
    EACH = "each"
    """The elements of an array: a row belongs to the group of each of them, as often as it is there."""


class Function(StrEnum):
    """What is made of the rows of a group."""

    COUNT = "count"
    """Rows; takes no column."""
    DISTINCT = "distinct"
    """Different values."""
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    """The value in the row whose `by` is the largest, of those that have both; of several such rows the largest."""


class By(NamedTuple):
    """One part of what rows are grouped by. Answered as the column's type; a day, week or month as a `date`."""

    column: str
    unit: Unit = Unit.VALUE


class Measure(NamedTuple):
    """One number (or, for MIN, MAX and LAST, value) of a group."""

    function: Function
    column: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """One row for each group: the parts of `by`, then the `measures`. Without `by` there is exactly one row.

    `order` is the position in that row to sort by, ties (and everything, without it) by the parts of `by` upwards.
    """

    measures: tuple[Measure, ...]
    by: tuple[By, ...] = ()
    where: Node = EVERYTHING
    order: int | None = None
    descending: bool = False
    page: int = 1
    size: int = 1000

    def columns(self) -> set[str]:
        """Every column that a group or a measure looks at."""
        named = {name for measure in self.measures for name in (measure.column, measure.by)}
        return {part.column for part in self.by} | (named - {""})


def group(attribute: InstrumentedAttribute[Any], unit: Unit = Unit.VALUE) -> By:
    """A group of a mapped attribute: `group(Post.published_on, Unit.WEEK)`."""
    return By(attribute.key, unit)


def count() -> Measure:
    """How many rows."""
    return Measure(Function.COUNT)


def distinct(attribute: InstrumentedAttribute[Any]) -> Measure:
    """How many different values."""
    return Measure(Function.DISTINCT, attribute.key)


def total(attribute: InstrumentedAttribute[Any]) -> Measure:
    """Their sum."""
    return Measure(Function.SUM, attribute.key)


def average(attribute: InstrumentedAttribute[Any]) -> Measure:
    """Their mean, as a float."""
    return Measure(Function.AVG, attribute.key)


def least(attribute: InstrumentedAttribute[Any]) -> Measure:
    """The smallest."""
    return Measure(Function.MIN, attribute.key)


def most(attribute: InstrumentedAttribute[Any]) -> Measure:
    """The largest."""
    return Measure(Function.MAX, attribute.key)


def last(attribute: InstrumentedAttribute[Any], by: InstrumentedAttribute[Any]) -> Measure:
    """The latest, by another column."""
    return Measure(Function.LAST, attribute.key, by.key)
