"""Periods that begin on the day of their anchor: 31 January, 29 February (28, where there is no leap day), 31 March."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from enum import StrEnum


class Frequency(StrEnum):
    """How long a period is."""

    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"

    @property
    def months(self) -> int:
        """The same in months."""
        return {"monthly": 1, "quarterly": 3, "yearly": 12}[self.value]


def months_after(anchor: datetime, months: int) -> datetime:
    """The same day and time so many months later; the last day of a month that is too short for it. Counted from the
    anchor each time, so that a short month does not move the later ones. In UTC."""
    anchor = anchor.astimezone(UTC)
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


def next_reset(anchor: datetime, frequency: Frequency, now: datetime) -> datetime:
    """The end of the period in which `now` lies: the first one after `now`. The anchor begins the first period."""
    anchor, now = anchor.astimezone(UTC), now.astimezone(UTC)
    between = max(0, (now.year - anchor.year) * 12 + now.month - anchor.month)
    whole = between - between % frequency.months
    end = months_after(anchor, whole)
    if whole and end > now:
        return end
    return months_after(anchor, whole + frequency.months)
