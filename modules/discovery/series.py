"""TimeSeries: how a profile's numbers went, from ClickHouse."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field, model_validator

from coffee_core.domain.aggregation import Aggregation, group, last, least, most
from coffee_core.domain.errors import InputError
from coffee_core.domain.search import Node, all_of, path
from coffee_core.rest.manager import Manager
from modules.discovery.answers import PointEntry
from modules.discovery.buckets import METRICS, Numbers, Period, points
from modules.discovery.criteria import Criterion
from modules.discovery.entity import ProfileDayEntity
from modules.discovery.entry import ProfileDayEntry
from modules.discovery.platforms import Platform

LASTS = tuple([last(getattr(ProfileDayEntity, metric), by=ProfileDayEntity.day) for metric in METRICS])


class SeriesBody(Criterion):
    """From the day `from` to the day `to`, both included; left out, from the first or to the last day known."""

    from_: Annotated[date | None, Field(alias="from")] = None
    to: date | None = None
    period: Period = Period.DAY

    @model_validator(mode="after")
    def _is_a_time(self) -> SeriesBody:
        if self.from_ is not None and self.to is not None and self.from_ > self.to:
            raise ValueError("from is later than to")
        return self


class SeriesManager(Manager[ProfileDayEntry, ProfileDayEntity, int]):
    """Snapshots of profiles. A snapshot that somebody states takes the place of numbers that were summed up."""

    def to_entity(self, entry: ProfileDayEntry) -> ProfileDayEntity:
        """Stated, not derived."""
        entity = super().to_entity(entry)
        entity.derived = False
        return entity

    async def known(self, platform: Platform, key: str) -> tuple[date, date] | None:
        """The first and the last day of which anything is known."""
        days = (least(ProfileDayEntity.day), most(ProfileDayEntity.day))
        ((first, end),) = await self.dao.aggregate(Aggregation(measures=days, where=_of(platform, key)))
        return None if first is None else (first, end)

    async def series(
        self, platform: Platform, key: str, body: SeriesBody, known: tuple[date, date], points_max: int
    ) -> list[PointEntry]:
        """A point for every period, also for those of which nothing is known."""
        first, end = body.from_ or known[0], body.to or known[1]
        if first > end:
            return []
        wanted = body.period.how_many(first, end)
        if wanted > points_max:
            raise InputError(
                f"that would be {wanted} points; at most {points_max}: ask for a shorter time or for weeks"
            )
        day = path(ProfileDayEntity.day)
        rows = await self.dao.aggregate(
            Aggregation(
                by=(group(ProfileDayEntity.day, body.period.unit),),
                measures=LASTS,
                where=all_of(_of(platform, key), day.between(first, end)),
                size=points_max,
            )
        )
        (earlier,) = await self.dao.aggregate(
            Aggregation(measures=LASTS, where=all_of(_of(platform, key), day.lt(first)))
        )
        found: dict[date, Numbers] = {row[0]: dict(zip(METRICS, row[1:], strict=True)) for row in rows}
        before: Numbers = dict(zip(METRICS, earlier, strict=True))
        return points(found, before, list(body.period.starts(first, end)))


def _of(platform: Platform, key: str) -> Node:
    return all_of(path(ProfileDayEntity.platform).eq(platform.value), path(ProfileDayEntity.profile_key).eq(key))
