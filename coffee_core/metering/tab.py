"""What a request has used so far, and whether it only asks for the cost."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from coffee_core.metering.ledger import Charge


@dataclass(slots=True)
class Tab:
    """`dry`: nothing is to be done; the first use ends the work and tells what it would cost."""

    dry: bool = False
    charges: list[Charge] = field(default_factory=list)


class CostTold(Exception):  # noqa: N818 - an outcome, not an error
    """Ends dry work at the point where it would be counted."""

    def __init__(self, charge: Charge) -> None:
        super().__init__(charge.standing.namespace)
        self.charge = charge


TAB: ContextVar[Tab | None] = ContextVar("coffee_metering_tab", default=None)
"""Set around the handler of a metered route."""
