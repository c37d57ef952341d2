"""Telling of a record that was written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, TypeAlias

from coffee_core.domain.event import Event
from coffee_core.domain.ids import EntryT

log = logging.getLogger(__name__)

Change: TypeAlias = Literal["created", "updated"]


def tell(
    announces: Callable[[Change, EntryT], Event | None],
    raise_event: Callable[[Event], None],
    change: Change,
    entry: EntryT,
) -> None:
    """Raise the event that `announces` makes, if any. A failure is logged: the record may be stored already."""
    try:
        event = announces(change, entry)
        if event is not None:
            raise_event(event)
    except Exception:
        log.exception("an event could not be made of a record; the record stays")
