"""Forwarding costs what it costs: counted, so that a change that adds more than a twentieth is seen on any machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import cold
from tests.benchmarks.forwarding import measure

ALLOWED = 1.05


@pytest.mark.parametrize(("targets", "calls", "builtins"), [(1, 32.02, 39.1), (3, 33.02, 44.4)])
async def test_a_forwarded_request_costs_no_more_calls_than_it_did(
    tmp_path: Path, targets: int, calls: float, builtins: float
) -> None:
    cost = await measure(tmp_path / "log", targets)
    assert cost.calls <= calls * ALLOWED
    assert cost.builtins <= builtins * ALLOWED


async def test_a_session_that_is_met_for_the_first_time_costs_no_more_calls_than_it_did(
    tmp_path: Path, redis_url: str
) -> None:
    """From the request to the answer, with one trip to Redis that it shares with nobody."""
    cost = await cold.measure(redis_url, tmp_path / "log")
    assert cost.calls <= 118.4 * ALLOWED
    assert cost.builtins <= 169.0 * ALLOWED
