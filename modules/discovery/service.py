"""Use cases: who is counted, what is announced, and what is said about an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic

from coffee_core.domain.errors import NotFoundError
from coffee_core.domain.ids import EntryT
from coffee_core.domain.search import SearchQuery
from coffee_core.metering.meter import Meter
from coffee_core.rest.encoding import EntriesEncoder
from coffee_core.rest.page import Envelope, Page
from coffee_core.rest.service import Service
from modules.discovery.answers import AudienceEntry, ContentEntry, HashtagEntry, LocationEntry, PointEntry
from modules.discovery.audience import AudienceManager
from modules.discovery.contents import ContentBody, ContentManager, HashtagManager, Some
from modules.discovery.criteria import Filter
from modules.discovery.entity import ProfileEntity
from modules.discovery.entry import ProfileEntry
from modules.discovery.platforms import Platform
from modules.discovery.profiles import ProfileManager
from modules.discovery.series import SeriesBody, SeriesManager
from modules.discovery.settings import DiscoverySettings

PROFILE_PAGE = "PROFILE_PAGE"
PLACES_ARE = ("CITY", "STATE", "COUNTRY")


class Answers(Generic[EntryT]):
    """Entries that were reckoned as an envelope."""

    def __init__(self, entry: type[EntryT]) -> None:
        self._encoder = EntriesEncoder(entry)

    def envelope(self, entries: Sequence[EntryT], total: int | None) -> Envelope[EntryT]:
        """One page of them."""
        page = Page(len(entries), lambda: entries, lambda: self._encoder.encode(entries))
        return Envelope(page, total=total)


class ProfileService(Service[ProfileEntry, ProfileEntity, int]):
    """Profiles of one platform: pages are counted once for each profile and period."""

    def __init__(self, profiles: ProfileManager, platform: Platform, settings: DiscoverySettings) -> None:
        super().__init__(profiles)
        self.profiles = profiles
        self.platform = platform
        self._settings = settings

    async def similar_to(self, code: str) -> list[Filter]:
        """What makes others similar to this one."""
        return await self.profiles.similar_to(code, self._settings.similar_followers_factor)

    def announce(self, query: SearchQuery, filters: list[object], found: int | None, similar_to: str) -> None:
        """The first page of a search is activity; the rest is reading on."""
        if query.page == 1 and query.after is None:
            self.profiles.announce(self.platform, query, filters, found, similar_to=similar_to)


class PageService:
    """Profile pages, over all platforms. The key under which one was counted is that of `partner_usage`'s unlock."""

    def __init__(self, services: Mapping[Platform, ProfileService], meter: Meter) -> None:
        self._services = services
        self._meter = meter

    async def one(self, platform: Platform, code: str) -> Envelope[ProfileEntry]:
        """The page of a platform's profile."""
        service = self._services[platform]
        page = await service.profiles.one(code)
        await self._count(page)
        return service.envelope(page, total=1)

    async def of_person(self, profile_id: str) -> Envelope[ProfileEntry]:
        """A person's profiles on all platforms: one page."""
        service, found = next(iter(self._services.values())), list[ProfileEntry]()
        for each in self._services.values():
            rows = await each.profiles.of_person(profile_id)
            found += (await each.profiles.page(rows)).entries()
        if not found:
            raise NotFoundError(f"there is no profile {profile_id[:200]}")
        page = Page(len(found), lambda: found, lambda: _PROFILES.encode(found))
        await self._count(page)
        return service.envelope(page, total=len(found))

    async def _count(self, page: Page[ProfileEntry]) -> None:
        await self._meter.use(PROFILE_PAGE, once=page.entries()[0].profile_id)


class SeriesService:
    """What is known of a profile day by day. A key that has series but no profile is answered, too."""

    def __init__(
        self,
        services: Mapping[Platform, ProfileService],
        audiences: Mapping[Platform, AudienceManager],
        *,
        series: SeriesManager,
        contents: ContentManager,
        hashtags: HashtagManager,
        settings: DiscoverySettings,
    ) -> None:
        self._services = services
        self._audiences = {
            platform: (Service(manager), manager) for platform, manager in audiences.items()
        }  # fmt: skip
        self._series = series
        self._contents = contents
        self._hashtags = hashtags
        self._settings = settings
        self._points, self._found = Answers(PointEntry), Answers(ContentEntry)
        self._tags, self._places = Answers(HashtagEntry), Answers(LocationEntry)

    async def audience(self, platform: Platform, code: str) -> Envelope[AudienceEntry]:
        """Who follows a profile."""
        service, manager = self._audiences[platform]
        return service.envelope(await manager.of(self._services[platform].profiles, code), total=1)

    async def series(self, platform: Platform, code: str, body: SeriesBody) -> Envelope[PointEntry]:
        """Its time series."""
        key, there = await self._key(platform, code)
        known = await self._series.known(platform, key)
        if known is None:
            if not there:
                raise _missing(code)
            return self._points.envelope([], 0)
        points = await self._series.series(platform, key, body, known, self._settings.points_max)
        return self._points.envelope(points, len(points))

    async def contents(self, platform: Platform, code: str, body: ContentBody, some: Some) -> Envelope[ContentEntry]:
        """What it has published."""
        key, there = await self._key(platform, code)
        found, total = await self._contents.contents(platform, key, body, some)
        if not (total or there):
            raise _missing(code)
        return self._found.envelope(found, total)

    async def hashtags(self, platform: Platform, code: str, some: Some) -> Envelope[HashtagEntry]:
        """Its tags, by how often they are used."""
        key, there = await self._key(platform, code)
        found, contents = await self._hashtags.frequencies(platform, key, some)
        if not (contents or there):
            raise _missing(code)
        return self._tags.envelope(found, None)

    async def locations(
        self, platforms: Sequence[Platform], text: str, kinds: Sequence[str]
    ) -> Envelope[LocationEntry]:
        """Places whose name holds the text, over several platforms."""
        size = self._settings.locations_max
        added: dict[tuple[str, str], int] = {}
        for platform in platforms:
            for kind in kinds or PLACES_ARE:
                for one in await self._services[platform].profiles.locations(kind, text, size):
                    added[one.name, one.type] = added.get((one.name, one.type), 0) + one.profiles
        ordered = sorted(added, key=lambda place: (-added[place], place))[:size]
        found = [LocationEntry(name=name, type=kind, profiles=added[name, kind]) for name, kind in ordered]
        return self._places.envelope(found, len(found))

    async def _key(self, platform: Platform, code: str) -> tuple[str, bool]:
        key = await self._services[platform].profiles.key_of(code)
        return (code, False) if key is None else (key, True)


_PROFILES = EntriesEncoder(ProfileEntry)


def _missing(code: str) -> NotFoundError:
    return NotFoundError(f"there is no profile {code[:200]}, and nothing is known of one")
