"""The event sink of a command that announces nothing."""

from __future__ import annotations

from coffee_core.domain.event import Delivery, Event


class NoEvents:
    """Profiles raise no events: one that comes here is a fault of ours."""

    def raise_event(self, event: Event, delivery: Delivery = Delivery.AFTER_COMMIT) -> None:
        """Refused."""
        raise TypeError(f"a command that has no broker cannot announce {event.type} ({delivery.value})")
