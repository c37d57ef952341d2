"""Running contracts with what they grant, for other modules: handed to them in `modules/wiring.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter

from coffee_core.domain.plan import Plan
from coffee_core.domain.search import CountMode, SearchQuery, all_of, any_of, path
from coffee_core.rest.container import Container
from modules.identity.contracts import LONGEST_LIST
from modules.identity.entity import ContractEntity, PartnerEntity
from modules.identity.entry import ContractEntry, Namespace, PartnerEntry, Usage
from modules.identity.plan import GIVES_PLAN

_READ = TypeAdapter(dict[Namespace, Usage])


@dataclass(frozen=True, slots=True)
class RunningAllowance:
    """`limit` uses in each period, from `start` on and before `end`."""

    limit: int
    frequency: str
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class RunningContract:
    """A contract that gives a plan."""

    plan: str
    start: datetime
    end: datetime | None
    allowances: Mapping[str, RunningAllowance]


class RunningContracts:
    """Reads in the unit of work in hand, for anybody's partner: what is counted may be an operator's question."""

    def __init__(self, container: Container) -> None:
        self._contracts = container.dao(ContractEntry, ContractEntity, ContractEntity.id).across_partners()
        self._partners = container.dao(PartnerEntry, PartnerEntity, PartnerEntity.id)

    async def running(self, partner_id: int, now: datetime) -> Sequence[RunningContract]:
        """Those of type SAAS that run at `now`: the largest plan first, then the newest."""
        now, ends = now.astimezone(UTC), path(ContractEntity.end_time)
        where = all_of(
            path(ContractEntity.partner_id).eq(partner_id),
            path(ContractEntity.contract_type).eq(GIVES_PLAN),
            path(ContractEntity.start_time).lte(now),
            any_of(ends.is_null(), ends.gt(now)),
        )
        query = SearchQuery(where=where, size=LONGEST_LIST, count=CountMode.NONE)
        rows = self._contracts.entities(await self._contracts.search(query))
        rows = sorted(rows, key=lambda row: (Plan[row.plan], row.start_time, row.id), reverse=True)
        return [RunningContract(row.plan, row.start_time, row.end_time, _allowances(row)) for row in rows]

    async def known(self, partner_id: int) -> bool:
        """Whether there is such a partner."""
        return bool((await self._partners.get(partner_id)).rows)


def _allowances(row: ContractEntity) -> dict[str, RunningAllowance]:
    return {
        namespace: RunningAllowance(
            usage["limit"], usage["frequency"], usage.get("start", row.start_time), usage.get("end", row.end_time)
        )
        for namespace, usage in _READ.validate_python(row.configurations).items()
    }
