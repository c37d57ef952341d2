"""Counting a request by several limits, or by one that the ledger has to be asked about."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from coffee_core.domain.plan import Plan
from gateway.verdict.decision import Decision, Refused
from gateway.verdict.exchange import Exchange
from gateway.verdict.limits import Limits
from gateway.verdict.meter import ASK, Meter
from gateway.verdict.token import Claims

Counted: TypeAlias = Sequence[tuple[Meter, str]]
"""Meters, and whose count it is."""
Outcome: TypeAlias = Decision | Awaitable[Decision]


class Admission:
    """One token of each limit, or none of any."""

    def __init__(self, limits: Limits, too_many: Callable[[Exchange, Meter, float], Refused]) -> None:
        self._limits = limits
        self._too_many = too_many

    async def address(self, x: Exchange) -> Refused | None:
        """Ask for a token of the address; it lies ready then, for this request if it takes it at once."""
        meter = self._limits.addresses
        left = await self._ask(meter, x.subscriber)
        if left < 0:
            return self._too_many(x, meter, -left)
        meter.give_back(x.subscriber)
        return None

    def known(self, x: Exchange, claims: Claims, plan: Plan, forward: Callable[[], Decision]) -> Outcome:
        """A caller with a session: his partner's limit, and those of the route."""
        named = self._limits.of_route(x.route.limits)
        found = [limit.of(plan, claims, x.subscriber, x.route.name) for limit in named]
        counted = [(self._limits.partners[plan], claims.partner_id), *(each for each in found if each is not None)]
        return self._count(x, counted, forward)

    def anonymous(self, x: Exchange, forward: Callable[[], Decision]) -> Outcome:
        """Nobody in particular: the route's limits of addresses and of everybody."""
        named = self._limits.of_route(x.route.limits)
        found = [limit.of(Plan.FREE, None, x.subscriber, x.route.name) for limit in named]
        return self._count(x, [each for each in found if each is not None], forward)

    def _count(self, x: Exchange, counted: Counted, forward: Callable[[], Decision]) -> Outcome:
        lefts = [meter.take(caller, x.now) for meter, caller in counted]
        if ASK in lefts:
            return self._count_later(x, counted, lefts, forward)
        return self._counted(x, counted, lefts, forward)

    async def _count_later(
        self, x: Exchange, counted: Counted, lefts: list[float], forward: Callable[[], Decision]
    ) -> Decision:
        """Those that are missing are asked for together."""
        missing = [index for index, left in enumerate(lefts) if left == ASK]
        answers = await asyncio.gather(*(self._ask(*counted[index]) for index in missing))
        for index, left in zip(missing, answers, strict=True):
            lefts[index] = left
        return self._counted(x, counted, lefts, forward)

    def _counted(
        self, x: Exchange, counted: Counted, lefts: Sequence[float], forward: Callable[[], Decision]
    ) -> Decision:
        worst = min(lefts, default=0.0)
        if worst < 0:
            for (meter, caller), left in zip(counted, lefts, strict=True):
                if left >= 0:
                    meter.give_back(caller)
            return self._too_many(x, counted[lefts.index(worst)][0], -worst)
        x.answer += b"".join(meter.lines(left) for (meter, _), left in zip(counted, lefts, strict=True))
        return forward()

    async def _ask(self, meter: Meter, caller: str) -> float:
        settler = self._limits.settler
        assert settler is not None  # without one no meter says ASK
        return await settler.take(meter, caller)
