"""How the kernel shares a processor out, where it can and where it cannot."""

from __future__ import annotations

import errno
import os

import pytest

from gateway.scheduling import schedule
from tests.gateway.test_settings import a_valid_one


def test_a_policy_of_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    (said,) = a_valid_one(scheduling="batch").problems()
    assert said.startswith("COFFEE_GATEWAY_SCHEDULING: ")
    assert a_valid_one().problems() == []


def test_where_the_system_forbids_it_the_gateway_serves_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    schedule("normal")
    assert not caplog.messages
    schedule("batch")
    assert caplog.messages == ["COFFEE_GATEWAY_SCHEDULING=batch has no effect here: Operation not permitted"]
