"""Periods keep the day they began on, wherever a month has it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffee_core.metering.periods import Frequency, months_after, next_reset

MOMENTS = st.integers(0, 20 * 366 * 86_400).map(
    lambda seconds: datetime(2019, 1, 1, tzinfo=UTC) + timedelta(0, seconds)
)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("anchor", "frequency", "resets"),
    [
        ("2023-01-31", "monthly", ["2023-02-28", "2023-03-31", "2023-04-30", "2023-05-31"]),
        ("2024-01-31", "monthly", ["2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"]),
        ("2024-01-30", "monthly", ["2024-02-29", "2024-03-30", "2024-04-30"]),
        ("2023-11-30", "quarterly", ["2024-02-29", "2024-05-30", "2024-08-30", "2024-11-30", "2025-02-28"]),
        ("2024-02-29", "yearly", ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
        ("2023-12-31", "monthly", ["2024-01-31", "2024-02-29"]),
        ("2024-06-15", "yearly", ["2025-06-15", "2026-06-15"]),
    ],
)
def test_resets_keep_the_day_of_their_anchor(anchor: str, frequency: str, resets: list[str]) -> None:
    now, found = day(anchor), []
    for _ in resets:
        now = next_reset(day(anchor), Frequency(frequency), now)
        found.append(now)
    assert found == [day(reset) for reset in resets]


@settings(deadline=None)
@given(anchor=MOMENTS, frequency=st.sampled_from(Frequency), later=st.timedeltas(timedelta(0), timedelta(days=9000)))
def test_every_moment_lies_in_the_period_that_its_reset_ends(
    anchor: datetime, frequency: Frequency, later: timedelta
) -> None:
    now = anchor + later
    found = next_reset(anchor, frequency, now)
    ends = [months_after(anchor, step * frequency.months) for step in range(1, 320)]
    assert found == min(end for end in ends if end > now)
    assert next_reset(anchor, frequency, found) > found


@settings(deadline=None)
@given(anchor=MOMENTS, months=st.integers(0, 300))
def test_a_month_is_never_skipped_and_only_short_months_move_the_day(anchor: datetime, months: int) -> None:
    found = months_after(anchor, months)
    assert (found.year * 12 + found.month) - (anchor.year * 12 + anchor.month) == months
    assert found.time() == anchor.time()
    assert found.day == anchor.day or (found.day < anchor.day and (found + timedelta(days=1)).day == 1)
