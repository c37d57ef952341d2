"""Limits from contracts."""

from __future__ import annotations

from datetime import UTC, datetime

from coffee_core.domain.context import OPERATOR_PARTNER
from coffee_core.metering.grants import Grant
from coffee_core.metering.ledger import Clock, utc_now
from coffee_core.metering.periods import Frequency
from modules.partner_usage.needs import Contract, Contracts
from modules.partner_usage.settings import PartnerUsageSettings

CALENDAR = datetime(2020, 1, 1, tzinfo=UTC)
"""Anchor of what needs no contract: months of the calendar."""
UNLIMITED = 10**12
"""What the platform's own partner may use: its uses are counted, too."""


class ContractGrants:
    """A namespace is granted by the first running contract that names it; without a contract by the settings."""

    def __init__(self, contracts: Contracts, settings: PartnerUsageSettings, *, clock: Clock = utc_now) -> None:
        self._contracts = contracts
        self._free = settings.free_limits
        self._clock = clock

    async def grant(self, partner_id: int, namespace: str) -> Grant | None:
        """By the contracts that run now."""
        now = self._clock()
        contracts = await self._contracts.running(partner_id, now)
        for contract in contracts:
            found = granted(contract, namespace, now)
            if found is not None:
                return found
        if contracts:
            return None
        if partner_id == OPERATOR_PARTNER:
            return Grant(UNLIMITED, Frequency.MONTHLY, CALENDAR)
        limit = dict(self._free).get(namespace)  # type: ignore[call-overload]  # any text may be asked for
        return None if limit is None else Grant(limit, Frequency.MONTHLY, CALENDAR)


def granted(contract: Contract, namespace: str, now: datetime) -> Grant | None:
    """What a contract grants at `now`."""
    allowance = contract.allowances.get(namespace)
    if allowance is None or allowance.start > now or (allowance.end is not None and allowance.end <= now):
        return None
    return Grant(allowance.limit, Frequency(allowance.frequency), allowance.start, allowance.end)
