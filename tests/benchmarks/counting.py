"""Counting calls: the same on every machine, whatever else it does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def counted_calls() -> Iterator[dict[str, int]]:
    """`call`: Python functions entered or resumed; `c_call`: functions of C called by them. Of this thread, while the
    block runs."""
    counted = {"call": 0, "c_call": 0}

    def profile(_: FrameType, event: str, __: object) -> None:
        if event in counted:
            counted[event] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield counted
    finally:
        sys.setprofile(before)
