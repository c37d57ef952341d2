"""The contract of the port `Ledger`: subclass it, say how your ledger is made, and pytest holds it to all of it.

class TestMyLedger(LedgerContract):
    async def make(self, clock: Clock) -> Ledger:
        return MyLedger(..., clock=clock)
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import PlanError, RuleError, UsageLimitError
from coffee_core.metering.grants import Grant
from coffee_core.metering.ledger import Activity, Charge, Clock, Ledger, Standing, Use
from coffee_core.metering.periods import Frequency
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction, savepoint

PARTNERS = itertools.count(7_000_000)
START = datetime(2024, 1, 31, 12, tzinfo=UTC)
NAMESPACE = "DISCOVERY"


@dataclass(slots=True)
class LedgerBench:
    """One partner's view of a ledger, on a clock of its own."""

    ledger: Ledger = field(init=False)
    now: datetime = START + timedelta(days=1)
    grant: Grant | None = field(default_factory=lambda: Grant(3, Frequency.MONTHLY, START))
    partner: int = field(default_factory=lambda: next(PARTNERS))

    def clock(self) -> datetime:
        """What the ledger takes for the time."""
        return self.now

    def context(self) -> RequestContext:
        """A new request of the partner."""
        return RequestContext(request_id="r", partner_id=self.partner, account_id=9)

    async def charge(self, *, cost: int = 1, once: str | None = None, known: Grant | None = None) -> Charge:
        """Count in the unit of work in hand; `known` is what the caller believes is granted."""
        begin_transaction()
        believed = known or self.grant or Grant(1, Frequency.MONTHLY, START)
        return await self.ledger.charge(Use(self.partner, NAMESPACE, cost, once), believed, self._fresh)

    async def use(self, *, cost: int = 1, once: str | None = None, known: Grant | None = None) -> Charge:
        """Count in a unit of work of its own, and commit it."""
        async with acting_as(self.context()):
            return await self.charge(cost=cost, once=once, known=known)

    async def correct(self, consumed: int | None) -> Standing:
        """Set what is consumed, in the unit of work in hand."""
        begin_transaction()
        return await self.ledger.correct(Use(self.partner, NAMESPACE), consumed, self._fresh)

    async def fail(self, step: Callable[[], Awaitable[object]]) -> None:
        """Do a step in a unit of work that fails after it."""
        with suppress(RuleError):
            async with acting_as(self.context()):
                begin_transaction()
                await step()
                raise RuleError("the work has failed")

    async def standing(self) -> Standing:
        """What is committed."""
        assert self.grant is not None
        async with acting_as(self.context()):
            return (await self.ledger.look(Use(self.partner, NAMESPACE), self.grant)).standing

    async def consumed(self) -> int:
        """How much is counted."""
        return (await self.standing()).consumed

    async def _fresh(self) -> Grant | None:
        return self.grant


