"""`/partners`: the generic resource, and the plan that the gateway asks for."""

from __future__ import annotations

from datetime import UTC, datetime

from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.parameters import parse
from coffee_core.rest.route import Route
from coffee_core.rest.service import Service
from coffee_core.rest.settings import RestSettings
from coffee_core.wire.message import Request, Response
from modules.identity.answers import Answers
from modules.identity.contracts import Contracts
from modules.identity.entity import PartnerEntity
from modules.identity.entry import PartnerEntry, PlanFact
from modules.identity.gateway import GatewayOnly
from modules.identity.of_partner_api import PARTNER
from modules.identity.partners import PartnerManager


class PartnersApi(Api[PartnerEntry, PartnerEntity, int]):
    """Operators write partners; there is no end of one: its accounts are closed, its contracts run out."""

    def __init__(
        self, manager: PartnerManager, contracts: Contracts, gateway: GatewayOnly, settings: RestSettings
    ) -> None:
        operations = ApiOptions(operations={"create", "get", "list", "patch", "search"}, partners_write=False)
        super().__init__(Service(manager), int, "partners", settings=settings, options=operations)
        self._contracts = contracts
        self._gateway = gateway
        self._plans = Answers(PlanFact)

    def routes(self) -> list[Route]:
        """The generic ones and the plan."""
        return [
            *super().routes(),
            Route(
                method="GET", path="/api/partners/{id}/plan", handler=self.plan, name="partners_plan",
                summary="A partner's plan, for the gateway", parameters=(PARTNER,), data=PlanFact, errors=(403, 404),
                public=True, internal=True, tags=("partners",),
            ),
        ]  # fmt: skip

    async def plan(self, request: Request) -> Response:
        """GET /{id}/plan. A partner that is not known has the plan of one without a contract."""
        self._gateway.require(request)
        parse(request.query, ())
        grant = await self._contracts.grant(self.parse_id(request.path_params["id"]), datetime.now(UTC))
        until = None if grant.until is None else grant.until.timestamp()
        return self._plans(PlanFact(type=grant.plan.name, until=until))
