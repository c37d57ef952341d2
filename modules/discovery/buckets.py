"""Days, weeks and months of a time series, and what changed from one to the next. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from coffee_core.domain.aggregation import Unit
from modules.discovery.answers import PointEntry

METRICS: Final = ("followers", "following", "views", "plays", "uploads", "engagement_rate")
Numbers = Mapping[str, float | None]


class Period(StrEnum):
    """How long one point lasts."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"

    @classmethod
    def _missing_(cls, value: object) -> Period | None:
        found = value.upper() if isinstance(value, str) else ""
        return next((one for one in cls if one.value == found), None)

    @property
    def unit(self) -> Unit:
        """As rows are grouped by it."""
        return Unit(self.value.lower())

    def start(self, day: date) -> date:
        """The first day of the period that `day` lies in: of a week its Monday, whatever the year."""
        if self is Period.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Period.MONTH else day

    def next(self, start: date) -> date:
        """The first day of the period after that."""
        if self is Period.MONTH:
            return date(start.year + start.month // 12, start.month % 12 + 1, 1)
        return start + timedelta(days=7 if self is Period.WEEK else 1)

    def starts(self, first: date, last: date) -> Iterator[date]:
        """All periods from that of `first` to that of `last`."""
        start = self.start(first)
        while start <= last:
            yield start
            start = self.next(start)

    def how_many(self, first: date, last: date) -> int:
        """How many those are."""
        begin, end = self.start(first), self.start(last)
        if self is Period.MONTH:
            return (end.year - begin.year) * 12 + end.month - begin.month + 1
        return (end - begin).days // (7 if self is Period.WEEK else 1) + 1


def points(known: Mapping[date, Numbers], before: Numbers, starts: Sequence[date]) -> list[PointEntry]:
    """A point for each of `starts`. `known`: the last numbers of each period that has any; `before`: the last ones of
    all before the first period. A change is against the last number known, so that gaps lose nothing."""
    latest = dict(before)
    found: list[PointEntry] = []
    for start in starts:
        numbers = known.get(start, {})
        values: dict[str, float | date | None] = {"start": start}
        for metric in METRICS:
            value, old = numbers.get(metric), latest.get(metric)
            values[metric] = value
            values[f"{metric}_change"] = None if value is None or old is None else _difference(value, old)
            if value is not None:
                latest[metric] = value
        found.append(PointEntry.model_construct(**values))  # type: ignore[arg-type]  # by the fields of METRICS
    return found


def _difference(value: float, old: float) -> float:
    return value - old if isinstance(value, int) else round(value - old, 6)
