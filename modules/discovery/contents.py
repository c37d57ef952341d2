"""Hashtags and contents: what a profile has published, from ClickHouse."""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple

from coffee_core.domain.aggregation import Aggregation, Unit, distinct, group, last, least, most
from coffee_core.domain.search import Node, all_of, path
from coffee_core.rest.dao_provider import Row
from coffee_core.rest.manager import Manager
from modules.discovery.answers import ContentEntry, HashtagEntry
from modules.discovery.criteria import Criterion
from modules.discovery.entity import ContentDayEntity
from modules.discovery.entry import ContentDayEntry
from modules.discovery.platforms import Platform

UNDATED: Final = date(1970, 1, 1)
"""Stands for a day that the source does not tell: ClickHouse keeps no NULL in what rows are sorted by."""

DAY = ContentDayEntity.day
CONTENTS = distinct(ContentDayEntity.content_id)
MEASURES = (
    last(ContentDayEntity.title, by=DAY),
    last(ContentDayEntity.category, by=DAY),
    last(ContentDayEntity.views, by=DAY),
    last(ContentDayEntity.likes, by=DAY),
    last(ContentDayEntity.comments, by=DAY),
    least(DAY),
    most(DAY),
)
SORTED: Final = {"views": 3, "likes": 4, "comments": 5, "firstSeen": 6, "lastSeen": 7}
"""Positions in a row: the content's id, then the measures."""


class Some(NamedTuple):
    """One page, in order."""

    page: int
    size: int
    sort_by: str = "views"
    descending: bool = True


class ContentBody(Criterion):
    """Contents that were seen from the day `seenFrom` to the day `seenTo`, both included."""

    seen_from: date | None = None
    seen_to: date | None = None


class ContentManager(Manager[ContentDayEntry, ContentDayEntity, int]):
    """Posts and videos, day by day."""

    async def contents(
        self, platform: Platform, key: str, body: ContentBody, some: Some
    ) -> tuple[list[ContentEntry], int]:
        """One page, and how many there are; with the last numbers of the time that is asked for."""
        where = _of(platform, key)
        if body.seen_from is not None:
            where = all_of(where, path(DAY).gte(body.seen_from))
        if body.seen_to is not None:
            where = all_of(where, path(DAY).lte(body.seen_to))
        ((total,),) = await self.dao.aggregate(Aggregation(measures=(CONTENTS,), where=where))
        rows = await self.dao.aggregate(
            Aggregation(
                by=(group(ContentDayEntity.content_id),), measures=MEASURES, where=where,
                order=SORTED[some.sort_by], descending=some.descending, page=some.page, size=some.size,
            )
        )  # fmt: skip
        return [_content(row) for row in rows], total


class HashtagManager(Manager[ContentDayEntry, ContentDayEntity, int]):
    """How often tags are used."""

    async def frequencies(self, platform: Platform, key: str, some: Some) -> tuple[list[HashtagEntry], int]:
        """One page of tags, the most used first, and how many contents there are. A content counts once."""
        where = _of(platform, key)
        ((contents,),) = await self.dao.aggregate(Aggregation(measures=(CONTENTS,), where=where))
        rows = await self.dao.aggregate(
            Aggregation(
                by=(group(ContentDayEntity.tags, Unit.EACH),), measures=(CONTENTS,), where=where,
                order=1, descending=True, page=some.page, size=some.size,
            )
        )  # fmt: skip
        return [
            HashtagEntry(tag=tag, uses=uses, percent=round(uses * 100 / contents, 4)) for tag, uses in rows
        ], contents


def _of(platform: Platform, key: str) -> Node:
    return all_of(path(ContentDayEntity.platform).eq(platform.value), path(ContentDayEntity.profile_key).eq(key))


def _content(row: Row) -> ContentEntry:
    content_id, title, category, views, likes, comments, first, end = row
    rate = None
    if views and likes is not None:
        rate = round((likes + (comments or 0)) * 100 / views, 4)
    return ContentEntry(
        content_id=content_id, title=title, category=category, views=views, likes=likes, comments=comments,
        engagement_rate=rate, first_seen=None if first == UNDATED else first,
        last_seen=None if end == UNDATED else end,
    )  # fmt: skip
