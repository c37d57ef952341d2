"""Contents summed up into the time series of their profiles.

A profile's views on a day are those of all its contents, each as it was last seen; so a content that is not seen for a
while keeps what it had, and a gap loses nothing. Numbers that somebody stated for a day stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from coffee_core.domain.aggregation import Aggregation, count, group
from coffee_core.domain.search import SearchQuery, all_of, path
from coffee_core.rest.dao import Dao
from modules.discovery.contents import UNDATED
from modules.discovery.entity import ContentDayEntity, ProfileDayEntity
from modules.discovery.platforms import PLATFORMS, Platform

KEY: Final = ("platform", "profile_key", "day")
READ: Final = ("day", "profile_key", "content_id", "views", "likes", "comments")
BATCH: Final = 1000
Row = dict[str, object]


@dataclass(slots=True)
class Sum:
    """One profile, so far: totals, and what each content has added to them."""

    views: int = 0
    reactions: int = 0
    contents: dict[str, tuple[int, int]] = field(default_factory=dict)

    def seen(self, content_id: str, views: int | None, likes: int | None, comments: int | None) -> None:
        """A content as it stood; a number that is not known is as it was before."""
        old_views, old_reactions = self.contents.get(content_id, (0, 0))
        new_views = old_views if views is None else views
        new_reactions = old_reactions if likes is None and comments is None else (likes or 0) + (comments or 0)
        self.views += new_views - old_views
        self.reactions += new_reactions - old_reactions
        self.contents[content_id] = (new_views, new_reactions)

    def row(self, platform: Platform, key: str, day: date) -> Row:
        """The profile's day."""
        rate = round(self.reactions * 100 / self.views, 4) if self.views else None
        return {
            "platform": platform.value, "profile_key": key, "day": day, "views": self.views,
            "uploads": len(self.contents), "engagement_rate": rate, "derived": True,
        }  # fmt: skip


class Rollup:
    """`run()` brings every time series that follows from contents up to date; a second time it changes nothing."""

    def __init__(self, contents: Dao[ContentDayEntity, int], days: Dao[ProfileDayEntity, int]) -> None:
        self._contents = contents
        self._days = days

    async def run(self) -> int:
        """All platforms; answers how many days were written."""
        return sum([await self._of(platform) for platform in PLATFORMS])

    async def _of(self, platform: Platform) -> int:
        sums: dict[str, Sum] = {}
        today: date | None = None
        touched: set[str] = set()
        waiting: list[Row] = []
        written = 0
        dated = path(ContentDayEntity.day).gt(UNDATED)
        query = SearchQuery(where=all_of(path(ContentDayEntity.platform).eq(platform.value), dated), sort_by="day")
        async for rows in self._contents.stream(query, self._contents.projection(READ)):
            for day, key, content_id, views, likes, comments, *_ in rows.rows:
                if day != today and today is not None:
                    waiting += [sums[one].row(platform, one, today) for one in sorted(touched)]
                    touched.clear()
                    if len(waiting) >= BATCH:
                        written += await self._store(platform, waiting)
                        waiting = []
                today = day
                touched.add(key)
                sums.setdefault(key, Sum()).seen(content_id, views, likes, comments)
        if today is not None:
            waiting += [sums[one].row(platform, one, today) for one in sorted(touched)]
        return written + await self._store(platform, waiting)

    async def _store(self, platform: Platform, rows: list[Row]) -> int:
        written = 0
        for batch in _batches(rows):
            keys, days = {str(row["profile_key"]) for row in batch}, {row["day"] for row in batch}
            where = all_of(
                path(ProfileDayEntity.platform).eq(platform.value),
                path(ProfileDayEntity.derived).eq(False),
                path(ProfileDayEntity.profile_key).within(sorted(keys)),
                path(ProfileDayEntity.day).within([day for day in days if isinstance(day, date)]),
            )
            stated = await self._days.aggregate(
                Aggregation(
                    by=(group(ProfileDayEntity.profile_key), group(ProfileDayEntity.day)), measures=(count(),),
                    where=where, size=len(keys) * len(days),
                )
            )  # fmt: skip
            known = {(key, day) for key, day, _ in stated}
            free = [row for row in batch if (row["profile_key"], row["day"]) not in known]
            stored, _ = await self._days.upsert(free, KEY)
            written += len(stored.rows)
        return written


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
