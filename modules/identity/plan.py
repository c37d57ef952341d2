"""Which plan a partner has: PLATFORM section 2, step 4."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from coffee_core.domain.plan import Plan

GIVES_PLAN = "SAAS"
"""The `contract_type` that gives one."""


class Term(NamedTuple):
    """A contract of that type: from `start` on, before `end` (never, where it is None)."""

    plan: Plan
    start: datetime
    end: datetime | None


class Grant(NamedTuple):
    """A plan, and the moment from which it may be another one; None: not before a contract changes."""

    plan: Plan
    until: datetime | None


def plan_at(terms: Iterable[Term], now: datetime) -> Grant:
    """The largest plan of the contracts that run; FREE where none does."""
    plan, moments = Plan.FREE, []
    for term in terms:
        if term.start <= now and (term.end is None or now < term.end):
            plan = max(plan, term.plan)
        moments += [moment for moment in (term.start, term.end) if moment is not None and moment > now]
    return Grant(plan, min(moments, default=None))
