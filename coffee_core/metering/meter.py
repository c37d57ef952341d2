"""What modules use: counts for the caller in hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from functools import partial
from typing import TypeAlias, cast

from cachetools import TTLCache

from coffee_core.domain.context import current
from coffee_core.metering.grants import Grant, Grants, not_included
from coffee_core.metering.ledger import Activity, Charge, Clock, Ledger, Standing, Use, utc_now
from coffee_core.metering.settings import MeteringSettings
from coffee_core.metering.tab import TAB, CostTold
from coffee_core.persistence.unit_of_work import begin_transaction

Known: TypeAlias = tuple[int, str]
"""A partner and a namespace."""


class Meter:
    """`await meter.use("DISCOVERY")`. One for a process: `container.need(Meter)`."""

    def __init__(
        self,
        ledger: Ledger,
        grants: Grants,
        *,
        settings: MeteringSettings | None = None,
        namespaces: Sequence[str] = (),
        recorded: Collection[str] = (),
        clock: Clock = utc_now,
    ) -> None:
        settings = settings or MeteringSettings()
        self.ledger = ledger
        self.grants = grants
        self.namespaces = tuple(namespaces)
        """All that is counted, for who lists them."""
        self.recorded = frozenset(recorded)
        """Namespaces of which each use is recorded as an activity, too."""
        self._clock = clock
        self._known = cast("MutableMapping[Known, Grant]", TTLCache(settings.grants_kept, settings.grant_seconds))

    async def use(
        self, namespace: str, *, cost: int = 1, once: str | None = None, meta: Mapping[str, object] | None = None
    ) -> Charge:
        """Count a use of the caller's partner in the transaction of the work in hand.

        Call it after what it is for has been found, so that what fails or finds nothing was free; nothing is granted
        that was not counted. `once` is a key under which a further use in the same period is free. `meta` goes to the
        recorded activity. `UsageLimitError` (429) over the limit; `PlanError` (402) where the partner has bought none.
        """
        use = Use(current().partner(), namespace, cost, once)
        tab = TAB.get()
        if tab is not None and tab.dry:
            raise CostTold(await self._look(use))
        begin_transaction()
        charge = await self.ledger.charge(use, await self._granted(use), self._fresh(use))
        if tab is not None:
            tab.charges.append(charge)
        if charge.cost and namespace in self.recorded:
            await self.record(namespace, {**(meta or {}), "cost": charge.cost})
        return charge

    async def check(self, namespace: str, *, cost: int = 1, once: str | None = None) -> Charge:
        """Refuse, before the work is done, what could not be counted after it; answers what the use would come to.

        Nothing is counted or locked: others may be quicker, so that `use` refuses all the same.
        """
        use = Use(current().partner(), namespace, cost, once)
        charge = await self._look(use)
        if charge.cost > charge.standing.remaining:  # by what we knew: it may have been raised
            self._forget(use)
            charge = await self._look(use)
            if charge.cost > charge.standing.remaining:
                raise charge.standing.refusal(self._clock())
        return charge

    async def look(self, namespace: str, *, cost: int = 1, once: str | None = None) -> Charge:
        """What a use would come to, however little is left."""
        return await self._look(Use(current().partner(), namespace, cost, once))

    async def standing(self, namespace: str, partner_id: int | None = None) -> Standing | None:
        """How a partner stands (the caller's, unless another is named); None where he has bought none of it."""
        partner_id = current().partner() if partner_id is None else partner_id
        grant = await self.grants.grant(partner_id, namespace)
        if grant is None:
            return None
        return (await self.ledger.look(Use(partner_id, namespace), grant)).standing

    async def correct(self, partner_id: int, namespace: str, consumed: int | None = None) -> Standing:
        """Bring a partner's counter in line with what is granted now, and set what is consumed in this period, in the
        transaction of the work in hand. For operators: whoever may call it may give uses away."""
        begin_transaction()
        use = Use(partner_id, namespace)
        return await self.ledger.correct(use, consumed, self._fresh(use))

    async def record(self, type: str, meta: Mapping[str, object] | None = None) -> None:
        """Keep that the caller's partner has done something, with the transaction of the work in hand."""
        context = current()
        begin_transaction()
        await self.ledger.record(Activity(context.partner(), context.account_id, type, meta or {}))

    async def _look(self, use: Use) -> Charge:
        return await self.ledger.look(use, await self._granted(use))

    async def _granted(self, use: Use) -> Grant:
        known = self._known.get((use.partner_id, use.namespace))
        if known is not None and (known.end is None or self._clock() < known.end):
            return known
        grant = await self._ask(use)
        if grant is None:
            raise not_included(use.namespace)
        return grant

    async def _ask(self, use: Use) -> Grant | None:
        grant = await self.grants.grant(use.partner_id, use.namespace)
        if grant is None:
            self._forget(use)
        else:
            self._known[use.partner_id, use.namespace] = grant
        return grant

    def _fresh(self, use: Use) -> Callable[[], Awaitable[Grant | None]]:
        return partial(self._ask, use)

    def _forget(self, use: Use) -> None:
        self._known.pop((use.partner_id, use.namespace), None)