class LedgerContract:
    """Each test has a partner of its own, so that all may share one database."""

    async def make(self, clock: Clock) -> Ledger:
        """The ledger; called once for each test."""
        raise NotImplementedError

    @pytest.fixture
    async def bench(self) -> LedgerBench:
        """Three uses a month, from 31 January 2024 on; it is 1 February."""
        bench = LedgerBench()
        bench.ledger = await self.make(bench.clock)
        return bench

    async def test_a_use_is_counted_with_the_commit(self, bench: LedgerBench) -> None:
        charge = await bench.use(cost=2)
        assert (charge.cost, charge.standing.consumed, charge.standing.remaining) == (2, 2, 1)
        assert await bench.standing() == charge.standing

    async def test_what_is_rolled_back_was_not_counted(self, bench: LedgerBench) -> None:
        await bench.fail(bench.charge)
        assert await bench.consumed() == 0

    async def test_a_part_that_is_undone_alone_was_not_counted(self, bench: LedgerBench) -> None:
        async with acting_as(bench.context()):
            await bench.charge()
            with suppress(RuleError):
                async with savepoint():
                    await bench.charge()
                    raise RuleError("this part has failed")
        assert await bench.consumed() == 1

    async def test_over_the_limit_nothing_is_counted_and_the_reset_is_told(self, bench: LedgerBench) -> None:
        await bench.use(cost=2)
        with pytest.raises(UsageLimitError) as refused:
            await bench.use(cost=2)
        assert refused.value.reset == datetime(2024, 2, 29, 12, tzinfo=UTC)
        assert refused.value.retry_after == timedelta(days=28).total_seconds()
        assert (refused.value.remaining, await bench.consumed()) == (1, 2)

    async def test_a_limit_of_none_is_used_up_from_the_start(self, bench: LedgerBench) -> None:
        bench.grant = Grant(0, Frequency.MONTHLY, START)
        with pytest.raises(UsageLimitError):
            await bench.use()

    async def test_what_was_not_bought_is_refused_as_such(self, bench: LedgerBench) -> None:
        bench.grant = None
        with pytest.raises(PlanError, match=NAMESPACE):
            await bench.use()

    async def test_at_any_concurrency_no_more_than_the_limit_is_granted(self, bench: LedgerBench) -> None:
        bench.grant = Grant(7, Frequency.MONTHLY, START)
        outcomes = await asyncio.gather(*(bench.use() for _ in range(40)), return_exceptions=True)
        granted = [outcome for outcome in outcomes if isinstance(outcome, Charge)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, UsageLimitError)]
        assert (len(granted), len(refused), await bench.consumed()) == (7, 33, 7)

    async def test_the_count_begins_anew_at_the_reset_however_late_somebody_comes(self, bench: LedgerBench) -> None:
        await bench.use(cost=3)
        bench.now = datetime(2024, 2, 29, 11, 59, 59, tzinfo=UTC)
        with pytest.raises(UsageLimitError):
            await bench.use()
        bench.now = datetime(2024, 2, 29, 12, tzinfo=UTC)
        assert await bench.consumed() == 0
        first = await bench.use()
        assert (first.standing.consumed, first.standing.reset) == (1, datetime(2024, 3, 31, 12, tzinfo=UTC))
        bench.now = datetime(2024, 6, 30, 13, tzinfo=UTC)
        late = await bench.use()
        assert (late.standing.consumed, late.standing.reset) == (1, datetime(2024, 7, 31, 12, tzinfo=UTC))

    async def test_a_use_in_the_moment_of_a_reset_counts_once(self, bench: LedgerBench) -> None:
        await bench.use(cost=3)
        bench.now = datetime(2024, 2, 29, 12, tzinfo=UTC)
        outcomes = await asyncio.gather(*(bench.use() for _ in range(9)), return_exceptions=True)
        assert len([outcome for outcome in outcomes if isinstance(outcome, Charge)]) == 3
        assert await bench.consumed() == 3

    async def test_what_was_seen_in_this_period_is_free(self, bench: LedgerBench) -> None:
        assert [(await bench.use(once=key)).cost for key in ("a", "b", "a", "a")] == [1, 1, 0, 0]
        assert await bench.consumed() == 2
        bench.now = datetime(2024, 2, 29, 12, tzinfo=UTC)
        assert (await bench.use(once="a")).cost == 1

    async def test_what_was_seen_stays_free_when_all_is_used_up(self, bench: LedgerBench) -> None:
        await bench.use(once="a")
        await bench.use(cost=2)
        assert (await bench.use(once="a")).cost == 0

    async def test_one_thing_seen_many_times_at_once_is_counted_once(self, bench: LedgerBench) -> None:
        await asyncio.gather(*(bench.use(once="a") for _ in range(12)))
        assert await bench.consumed() == 1

    async def test_what_could_not_be_counted_is_not_free_afterwards(self, bench: LedgerBench) -> None:
        await bench.use(cost=3)
        async with acting_as(bench.context()):
            with pytest.raises(UsageLimitError):
                await bench.charge(once="a")
        assert (await self.look(bench, "a")).cost == 1

    async def test_what_was_rolled_back_was_not_seen(self, bench: LedgerBench) -> None:
        await bench.fail(lambda: bench.charge(once="a"))
        assert (await bench.use(once="a")).cost == 1

    async def test_looking_counts_nothing(self, bench: LedgerBench) -> None:
        assert (await self.look(bench, "a")).cost == 1
        await bench.use(once="a")
        assert (await self.look(bench, "a")).cost == 0
        assert await bench.consumed() == 1

    async def look(self, bench: LedgerBench, once: str) -> Charge:
        """What a use under this key would come to."""
        assert bench.grant is not None
        async with acting_as(bench.context()):
            return await bench.ledger.look(Use(bench.partner, NAMESPACE, 1, once), bench.grant)

    async def test_a_raised_limit_counts_at_once(self, bench: LedgerBench) -> None:
        old = bench.grant
        await bench.use(cost=3)
        bench.grant = Grant(4, Frequency.MONTHLY, START)
        charge = await bench.use(known=old)
        assert (charge.standing.consumed, charge.standing.remaining) == (4, 0)

    async def test_a_lowered_limit_keeps_what_is_consumed(self, bench: LedgerBench) -> None:
        await bench.use(cost=3)
        bench.grant = Grant(2, Frequency.MONTHLY, START)
        with pytest.raises(UsageLimitError):
            await bench.use()
        standing = await bench.standing()
        assert (standing.consumed, standing.remaining) == (3, 0)

    async def test_who_believes_in_an_old_contract_does_not_bring_it_back(self, bench: LedgerBench) -> None:
        """Two processes, of which one has not heard of the new contract: the count must not begin anew each time."""
        old = bench.grant
        await bench.use()
        bench.grant = Grant(3, Frequency.MONTHLY, bench.now)
        outcomes = [await self._granted(bench, known) for known in (bench.grant, old, bench.grant, old)]
        assert outcomes == [True, True, True, False]

    async def _granted(self, bench: LedgerBench, known: Grant | None) -> bool:
        try:
            await bench.use(known=known)
        except UsageLimitError:
            return False
        return True

    async def test_another_frequency_moves_the_reset_and_keeps_the_count(self, bench: LedgerBench) -> None:
        await bench.use(cost=2)
        bench.grant = Grant(3, Frequency.QUARTERLY, START)
        charge = await bench.use()
        assert (charge.standing.consumed, charge.standing.reset) == (3, datetime(2024, 4, 30, 12, tzinfo=UTC))

    async def test_the_reset_is_no_later_than_the_end_of_what_was_bought(self, bench: LedgerBench) -> None:
        end = datetime(2024, 2, 10, tzinfo=UTC)
        bench.grant = Grant(3, Frequency.MONTHLY, START, end)
        assert (await bench.use()).standing.reset == end

    async def test_what_is_consumed_can_be_corrected(self, bench: LedgerBench) -> None:
        await bench.use(cost=3)
        await bench.fail(lambda: bench.correct(0))
        assert await bench.consumed() == 3
        async with acting_as(bench.context()):
            standing = await bench.correct(1)
        assert (standing.consumed, await bench.consumed()) == (1, 1)
        assert (await bench.use()).standing.consumed == 2

    async def test_a_counter_is_brought_in_line_without_a_use(self, bench: LedgerBench) -> None:
        await bench.use(cost=2)
        bench.grant = Grant(9, Frequency.MONTHLY, START)
        async with acting_as(bench.context()):
            standing = await bench.correct(None)
        assert (standing.limit, standing.consumed, await bench.consumed()) == (9, 2, 2)

    async def test_partners_have_counts_of_their_own(self, bench: LedgerBench) -> None:
        await bench.use(cost=3, once="a")
        bench.partner = next(PARTNERS)
        assert (await bench.use(once="a")).standing.consumed == 1

    async def test_an_activity_is_kept_with_the_commit(self, bench: LedgerBench) -> None:
        async with acting_as(bench.context()):
            begin_transaction()
            await bench.ledger.record(Activity(bench.partner, 9, "TOPIC_RESEARCH", {"topic": "coffee"}))
        await bench.fail(lambda: bench.ledger.record(Activity(bench.partner, 9, "DISCOVERY", {})))
        assert await self.activities(bench) == [("TOPIC_RESEARCH", 9, {"topic": "coffee"})]

    async def activities(self, bench: LedgerBench) -> list[tuple[str, int | None, dict[str, object]]]:
        """Type, account and meta of what is kept of the bench's partner."""
        raise NotImplementedError
