"""Telling of records that were written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Generic, Literal, TypeAlias

from coffee_core.domain.event import Announcer, Event, EventSink
from coffee_core.domain.ids import EntryT
from coffee_core.persistence.unit_of_work import in_transaction
from coffee_core.rest.page import Page

log = logging.getLogger(__name__)

Change: TypeAlias = Literal["created", "updated"]


class Announcements(Generic[EntryT]):
    """Raises the events that a Manager `announces`. A failure is logged: the record may be stored already."""

    def __init__(
        self,
        announces: Callable[[Change, EntryT], Event | None],
        raise_event: Callable[[Event], None],
        events: EventSink | None,
    ) -> None:
        self._announces = announces
        self._raise_event = raise_event
        self._announce = events.announce if isinstance(events, Announcer) else None

    def of(self, change: Change, entry: EntryT) -> None:
        """Of a record, as part of the unit of work in hand."""
        try:
            event = self._announces(change, entry)
            if event is not None:
                self._raise_event(event)
        except Exception:
            log.exception("an event could not be made of a record; the record stays")

    def of_one(self, change: Change, page: Page[EntryT]) -> None:
        """Of the one record of a page. If it is stored already its object need not be made now."""
        if self._announce is None or in_transaction():
            self.of(change, page.entries()[0])
        else:
            self._announce(partial(self._event, change, page))

    def _event(self, change: Change, page: Page[EntryT]) -> Event | None:
        return self._announces(change, page.entries()[0])
