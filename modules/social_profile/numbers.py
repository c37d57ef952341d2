"""The current numbers of profiles, for other modules: handed to them in `modules/wiring.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coffee_core.domain.search import SearchQuery, any_of, path
from coffee_core.rest.container import Container
from coffee_core.rest.dao import Dao
from modules.social_profile.entity import InstagramEntity, YoutubeEntity
from modules.social_profile.entry import InstagramEntry, YoutubeEntry

ROWS_PER_CODE = 4
"""A handle may be there twice (a profile that was given up, and its successor): the one with more followers counts."""


@dataclass(frozen=True, slots=True)
class ProfileNumbersSummary:
    """One profile's numbers: `code` is what was asked for, `engagement_rate` is in percent."""

    code: str
    name: str | None
    followers: int | None
    thumbnail: str | None
    engagement_rate: float | None


class ProfileNumbersService:
    """Looks profiles up by what people know them by: on Instagram a handle or an id, on YouTube a channel id."""

    def __init__(self, container: Container) -> None:
        self._instagram: Dao[InstagramEntity, int] = container.dao(InstagramEntry, InstagramEntity, InstagramEntity.id)
        self._youtube: Dao[YoutubeEntity, int] = container.dao(YoutubeEntry, YoutubeEntity, YoutubeEntity.id)

    async def numbers(self, platform: str, codes: Sequence[str]) -> Mapping[str, ProfileNumbersSummary]:
        """Those that are known, by code, with one query; of an unknown platform none is."""
        wanted = list(dict.fromkeys(codes))
        if not wanted:
            return {}
        match platform.upper():
            case "INSTAGRAM":
                return await self._of_instagram(wanted)
            case "YOUTUBE":
                return await self._of_youtube(wanted)
            case _:
                return {}

    async def _of_instagram(self, codes: list[str]) -> dict[str, ProfileNumbersSummary]:
        handle, ig_id = path(InstagramEntity.handle), path(InstagramEntity.ig_id)
        query = SearchQuery(
            where=any_of(handle.within(codes), ig_id.within(codes)),
            sort_by="followers",
            descending=True,
            size=len(codes) * ROWS_PER_CODE,
        )
        fields = ("ig_id", "handle", "name", "followers", "thumbnail", "engagement_rate")
        rows = self._instagram.entities(await self._instagram.search(query, self._instagram.projection(fields)))
        found: dict[str, ProfileNumbersSummary] = {}
        for by_handle in (True, False):  # a handle of digits may look like somebody's id: handles first
            for row in rows:
                code = row.handle if by_handle else row.ig_id
                if code in codes and code not in found:
                    name = row.name or row.handle
                    summary = ProfileNumbersSummary(code, name, row.followers, row.thumbnail, row.engagement_rate)
                    found[code] = summary
        return found

    async def _of_youtube(self, codes: list[str]) -> dict[str, ProfileNumbersSummary]:
        query = SearchQuery(where=path(YoutubeEntity.channel_id).within(codes), size=len(codes))
        fields = ("channel_id", "title", "followers", "thumbnail", "engagement_rate")
        rows = self._youtube.entities(await self._youtube.search(query, self._youtube.projection(fields)))
        return {
            row.channel_id: ProfileNumbersSummary(
                row.channel_id, row.title, row.followers, row.thumbnail, row.engagement_rate
            )
            for row in rows
        }
