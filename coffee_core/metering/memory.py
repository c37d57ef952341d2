"""The ledger in memory: for tests, and for one process that may forget."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from coffee_core.metering.grants import Grant, not_included
from coffee_core.metering.ledger import Activity, Charge, Clock, Fresh, Standing, Use, utc_now
from coffee_core.metering.periods import next_reset
from coffee_core.persistence.unit_of_work import UnitOfWork, current_work


@dataclass(slots=True)
class _Counter:
    start: datetime
    reset: datetime
    consumed: int = 0


@dataclass(slots=True)
class _Pending:
    """A use that is counted by the last step before the commit; the limit is looked at again there."""

    ledger: MemoryLedger
    use: Use
    grant: Grant

    async def __call__(self) -> None:
        self.ledger.count(self.use, self.grant)


@dataclass(slots=True)
class MemoryLedger:
    """Counts with the commit of a unit of work, whichever store it is on."""

    clock: Clock = utc_now
    activities: list[Activity] = field(default_factory=list)
    _counters: dict[tuple[int, str], _Counter] = field(default_factory=dict)
    _free: dict[tuple[int, str, str], datetime] = field(default_factory=dict)

    async def look(self, use: Use, grant: Grant) -> Charge:
        """With what the unit of work in hand has used already."""
        return self._preview(use, grant, current_work())

    async def charge(self, use: Use, grant: Grant, fresh: Fresh) -> Charge:  # noqa: ARG002 - asking again is cheap here
        """Refuses now what is too much now, and with the commit what has become too much."""
        granted = await fresh()
        if granted is None:
            raise not_included(use.namespace)
        work = current_work()
        charge = self._preview(use, granted, work)
        if not charge.cost:
            return charge
        standing = charge.standing
        if use.cost > standing.remaining:
            raise standing.refusal(self.clock())
        work.before_commit.append(_Pending(self, use, granted))
        return Charge(use.cost, Standing(use.namespace, granted.limit, standing.consumed + use.cost, standing.reset))

    async def correct(self, use: Use, consumed: int | None, fresh: Fresh) -> Standing:
        """With the commit."""
        granted = await fresh()
        if granted is None:
            raise not_included(use.namespace)

        async def set_it() -> None:
            if consumed is not None:
                self._counter(use, granted).consumed = consumed

        current_work().before_commit.append(set_it)
        now = self._standing(use, granted)
        return replace(now, consumed=now.consumed if consumed is None else consumed)

    async def record(self, activity: Activity) -> None:
        """With the commit."""

        async def keep() -> None:
            self.activities.append(activity)

        current_work().before_commit.append(keep)

    def count(self, use: Use, grant: Grant) -> None:
        """Count it for good."""
        standing = self._standing(use, grant)
        if self._is_free(use):
            return
        if use.cost > standing.remaining:
            raise standing.refusal(self.clock())
        if use.once is not None:
            end = next_reset(grant.start, grant.frequency, self.clock())
            self._free[use.partner_id, use.namespace, use.once] = end
        self._counter(use, grant).consumed += use.cost

    def _preview(self, use: Use, grant: Grant, work: UnitOfWork) -> Charge:
        waiting = [
            step.use
            for step in work.before_commit
            if isinstance(step, _Pending)
            and (step.use.partner_id, step.use.namespace) == (use.partner_id, use.namespace)
        ]
        free = use.once is not None and (self._is_free(use) or any(each.once == use.once for each in waiting))
        now = self._standing(use, grant)
        consumed = now.consumed + sum(each.cost for each in waiting)
        return Charge(0 if free else use.cost, Standing(use.namespace, grant.limit, consumed, now.reset))

    def _is_free(self, use: Use) -> bool:
        until = None if use.once is None else self._free.get((use.partner_id, use.namespace, use.once))
        return until is not None and until > self.clock()

    def _standing(self, use: Use, grant: Grant) -> Standing:
        counter = self._counter(use, grant)
        reset = counter.reset if grant.end is None else min(counter.reset, grant.end)
        return Standing(use.namespace, grant.limit, counter.consumed, reset)

    def _counter(self, use: Use, grant: Grant) -> _Counter:
        """That of the period in hand."""
        now = self.clock()
        end = next_reset(grant.start, grant.frequency, now)
        found = self._counters.get((use.partner_id, use.namespace))
        if found is None or found.start != grant.start or found.reset <= now:
            found = self._counters[use.partner_id, use.namespace] = _Counter(grant.start, end)
        found.reset = end
        return found
