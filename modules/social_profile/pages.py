"""Whose page a profile's is, for other modules: handed to them in `modules/wiring.py`."""

from __future__ import annotations

from dataclasses import dataclass

from coffee_core.domain.search import CountMode, SearchQuery, any_of, path
from coffee_core.rest.container import Container
from modules.social_profile.entity import InstagramEntity, YoutubeEntity
from modules.social_profile.entry import InstagramEntry, YoutubeEntry


@dataclass(frozen=True, slots=True)
class KnownPage:
    """`code` is the profile's id on its platform; `page` is the `profileId` of discovery's answers: that of the person,
    whose profiles on all platforms share one page."""

    code: str
    page: str


class ProfilePagesService:
    """A profile's page, whichever of the profile's names is known."""

    def __init__(self, container: Container) -> None:
        self._instagram = container.dao(InstagramEntry, InstagramEntity, InstagramEntity.id)
        self._youtube = container.dao(YoutubeEntry, YoutubeEntity, YoutubeEntity.id)

    async def page_of(self, platform: str, code: str) -> KnownPage | None:
        """On Instagram by handle or id (a handle wins, and of two profiles with one handle that with more followers),
        on YouTube by channel id."""
        match platform.upper():
            case "INSTAGRAM":
                return await self._of_instagram(code)
            case "YOUTUBE":
                query = SearchQuery(where=path(YoutubeEntity.channel_id).eq(code), size=1, count=CountMode.NONE)
                wanted = self._youtube.projection(("channel_id", "profile_code"))
                rows = self._youtube.entities(await self._youtube.search(query, wanted))
                found = [KnownPage(row.channel_id, row.profile_code) for row in rows]
                return found[0] if found else None
            case _:
                return None

    async def _of_instagram(self, code: str) -> KnownPage | None:
        query = SearchQuery(
            where=any_of(path(InstagramEntity.handle).eq(code), path(InstagramEntity.ig_id).eq(code)),
            sort_by="followers",
            descending=True,
            size=10,
            count=CountMode.NONE,
        )
        wanted = self._instagram.projection(("ig_id", "handle", "profile_code", "followers"))
        rows = self._instagram.entities(await self._instagram.search(query, wanted))
        row = next((row for row in rows if row.handle == code), rows[0] if rows else None)
        return None if row is None else KnownPage(row.ig_id, row.profile_code)
