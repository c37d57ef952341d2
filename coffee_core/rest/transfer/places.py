"""Places for imports: as many as may run at a time, and not all of them one partner's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import UnavailableError
from coffee_core.rest.settings import RestSettings

LATER: Final = 10
"""Seconds after which one who was refused may ask again."""


class Places:
    """Of one resource in one process."""

    def __init__(self, settings: RestSettings) -> None:
        self._settings = settings
        self._held: Counter[int | None] = Counter()
        """By partner. None: callers without a session, who have one partner's share between them."""

    @contextmanager
    def one(self, context: RequestContext) -> Iterator[None]:
        """A place for as long as this is open; `UnavailableError` if there is none. The refusals speak of the caller's
        own imports or of nobody's: how many others run is not his business."""
        partner, settings = context.partner_id, self._settings
        # what belongs to no partner is imported by operators alone, who do not keep their own places from anybody
        if not context.is_operator and self._held[partner] >= settings.imports_per_partner_max:
            raise UnavailableError(
                "as many of your imports run as may at one time; send this one when one of them has ended",
                retry_after=LATER,
            )
        if self._held.total() >= settings.imports_max:
            raise UnavailableError("as many imports run as may at one time", retry_after=LATER)
        self._held[partner] += 1
        try:
            yield
        finally:
            self._held[partner] -= 1
            if not self._held[partner]:
                del self._held[partner]  # else there would be one of each partner that ever imported
