"""How the cells of foreign files are read: exactly (decimal arithmetic, never through floats), or refused.

A reader takes a cell's text and answers a value, None for "there is none", or raises `ValueError` with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import TypeAlias

Reader: TypeAlias = Callable[[str], object]

NOTHING = frozenset({"", "nan", "NaN", "NAN"})
"""What stands for "no number" in files that a data-frame library wrote."""

NUMBER = re.compile(
    r"(?P<sign>[+-]?)"
    r"(?P<digits>[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3})?"  # plain, western, Indian grouping
    r"(?P<fraction>\.[0-9]*)?"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,2}))?"
    r"(?P<unit>[kKmMbBtT]?)"
)
UNITS: Mapping[str, int] = {"": 0, "k": 3, "m": 6, "b": 9, "t": 12}
CELL_MAX = 60
WHOLE_MAX = 2**63 - 1
DIGITS_OF_63_BITS = 18
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def shown(cell: str) -> str:
    """A cell in a sentence."""
    return repr(cell if len(cell) <= 40 else cell[:40] + "...")


def text(cell: str) -> str | None:
    """As it stands, without blanks around it; empty is None. A name spelled `nan` stays a name."""
    return cell.strip() or None


def text_or_nan(cell: str) -> str | None:
    """For columns in which the word `nan` means that there is nothing; never for names."""
    stripped = cell.strip()
    return None if stripped in NOTHING else stripped


def exact(cell: str) -> Decimal | None:
    """`2.28E+11`, `475.8m`, `3.3k`, ` 4,26,973 `, `3344.00`: the number that is written there."""
    stripped = cell.strip()
    if stripped in NOTHING:
        return None
    match = NUMBER.fullmatch(stripped) if len(stripped) <= CELL_MAX else None
    if match is None or not (match["digits"] or len(match["fraction"] or "") > 1):
        raise ValueError(f"{shown(cell)} is not a number")
    unit = UNITS[match["unit"].lower()]
    if not unit and "," not in stripped:
        return Decimal(stripped)
    digits, fraction = (match["digits"] or "").replace(",", ""), match["fraction"] or ""
    # one literal, because arithmetic would round to the context's precision
    return Decimal(f"{match['sign']}{digits}{fraction}E{int(match['exponent'] or 0) + unit}")


def whole(cell: str) -> int | None:
    """A whole number of at most 63 bits; one with a fraction is refused, not rounded."""
    if len(cell) <= DIGITS_OF_63_BITS and cell.isascii() and cell.isdigit():
        return int(cell)  # nearly all of them
    value = exact(cell)
    if value is None:
        return None
    if value != value.to_integral_value():
        raise ValueError(f"{shown(cell)} is not a whole number")
    if abs(value) > WHOLE_MAX:
        raise ValueError(f"{shown(cell)} is larger than {WHOLE_MAX}")
    return int(value)


def number(cell: str) -> float | None:
    """A number that may have a fraction."""
    value = exact(cell)
    return None if value is None else float(value)


def percent(cell: str) -> float | None:
    """`1.39%` and `1.39` are both 1.39."""
    return number(cell.strip().removesuffix("%"))


def month_date(year: str, month: str, day: str) -> date | None:
    """A date in three cells, the month by its English name; None where one of them holds nothing."""
    parts = [part.strip() for part in (year, month, day)]
    if any(part in NOTHING for part in parts):
        return None
    name = parts[1][:3].lower()
    try:
        return date(int(parts[0]), MONTHS.index(name) + 1, int(parts[2]))
    except ValueError:
        raise ValueError(f"{shown(' '.join(parts))} is not a date") from None
