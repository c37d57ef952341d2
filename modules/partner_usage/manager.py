"""Who sees which counters, and what they come to."""

from __future__ import annotations

from datetime import UTC, datetime

from coffee_core.domain.context import current
from coffee_core.domain.errors import NotFoundError
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import SearchQuery
from coffee_core.metering.ledger import Charge
from coffee_core.metering.meter import Meter
from coffee_core.persistence.unit_of_work import begin_transaction
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager
from coffee_core.rest.page import Page
from modules.partner_usage.entity import UsageEntity
from modules.partner_usage.entry import CorrectionsBody, PartnerUsageEntry, UnlockedEntry, UsageEntry, UsedEntry
from modules.partner_usage.metering import LIMITED
from modules.partner_usage.needs import Contracts, ProfilePages

PAGE = "PROFILE_PAGE"


class UsageManager(Manager[UsageEntry, UsageEntity, int]):
    """Counters as they are stored: a partner finds his own, an operator everybody's."""

    def __init__(self, dao: Dao[UsageEntity, int]) -> None:
        super().__init__(UsageEntry, dao)
        self._everybody = dao.across_partners()  # for operators, who answer for all contracts

    async def search(self, query: SearchQuery) -> Page[UsageEntry]:
        """One page of what matches."""
        rows = await self._seen().search(query, self.projection(query.fields, query.sort_by))
        return await self.page(rows, fields=query.fields, query=query)

    async def count(self, query: SearchQuery) -> int:
        """How many match."""
        return await self._seen().count(query)

    def _seen(self) -> Dao[UsageEntity, int]:
        return self._everybody if current().is_operator else self.dao


class PartnerUsage:
    """The contract of one partner with what is consumed of it."""

    def __init__(self, meter: Meter, contracts: Contracts, profiles: ProfilePages) -> None:
        self._meter = meter
        self._contracts = contracts
        self._profiles = profiles

    async def get(self, partner_id: int) -> PartnerUsageEntry:
        """As it is now, whether the reset job has run or not."""
        await self._require(partner_id)
        contracts = await self._contracts.running(partner_id, datetime.now(UTC))
        used: list[UsedEntry] = []
        for namespace in LIMITED:
            grant = await self._meter.grants.grant(partner_id, namespace)
            standing = await self._meter.standing(namespace, partner_id)
            if grant is not None and standing is not None:
                used.append(
                    UsedEntry(
                        namespace=namespace, limit=standing.limit, consumed=standing.consumed,
                        remaining=standing.remaining, frequency=grant.frequency, start_date=grant.start,
                        end_date=grant.end, next_reset_on=standing.reset,
                    )
                )  # fmt: skip
        first = contracts[0] if contracts else None
        return PartnerUsageEntry(
            id=partner_id,
            plan=Plan.FREE.name if first is None else first.plan,
            start_time=None if first is None else first.start,
            end_time=None if first is None else first.end,
            usage=used,
        )

    async def correct(self, partner_id: int, body: CorrectionsBody) -> PartnerUsageEntry:
        """Operators alone: bring the counters in line with the contract, and set what is consumed."""
        current().require_operator()
        await self._require(partner_id)
        begin_transaction()
        named = {each.namespace: each.consumed for each in body.usage}
        for namespace in LIMITED:
            granted = await self._meter.grants.grant(partner_id, namespace)
            if granted is not None or namespace in named:
                await self._meter.correct(partner_id, namespace, named.get(namespace))
        return await self.get(partner_id)

    async def unlock(self, platform: str, platform_code: str) -> UnlockedEntry:
        """A profile's page for the caller's partner: counted once in a period, whichever of its names is given."""
        platform = platform.upper()
        found = await self._profiles.page_of(platform, platform_code)
        if found is None:
            raise NotFoundError(f"there is no profile {platform_code} on {platform}")
        charge: Charge = await self._meter.use(PAGE, once=found.page)
        return UnlockedEntry(
            platform=platform, platform_code=found.code, cost=charge.cost, free_until=charge.standing.reset
        )

    async def _require(self, partner_id: int) -> None:
        """The caller's own partner, or for operators any that is there; all others do not exist."""
        context = current()
        if context.partner() == partner_id:
            return
        if not (context.is_operator and await self._contracts.known(partner_id)):
            raise NotFoundError(f"there is no partner {partner_id}")
