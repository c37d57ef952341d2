"""What a partner may use, as whoever sells it says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from coffee_core.domain.errors import PlanError
from coffee_core.metering.periods import Frequency


class Grant(NamedTuple):
    """`limit` uses in each period, from `start` on and before `end` (never, where it is None). `start` is the anchor
    of the periods; another start begins a new count."""

    limit: int
    frequency: Frequency
    start: datetime
    end: datetime | None = None


class Grants(Protocol):
    """The authority on limits, for example the partners' contracts."""

    async def grant(self, partner_id: int, namespace: str) -> Grant | None:
        """What the partner may use now; None where what he bought does not include it.

        Is asked inside the unit of work in hand, also while it holds the counter locked: it must read there, and what
        is committed at that moment.
        """
        ...


def not_included(namespace: str) -> PlanError:
    """The error of who has bought none of it."""
    return PlanError(f"what you have bought does not include {namespace}")


class FixedGrants:
    """The same limits for every partner: for tests, and for a service that sells one thing."""

    def __init__(self, limits: Mapping[str, int], frequency: Frequency = Frequency.MONTHLY) -> None:
        self.limits = dict(limits)
        self._frequency = frequency

    async def grant(self, partner_id: int, namespace: str) -> Grant | None:  # noqa: ARG002 - the same for all
        """By the namespace alone; periods are those of the calendar."""
        limit = self.limits.get(namespace)
        return None if limit is None else Grant(limit, self._frequency, datetime(2020, 1, 1, tzinfo=UTC))
