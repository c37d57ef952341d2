"""Forwarding costs what it costs: counted, so that a change that adds more than a twentieth is seen on any machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import cold, verdicts
from tests.benchmarks.forwarding import measure

ALLOWED = 1.05


@pytest.mark.parametrize(("targets", "calls", "builtins"), [(1, 30.12, 37.2), (3, 31.25, 42.6)])
async def test_a_forwarded_request_costs_no_more_calls_than_it_did(
    tmp_path: Path, targets: int, calls: float, builtins: float
) -> None:
    cost = await measure(tmp_path / "log", targets)
    assert cost.calls <= calls * ALLOWED
    assert cost.builtins <= builtins * ALLOWED


async def test_a_session_that_is_met_for_the_first_time_costs_no_more_calls_than_it_did_and_a_later_request_either(
    tmp_path: Path, redis_url: str
) -> None:
    """From the request to the answer; the first one with a trip to Redis that it shares with nobody."""
    first, later = await cold.measure(redis_url, tmp_path / "log")
    assert first.calls <= 119.3 * ALLOWED
    assert first.builtins <= 169.0 * ALLOWED
    assert later.calls <= 46.4 * ALLOWED
    assert later.builtins <= 56.5 * ALLOWED


async def test_a_proxys_question_costs_no_more_calls_than_it_did(tmp_path: Path, redis_url: str) -> None:
    """About a caller who is known, among others in one read."""
    cost = await verdicts.measure(redis_url, tmp_path / "log")
    assert cost.calls <= 11.1 * ALLOWED
    assert cost.builtins <= 30.3 * ALLOWED
