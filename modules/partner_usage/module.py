"""The wiring of partner_usage."""

from __future__ import annotations

import uuid_utils

from coffee_core.domain.context import OPERATOR_PARTNER, RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.metering.meter import Meter
from coffee_core.metering.postgres import PostgresLedger
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.container import Container, Job, Module, Mounted
from modules.partner_usage.api import PartnerUsageApi
from modules.partner_usage.entity import UsageEntity
from modules.partner_usage.entry import UsageEntry
from modules.partner_usage.manager import PartnerUsage, UsageManager
from modules.partner_usage.needs import Contracts, ProfilePages
from modules.partner_usage.settings import PartnerUsageSettings

RESET_AT_ONCE = 500
"""Counters that one transaction of the job locks."""


class PartnerUsageModule:
    """Needs `Contracts`, `ProfilePages` and the `Meter` that `make_meter` makes."""

    name = "partner_usage"
    service = "partner-usage-service"
    migrations = "modules.partner_usage.migrations"

    def mount(self, container: Container) -> Mounted:
        """The counters, and the job that resets them."""
        meter = container.need(Meter)
        usage = PartnerUsage(
            meter,
            container.need(Contracts),  # type: ignore[type-abstract]  # mypy #4717: a Protocol as a key
            container.need(ProfilePages),  # type: ignore[type-abstract]
        )
        manager = UsageManager(container.dao(UsageEntry, UsageEntity, UsageEntity.id))
        seconds = container.settings(PartnerUsageSettings).reset_seconds

        async def run() -> None:
            await reset_due(meter)

        return Mounted(
            plan=Plan.FREE,
            routes=PartnerUsageApi(manager, usage, container.rest).routes(),
            jobs=[Job(name="partner_usage_reset", every_seconds=seconds, run=run)],
        )


async def reset_due(meter: Meter) -> int:
    """Begin every period that is due, some at a time, so that nobody who counts waits for long; answers how many."""
    ledger, count = meter.ledger, 0
    if not isinstance(ledger, PostgresLedger):
        return 0  # in memory periods begin by themselves, and nobody reads a table
    while True:
        context = RequestContext(request_id=str(uuid_utils.uuid7()), partner_id=OPERATOR_PARTNER, plan=Plan.PAID)
        async with acting_as(context):
            done = await ledger.reset(RESET_AT_ONCE)
        count += done
        if done < RESET_AT_ONCE:
            return count


PARTNER_USAGE: Module = PartnerUsageModule()
