"""Gated fields of events: whoever listens gets no more than the plan of whoever raised the event includes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from coffee_core.domain.event import Event
from coffee_core.domain.plan import Gated, Plan


@lru_cache(maxsize=1024)
def event_gates(event: type[Event]) -> Mapping[str, Plan]:
    """The gated fields and the plan that each needs. One that cannot be null is a `TypeError`: its listeners could not
    read what a smaller plan raises."""
    gates: dict[str, Plan] = {}
    for name, info in event.model_fields.items():
        plan = next((mark.plan for mark in info.metadata if isinstance(mark, Gated)), Plan.FREE)
        if plan > Plan.FREE:
            annotation: Any = info.annotation  # whatever type the author wrote
            try:
                TypeAdapter(annotation).validate_python(None)
            except ValidationError:
                raise TypeError(f"{event.__name__}.{name} is gated and must allow None") from None
            gates[name] = plan
    return gates


def masked(event: Event, plan: Plan) -> Event:
    """The event as somebody on `plan` may raise it; itself where nothing is locked."""
    gates = event_gates(type(event))
    if not gates:
        return event
    hidden = {name: None for name, needed in gates.items() if needed > plan and getattr(event, name) is not None}
    return event.model_copy(update=hidden) if hidden else event
