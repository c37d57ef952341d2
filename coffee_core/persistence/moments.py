"""`timestamptz` on its way from and to PostgreSQL: as text.

asyncpg makes a datetime of the binary form through a timedelta and an addition: 0.2 us more for every value, at least,
than the one function of C that reads the ISO form. PostgreSQL needs 0.05 us more to write it. The connection's
`DateStyle` and `TimeZone` have to be ISO and UTC; `Pool` asks for both.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

INFINITY: Final = datetime.max  # noqa: DTZ901 - naive, as the driver has it
NEGATIVE_INFINITY: Final = datetime.min  # noqa: DTZ901

_read = datetime.fromisoformat


def read_moment(text: str) -> datetime:
    """What PostgreSQL wrote, in UTC. Infinity is `datetime.max` or `.min`; beyond the years 1 to 9999 it is an
    `OverflowError`."""
    try:
        return _read(text)
    except ValueError:
        if text == "infinity":
            return INFINITY
        if text == "-infinity":
            return NEGATIVE_INFINITY
        raise OverflowError(f"no date of Python is {text[:60]}") from None


def moment_text(value: object) -> str:
    """A parameter; a naive datetime and a date are in the process's own time zone. Anything else is a `TypeError`,
    which the driver reports as a value of the wrong type."""
    if not isinstance(value, datetime):
        if not isinstance(value, date):
            raise TypeError(f"expected a date or a datetime, got {type(value).__name__!r}")
        value = datetime(value.year, value.month, value.day).astimezone()
    if value.tzinfo is None:
        if value == INFINITY:
            return "infinity"
        if value == NEGATIVE_INFINITY:
            return "-infinity"
    return value.astimezone(UTC).isoformat()
