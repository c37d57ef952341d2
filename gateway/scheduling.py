"""How the kernel shares a processor out between a gateway's processes and others."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final, Literal, TypeAlias

log: Final = logging.getLogger("gateway")

Scheduling: TypeAlias = Literal["normal", "batch"]


def problem(scheduling: Scheduling) -> str | None:
    """Why this machine cannot; `None` if it can."""
    if scheduling == "batch" and sys.platform != "linux":
        return "COFFEE_GATEWAY_SCHEDULING: `batch` is a policy of Linux alone"
    return None


def schedule(scheduling: Scheduling) -> None:
    """Of this process, and of the threads that it starts from here on. Needs no privilege (sched(7), SCHED_BATCH)."""
    if scheduling == "batch" and sys.platform == "linux":
        try:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        except OSError as error:  # a filter of system calls: slower, and no reason not to serve
            log.warning("COFFEE_GATEWAY_SCHEDULING=batch has no effect here: %s", error.strerror)
