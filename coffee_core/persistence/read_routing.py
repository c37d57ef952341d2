"""Which reads a replica may serve: those that need no transaction, of callers who have not just written."""

from __future__ import annotations

import logging
from time import monotonic

from coffee_core.domain.context import CURRENT
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import UnitOfWork, work_of

log = logging.getLogger(__name__)

PARTNERS_MAX = 100_000
"""Partners remembered as having written, the latest ones."""


class ReadRouting:
    """Made only where there is a replica. What it remembers is this process's: another one may answer a partner from
    a replica that has not caught up with a write made here."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._after_write = settings.read_after_write_seconds
        self._rest = settings.read_rest_seconds
        self._until: dict[int, float] = {}
        """For each partner the end of the time in which he reads from the primary, in order of writing."""
        self._resting_until = 0.0

    def wrote(self) -> None:
        """The caller in hand has written, or begun a transaction: his reads see it from here on."""
        context = CURRENT.get(None)
        if context is None:
            return
        work_of(context).wrote = True
        partner = context.partner_id
        if partner is None or not self._after_write:
            return
        self._until.pop(partner, None)  # so that it is entered last
        self._until[partner] = monotonic() + self._after_write
        if len(self._until) > PARTNERS_MAX:
            del self._until[next(iter(self._until))]

    def by_replica(self) -> bool:
        """Whether a read of the caller in hand may go to the replica. Without a partner it may not: nobody could say
        whether it follows a write of his (signing in comes after signing up)."""
        context = CURRENT.get(None)
        if context is None or context.partner_id is None:
            return False
        work = context.work
        if isinstance(work, UnitOfWork) and (work.transactional or work.wrote):
            return False
        if self._resting_until and monotonic() < self._resting_until:
            return False
        until = self._until.get(context.partner_id)
        return until is None or monotonic() >= until

    def rest(self, reason: str) -> None:
        """The replica does not answer: it is left alone for `read_rest_seconds`, and the primary serves."""
        now = monotonic()
        if now >= self._resting_until:
            log.warning("reads go to the primary for %.0f s: the replica does not serve them: %s", self._rest, reason)
        self._resting_until = now + self._rest
