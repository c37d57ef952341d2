"""Pytest plugin of the run against broken stores: each is run with the test that has to notice it, until it does."""

from __future__ import annotations

import pytest

noticed: set[str] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep an item if its broken store names its test."""
    items[:] = [item for item in items if isinstance(item, pytest.Function) and _has_to_notice(item)]


def _has_to_notice(item: pytest.Function) -> bool:
    broken = item.module.BROKEN[item.callspec.params["broken"]]
    return bool(broken.noticed_by == item.originalname)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Once is enough."""
    if isinstance(item, pytest.Function) and item.callspec.params["broken"] in noticed:
        pytest.skip("this store was noticed already")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """A failing test has noticed; an error around it has not."""
    report = yield
    if isinstance(item, pytest.Function) and call.when == "call" and report.failed:
        noticed.add(item.callspec.params["broken"])
    return report


def pytest_unconfigure() -> None:
    """The result, for the test that started this run."""
    for name in sorted(noticed):
        print(f"noticed: {name}")
