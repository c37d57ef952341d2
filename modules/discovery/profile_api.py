"""Searches of one platform's profiles over HTTP."""

from __future__ import annotations

from coffee_core.domain.search import SearchQuery
from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.body import read_model
from coffee_core.rest.page import Envelope
from coffee_core.rest.settings import RestSettings
from coffee_core.wire.message import Request, Response
from modules.discovery.criteria import Filter, SearchBody
from modules.discovery.entity import ProfileEntity
from modules.discovery.entry import ProfileEntry
from modules.discovery.service import ProfileService

CODE = "platformProfileId"


class ProfileApi(Api[ProfileEntry, ProfileEntity, int]):
    """Criteria become filters, so that pages, cursors and plans treat both alike."""

    def __init__(self, service: ProfileService, settings: RestSettings) -> None:
        options = ApiOptions(operations=())  # its routes are those of all platforms
        super().__init__(service, int, f"profile/{service.platform}", settings=settings, options=options)
        self._profiles = service

    async def search(self, request: Request) -> Response:
        """POST /{platform}/search."""
        return await self.found(request, _given(await self._criteria(request)))

    async def similar(self, request: Request) -> Response:
        """POST /{platform}/{platformProfileId}/similar_accounts."""
        criteria = await self._criteria(request)
        if b"cursor=" in request.query and not criteria:  # it holds what made others similar
            return await self.found(request, {})
        alike = await self._profiles.similar_to(request.path_params[CODE])
        return await self.found(request, _given([*alike, *criteria]))

    def searched(
        self, request: Request, query: SearchQuery, filters: list[object], envelope: Envelope[ProfileEntry]
    ) -> None:
        """A search is activity."""
        self._profiles.announce(query, filters, envelope.total, request.path_params.get(CODE, ""))

    async def _criteria(self, request: Request) -> list[Filter]:
        return (await read_model(request, self.settings.body_bytes_max, SearchBody)).as_filters()


def _given(filters: list[Filter]) -> dict[str, object]:
    return {"filters": filters} if filters else {}
