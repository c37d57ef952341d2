"""A module's request costs what it costs: counted, so that a change that adds more than a twentieth is seen on any
machine. Who adds a feature that every request pays for raises a number here, and says why."""

from __future__ import annotations

import pytest
import uvloop

from tests.benchmarks.serving import measure

ALLOWED = 1.05


@pytest.mark.parametrize(
    ("operation", "calls", "builtins"),
    [("get", 74.0, 70.0), ("search", 119.7, 159.0), ("patch", 90.8, 89.4), ("create", 95.5, 105.4)],
)
def test_a_request_to_a_module_costs_no_more_calls_than_it_did(operation: str, calls: float, builtins: float) -> None:
    cost = uvloop.run(measure(operation, rounds=1))
    assert cost.calls <= calls * ALLOWED
    assert cost.builtins <= builtins * ALLOWED


@pytest.mark.parametrize(("operation", "calls", "builtins"), [("get", 96.0, 94.0), ("search", 367.7, 601.0)])
def test_a_manager_that_maps_itself_costs_no_more_calls_than_it_did(
    operation: str, calls: float, builtins: float
) -> None:
    cost = uvloop.run(measure(operation, "deriving", rounds=1))
    assert cost.calls <= calls * ALLOWED
    assert cost.builtins <= builtins * ALLOWED


@pytest.mark.parametrize(("operation", "calls", "builtins"), [("patch", 109.8, 112.4), ("create", 114.5, 128.4)])
def test_a_write_that_is_told_of_costs_no_more_calls_than_it_did(operation: str, calls: float, builtins: float) -> None:
    cost = uvloop.run(measure(operation, "telling", rounds=1))
    assert cost.calls <= calls * ALLOWED
    assert cost.builtins <= builtins * ALLOWED


def test_a_write_in_a_transaction_costs_no_more_calls_than_it_did() -> None:
    cost = uvloop.run(measure("patch", "deriving", rounds=1))
    assert cost.calls <= 175.8 * ALLOWED
    assert cost.builtins <= 128.4 * ALLOWED
