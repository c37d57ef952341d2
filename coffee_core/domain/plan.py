"""What a partner bought, and how a field or an operation says what it needs."""

from enum import IntEnum
from typing import Final, NamedTuple


class Plan(IntEnum):
    """Ordered: a larger plan includes all that a smaller one does."""

    FREE = 0
    SAAS = 1
    PAID = 2


PLAN_NAMES: Final = tuple(plan.name for plan in Plan)
"""By number: a member's own `name` takes a call."""


class Gated(NamedTuple):
    """Marks an Entry field: `Annotated[str | None, Gated(Plan.SAAS)]`.

    A caller below `plan` gets null for it, may not filter or sort by it (402), and its column is not read.
    """

    plan: Plan
