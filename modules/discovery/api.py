"""Routes over all platforms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from coffee_core.domain.ids import EntryT
from coffee_core.metering.declare import Metered
from coffee_core.rest import parameters
from coffee_core.rest.body import read_model
from coffee_core.rest.describe import search_parameters
from coffee_core.rest.page import Envelope
from coffee_core.rest.route import Parameter, Route
from coffee_core.rest.settings import RestSettings
from coffee_core.wire.message import Request, Response
from modules.discovery.answers import AudienceEntry, ContentEntry, HashtagEntry, LocationEntry, PointEntry
from modules.discovery.contents import SORTED, ContentBody, Some
from modules.discovery.criteria import Criterion, SearchBody
from modules.discovery.entry import ProfileEntry
from modules.discovery.platforms import PLATFORMS, Platform, platform_of
from modules.discovery.profile_api import CODE, ProfileApi
from modules.discovery.series import SeriesBody
from modules.discovery.service import PageService, SeriesService

BASE = "/api/profile"
ONE = f"{BASE}/{{platform}}/{{{CODE}}}"
TAGS = ("discovery",)
DISCOVERY, PROFILE_PAGE = Metered("DISCOVERY"), Metered("PROFILE_PAGE", by="handler")
PLATFORM = Parameter(
    name="platform", where="path", required=True, description=f"{' or '.join(PLATFORMS)}, in any case."
)
PROFILE = Parameter(
    name=CODE, where="path", required=True, description="The platform's own id of the profile, or its `id` in answers."
)
PERSON = Parameter(name="profileId", where="path", required=True, description="`profileId` of answers.")


class LocationsBody(Criterion):
    """Places whose name holds `text`, of these types and platforms (left out: of all)."""

    text: Annotated[str, Field(max_length=100)] = ""
    types: Annotated[list[Literal["CITY", "STATE", "COUNTRY"]], Field(max_length=3)] = []
    platform: Platform | None = None


class DiscoveryApi:
    """`/discovery-service/api/profile`."""

    def __init__(
        self,
        profiles: Mapping[Platform, ProfileApi],
        pages: PageService,
        series: SeriesService,
        settings: RestSettings,
    ) -> None:
        self._profiles = profiles
        self._pages = pages
        self._series = series
        self._settings = settings
        self._paging = (
            Parameter(name="page", where="query", type=int, minimum=1, default=1, description="The first page is 1."),
            Parameter(
                name="size", where="query", type=int, minimum=1, maximum=settings.page_size_max,
                default=settings.page_size,
            ),
        )  # fmt: skip

    def routes(self) -> list[Route]:
        """All of them."""
        searching = search_parameters(self._settings.page_size, self._settings.page_size_max)
        sorting = (
            Parameter(name="sortBy", where="query", enum=tuple(SORTED), default="views"),
            Parameter(name="sortDir", where="query", enum=("ASC", "DESC"), default="DESC"),
        )
        return [
            Route(
                method="POST", path=f"{BASE}/{{platform}}/search", handler=self.search, name="discovery_search",
                summary="Find profiles",
                description="All criteria and filters hold. Counts one use of DISCOVERY if it finds any.",
                parameters=(PLATFORM, *searching), body=SearchBody, body_required=False, data=ProfileEntry,
                errors=(402, 404, 413, 415), tags=TAGS, metered=DISCOVERY,
            ),
            Route(
                method="POST", path=f"{ONE}/similar_accounts", handler=self.similar, name="discovery_similar",
                summary="Find profiles like this one",
                description="In its group, or with a category in common and about as many followers.",
                parameters=(PLATFORM, PROFILE, *searching), body=SearchBody, body_required=False, data=ProfileEntry,
                errors=(402, 404, 413, 415), tags=TAGS, metered=DISCOVERY,
            ),
            Route(
                method="GET", path=ONE, handler=self.one, name="discovery_profile", summary="Open a profile's page",
                description="Counts one use of PROFILE_PAGE, once for each profile and period.",
                parameters=(PLATFORM, PROFILE), data=ProfileEntry, errors=(404,), tags=TAGS, metered=PROFILE_PAGE,
            ),
            Route(
                method="GET", path=f"{BASE}/{{profileId}}", handler=self.person, name="discovery_person",
                summary="Open a person's page: the profiles on all platforms", parameters=(PERSON,), data=ProfileEntry,
                description="Counts one use of PROFILE_PAGE, once for each person and period.",
                errors=(404,), tags=TAGS, metered=PROFILE_PAGE,
            ),
            Route(
                method="GET", path=f"{ONE}/audience", handler=self.audience, name="discovery_audience",
                summary="Who follows a profile: gender, age, both, places, languages, quality",
                parameters=(PLATFORM, PROFILE), data=AudienceEntry, errors=(404,), tags=TAGS,
            ),
            Route(
                method="POST", path=f"{ONE}/timeseries", handler=self.timeseries, name="discovery_timeseries",
                summary="How a profile's numbers went, by day, week or month", parameters=(PLATFORM, PROFILE),
                body=SeriesBody, body_required=False, data=PointEntry, errors=(404, 413, 415), tags=TAGS,
            ),
            Route(
                method="POST", path=f"{ONE}/content", handler=self.content, name="discovery_content",
                summary="What a profile has published, with the last known numbers",
                parameters=(PLATFORM, PROFILE, *self._paging, *sorting), body=ContentBody, body_required=False,
                data=ContentEntry, errors=(404, 413, 415), tags=TAGS,
            ),
            Route(
                method="GET", path=f"{ONE}/hashtags", handler=self.hashtags, name="discovery_hashtags",
                summary="The tags of a profile's contents, the most used first",
                parameters=(PLATFORM, PROFILE, *self._paging), data=HashtagEntry, errors=(404,), tags=TAGS,
            ),
            Route(
                method="POST", path=f"{BASE}/locations", handler=self.locations, name="discovery_locations",
                summary="Cities, states and countries where profiles are, the most common first", body=LocationsBody,
                body_required=False, data=LocationEntry, errors=(413, 415), tags=TAGS,
            ),
        ]  # fmt: skip

    def _where(self, request: Request) -> tuple[Platform, str]:
        return platform_of(request.path_params["platform"]), request.path_params[CODE]

    async def search(self, request: Request) -> Response:
        """POST /{platform}/search."""
        return await self._profiles[platform_of(request.path_params["platform"])].search(request)

    async def similar(self, request: Request) -> Response:
        """POST /{platform}/{platformProfileId}/similar_accounts."""
        return await self._profiles[self._where(request)[0]].similar(request)

    async def one(self, request: Request) -> Response:
        """GET /{platform}/{platformProfileId}."""
        parameters.parse(request.query, ())
        return _answer(await self._pages.one(*self._where(request)))

    async def person(self, request: Request) -> Response:
        """GET /{profileId}."""
        parameters.parse(request.query, ())
        return _answer(await self._pages.of_person(request.path_params["profileId"]))

    async def audience(self, request: Request) -> Response:
        """GET /{platform}/{platformProfileId}/audience."""
        parameters.parse(request.query, ())
        return _answer(await self._series.audience(*self._where(request)))

    async def timeseries(self, request: Request) -> Response:
        """POST /{platform}/{platformProfileId}/timeseries."""
        parameters.parse(request.query, ())
        body = await read_model(request, self._settings.body_bytes_max, SeriesBody)
        return _answer(await self._series.series(*self._where(request), body))

    async def content(self, request: Request) -> Response:
        """POST /{platform}/{platformProfileId}/content."""
        given = parameters.parse(request.query, ("page", "size", "sortBy", "sortDir"))
        body = await read_model(request, self._settings.body_bytes_max, ContentBody)
        sort = parameters.choice(given, "sortBy", "views", SORTED)
        descending = parameters.choice(given, "sortDir", "DESC", ("ASC", "DESC")) == "DESC"
        some = Some(*self._page(given), sort, descending)
        return _answer(await self._series.contents(*self._where(request), body, some))

    async def hashtags(self, request: Request) -> Response:
        """GET /{platform}/{platformProfileId}/hashtags."""
        some = Some(*self._page(parameters.parse(request.query, ("page", "size"))))
        return _answer(await self._series.hashtags(*self._where(request), some))

    async def locations(self, request: Request) -> Response:
        """POST /locations."""
        parameters.parse(request.query, ())
        body = await read_model(request, self._settings.body_bytes_max, LocationsBody)
        platforms = PLATFORMS if body.platform is None else (body.platform,)
        return _answer(await self._series.locations(platforms, body.text, body.types))

    def _page(self, given: Mapping[str, str]) -> tuple[int, int]:
        size = parameters.whole(given, "size", self._settings.page_size, 1, self._settings.page_size_max)
        return parameters.whole(given, "page", 1, 1, max(1, self._settings.offset_max // size)), size


def _answer(envelope: Envelope[EntryT]) -> Response:
    return Response(200, envelope.encode())
