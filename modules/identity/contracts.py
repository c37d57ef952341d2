"""What partners bought, and the plan that it gives them."""

from __future__ import annotations

from datetime import UTC, datetime

from coffee_core.domain.plan import Plan
from coffee_core.domain.search import CountMode, SearchQuery, all_of, any_of, path
from coffee_core.rest.dao import Dao
from modules.identity.cached import CachedFacts, plan_key
from modules.identity.entity import ContractEntity, PartnerEntity
from modules.identity.entry import ContractEntry
from modules.identity.of_partner import OfPartner
from modules.identity.plan import GIVES_PLAN, Grant, Term, plan_at
from modules.identity.system import own_work

LONGEST_LIST = 1000
"""Contracts of one partner that have not ended, at most."""


class ContractManager(OfPartner[ContractEntry, ContractEntity]):
    """A contract that comes, changes or goes may change the plan: the gateways hear of it."""

    def __init__(self, dao: Dao[ContractEntity, int], partners: Dao[PartnerEntity, int], cached: CachedFacts) -> None:
        super().__init__(ContractEntry, dao, partners)
        self._cached = cached

    async def written(self, partner_id: int, entry: ContractEntry | None) -> None:  # noqa: ARG002 - whatever it is now
        """The plan is looked up anew."""
        await self._cached.changed(plan_key(partner_id))


class Contracts:
    """Reads plans, for anybody's partner: the gateway asks before it knows who is calling."""

    def __init__(self, dao: Dao[ContractEntity, int]) -> None:
        self._dao = dao.across_partners()

    async def grant(self, partner_id: int, now: datetime) -> Grant:
        """The partner's plan at `now`."""
        ends = path(ContractEntity.end_time)
        where = all_of(
            path(ContractEntity.partner_id).eq(partner_id),
            path(ContractEntity.contract_type).eq(GIVES_PLAN),
            any_of(ends.is_null(), ends.gt(now.astimezone(UTC))),
        )
        query = SearchQuery(where=where, size=LONGEST_LIST, count=CountMode.NONE)
        async with own_work():
            found = self._dao.entities(await self._dao.search(query))
        return plan_at([Term(Plan[row.plan], row.start_time, row.end_time) for row in found], now)
