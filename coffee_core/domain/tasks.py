"""Tasks of our own that go on until they are ended."""

from __future__ import annotations

import asyncio

AGAIN_SECONDS = 0.5
"""After so long without an end they are cancelled once more."""


async def end_tasks(*tasks: asyncio.Task[None]) -> None:
    """Cancel them until they have ended, and tell nobody how.

    Once is not enough for a task that goes on after what it waits for: a cancellation that meets the end of an
    `asyncio.wait_for`, as client libraries use it, is lost (python/cpython#86296, in Python 3.11). A task that
    takes longer than a moment to end is cancelled in that as well.
    """
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at: one that nobody asks for complains when it is collected
