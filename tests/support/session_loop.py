"""The event loop of a test run, whose end is bounded.

Closing a uvloop warns of what was left open, closes it, and runs libuv until nothing is. Where warnings are errors the
warning keeps it from closing, and libuv waits for ever: a test that had failed and left a server behind made a whole
run hang. A name that nobody resolves has the same effect.
"""

from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path
from typing import ClassVar

import uvloop

CLOSE_SECONDS = 30


class SessionLoop(uvloop.Loop):
    """Warns once it is closed; if that takes too long, tells what this process has open and goes on without."""

    stuck: ClassVar[bool] = False
    """Whether one did not close: at its end the process would wait for libuv's threads again."""

    def close(self) -> None:
        """In a thread, since nothing can interrupt libuv. Errors are raised, and warnings given, here."""
        failed: list[Exception] = []
        left_open: list[warnings.WarningMessage] = []

        def close() -> None:
            try:
                with warnings.catch_warnings(record=True) as seen:
                    warnings.simplefilter("always")
                    uvloop.Loop.close(self)
                left_open.extend(seen)
            except Exception as error:  # noqa: BLE001 - raised below, where it is seen
                failed.append(error)

        closing = threading.Thread(target=close, name="close the loop", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
        if closing.is_alive():
            SessionLoop.stuck = True
            print(f"the loop did not close within {CLOSE_SECONDS} s; open are:\n{_open()}", file=sys.__stderr__)
        for error in failed:
            raise error
        if left_open:
            told = "; ".join(str(one.message) for one in left_open)
            warnings.warn(f"the tests left open: {told}", ResourceWarning, stacklevel=2)


def _open() -> str:
    """This process's descriptors, children, and what its threads wait for in the kernel (proc(5))."""
    lines: list[str] = []
    for kind, pattern in (("descriptor", "fd/*"), ("children", "task/*/children"), ("thread", "task/*/wchan")):
        for path in sorted(Path("/proc/self").glob(pattern)):
            try:
                lines.append(f"{kind} {path}: {path.readlink() if kind == 'descriptor' else path.read_text()}")
            except OSError as error:
                lines.append(f"{kind} {path}: {error.strerror}")
    return "\n".join(lines)
