"""A small true event bus for tests: keeps what was raised, once its unit of work has committed."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from coffee_core.domain.event import Delivery, Event
from coffee_core.persistence.unit_of_work import begin_transaction, current_work


class Raised(NamedTuple):
    """An event that went out."""

    event: Event
    delivery: Delivery


class RecordedEvents:
    """An `EventSink` with the bus's promises: nothing is kept of what was rolled back."""

    def __init__(self) -> None:
        self.raised: list[Raised] = []

    def raise_event(self, event: Event, delivery: Delivery = Delivery.AFTER_COMMIT) -> None:
        """Keep `event` after the commit."""
        work = current_work() if delivery is Delivery.AFTER_COMMIT else begin_transaction()
        work.after_commit_at_once(partial(self.raised.append, Raised(event, delivery)))
