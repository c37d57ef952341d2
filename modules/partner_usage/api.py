"""`/partner-usage-service/api/partner`."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from coffee_core.metering.declare import Metered
from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.body import read_json
from coffee_core.rest.dry_run import dry_runnable
from coffee_core.rest.encoding import EntriesEncoder
from coffee_core.rest.route import Parameter, Route
from coffee_core.rest.service import Service
from coffee_core.rest.settings import RestSettings
from coffee_core.rest.validation import refuse
from coffee_core.wire.message import Request, Response
from modules.partner_usage.entity import UsageEntity
from modules.partner_usage.entry import CorrectionsBody, PartnerUsageEntry, UnlockedEntry, UsageEntry
from modules.partner_usage.manager import PAGE, PartnerUsage, UsageManager

BASE: Final = "/api/partner"
PARTNER = Parameter(name="id", where="path", type=int, required=True, description="The partner's id.")
PLATFORM = Parameter(
    name="platform", where="path", required=True, description="`INSTAGRAM` or `YOUTUBE`, in any case of letters."
)
CODE = Parameter(
    name="platformCode",
    where="path",
    required=True,
    description="On Instagram a handle or an id, on YouTube a channel id.",
)


class PartnerUsageApi(Api[UsageEntry, UsageEntity, int]):
    """The search over counters, and what is asked about one partner."""

    def __init__(self, manager: UsageManager, usage: PartnerUsage, settings: RestSettings) -> None:
        super().__init__(Service(manager), int, "partner", settings=settings, options=ApiOptions(operations={"search"}))
        self._usage = usage
        self._partners = EntriesEncoder(PartnerUsageEntry)
        self._unlocked = EntriesEncoder(UnlockedEntry)

    def routes(self) -> list[Route]:
        """All of them."""
        tags = ("partner",)
        return [
            *super().routes(),
            Route(
                method="GET", path=f"{BASE}/{{id}}", handler=self.read, name="partner_usage_get",
                summary="A partner's contract with what is consumed of it", parameters=(PARTNER,),
                data=PartnerUsageEntry, errors=(404,), tags=tags,
            ),
            dry_runnable(Route(
                method="PUT", path=f"{BASE}/{{id}}", handler=self.correct, name="partner_usage_replace",
                summary="Bring a partner's counters in line with his contract, and set what is consumed (operators)",
                parameters=(PARTNER,), body=CorrectionsBody, data=PartnerUsageEntry,
                errors=(402, 403, 404, 413, 415), tags=tags,
            )),
            Route(
                method="POST", path=f"{BASE}/profile/{{platformCode}}/{{platform}}/unlock", handler=self.unlock,
                name="partner_usage_unlock", summary="Unlock a profile's page for the rest of the period",
                description="Counts one PROFILE_PAGE, and in the same period never again for the same profile.",
                parameters=(CODE, PLATFORM), data=UnlockedEntry, errors=(404,), tags=tags, repeatable=True,
                metered=Metered(PAGE, by="handler"),
            ),
        ]  # fmt: skip

    async def read(self, request: Request) -> Response:
        """GET /{id}."""
        self._no_query(request)
        return Response(200, self._partners.envelope(await self._usage.get(self._id(request))))

    async def correct(self, request: Request) -> Response:
        """PUT /{id}."""
        self._no_query(request)
        raw = await read_json(request, self.settings.body_bytes_max)
        try:
            body = CorrectionsBody.model_validate_json(raw, strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            refuse(error)
        return Response(200, self._partners.envelope(await self._usage.correct(self._id(request), body)))

    async def unlock(self, request: Request) -> Response:
        """POST /profile/{platformCode}/{platform}/unlock."""
        self._no_query(request)
        path = request.path_params
        return Response(200, self._unlocked.envelope(await self._usage.unlock(path["platform"], path["platformCode"])))
