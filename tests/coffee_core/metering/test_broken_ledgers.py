"""The contract notices ledgers that break a promise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from coffee_core.domain.errors import UsageLimitError
from coffee_core.metering.grants import Grant
from coffee_core.metering.ledger import Charge, Fresh, Use
from coffee_core.metering.memory import MemoryLedger
from coffee_core.testing.ledger import LedgerBench, LedgerContract

Test = Callable[[LedgerContract, LedgerBench], Awaitable[None]]


class CountsAtOnce(MemoryLedger):
    async def charge(self, use: Use, grant: Grant, fresh: Fresh) -> Charge:
        charge = await super().charge(use, grant, fresh)
        if charge.cost:
            self.count(use, grant)
        return charge


class LooksThenWrites(MemoryLedger):
    """Two steps with a pause between them, and no further look at the limit."""

    async def charge(self, use: Use, grant: Grant, fresh: Fresh) -> Charge:
        granted = await fresh()
        before = await self.look(use, granted or grant)
        await asyncio.sleep(0)
        if before.cost > before.standing.remaining:
            raise before.standing.refusal(self.clock())
        self._counter(use, grant).consumed += use.cost
        return before


class NeverAsksAgain(MemoryLedger):
    async def charge(self, use: Use, grant: Grant, fresh: Fresh) -> Charge:
        async def stale() -> Grant | None:
            return grant

        return await super().charge(use, grant, stale)


class ForgetsWhatWasSeen(MemoryLedger):
    def _is_free(self, use: Use) -> bool:
        return False


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (CountsAtOnce, LedgerContract.test_what_is_rolled_back_was_not_counted),
        (LooksThenWrites, LedgerContract.test_at_any_concurrency_no_more_than_the_limit_is_granted),
        (NeverAsksAgain, LedgerContract.test_a_raised_limit_counts_at_once),
        (NeverAsksAgain, LedgerContract.test_what_was_not_bought_is_refused_as_such),
        (NeverAsksAgain, LedgerContract.test_who_believes_in_an_old_contract_does_not_bring_it_back),
        (ForgetsWhatWasSeen, LedgerContract.test_what_was_seen_in_this_period_is_free),
        (ForgetsWhatWasSeen, LedgerContract.test_one_thing_seen_many_times_at_once_is_counted_once),
    ],
)
async def test_a_broken_promise_is_noticed(broken: type[MemoryLedger], test: Test) -> None:
    bench = LedgerBench()
    bench.ledger = broken(bench.clock)
    with pytest.raises((AssertionError, pytest.fail.Exception, UsageLimitError)):
        await test(LedgerContract(), bench)
