"""Counters of the demo's partners, so that a search finds them before anything was used."""

from __future__ import annotations

import uuid_utils

from coffee_core.domain.context import OPERATOR_PARTNER, RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.metering.meter import Meter
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.container import Container
from modules.partner_usage.metering import LIMITED

PARTNERS = (1, 2, 3)


async def load_demo(container: Container) -> None:
    """In line with their contracts; what is consumed stays. Identity has made partners and contracts before."""
    meter = container.need(Meter)
    for partner_id in PARTNERS:
        context = RequestContext(request_id=str(uuid_utils.uuid7()), partner_id=OPERATOR_PARTNER, plan=Plan.PAID)
        async with acting_as(context):
            for namespace in LIMITED:
                if await meter.grants.grant(partner_id, namespace) is not None:
                    await meter.correct(partner_id, namespace)
