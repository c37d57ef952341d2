"""The port: where uses are counted. `coffee_core.testing.ledger` is its contract."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from coffee_core.domain.errors import UsageLimitError
from coffee_core.metering.grants import Grant

Fresh: TypeAlias = Callable[[], Awaitable[Grant | None]]
"""Asks the authority again: what was known may be seconds old."""
Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of this machine. That of another one may differ: a period ends when the first of them says so."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a partner stands in one namespace. `reset` is when the count begins anew (or what was bought ends)."""

    namespace: str
    limit: int
    consumed: int
    reset: datetime

    @property
    def remaining(self) -> int:
        """What is left of the limit; 0 also where a limit was lowered below what is consumed."""
        return max(0, self.limit - self.consumed)

    def refusal(self, now: datetime) -> UsageLimitError:
        """The error of who asks for more than is left."""
        reset = self.reset.astimezone(UTC)
        until = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
        detail = f"{self.namespace}: {self.consumed} of {self.limit} are used in this period; it ends at {until}"
        seconds = max(1.0, (reset - now).total_seconds())
        return UsageLimitError(detail, remaining=self.remaining, reset=reset, retry_after=seconds)


@dataclass(frozen=True, slots=True)
class Use:
    """What is to be counted: `cost` at once or not at all. With `once`, a further use under the same key costs nothing
    before the end of the period in which the first one was counted."""

    partner_id: int
    namespace: str
    cost: int = 1
    once: str | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """What a use came to: `cost` is 0 where it was free. `standing` is that after it."""

    cost: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that was done, for the record: counted or not."""

    partner_id: int
    account_id: int | None
    type: str
    meta: Mapping[str, object]


class Ledger(Protocol):
    """Counts in the unit of work in hand: with its commit a use is counted, with its rollback it never was."""

    async def look(self, use: Use, grant: Grant) -> Charge:
        """What the use would come to, without counting or locking: `cost` 0 if it would be free."""
        ...

    async def charge(self, use: Use, grant: Grant, fresh: Fresh) -> Charge:
        """Count the use, in one atomic step: however many do so at once, and wherever, what is granted never exceeds
        the limit. `UsageLimitError` if less than its cost is left; `PlanError` if `fresh` says that nothing is granted.

        `grant` may be stale. Where it is not what the counter goes by, and before a refusal, `fresh` is asked.
        """
        ...

    async def correct(self, use: Use, consumed: int | None, fresh: Fresh) -> Standing:
        """Bring the counter in line with what is granted now, and set what is consumed (None: as it is)."""
        ...

    async def record(self, activity: Activity) -> None:
        """Keep an activity."""
        ...
