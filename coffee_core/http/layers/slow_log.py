"""Told by `observed`: requests that took longer than they should, each with a line of its own in the log."""

from __future__ import annotations

import logging
from typing import Final

from coffee_core.http.layers.observed import Answered
from coffee_core.wire.message import Request

log: Final = logging.getLogger("coffee.slow")


def slow_log(threshold: float) -> Answered:
    """Warn about a request that took `threshold` seconds or more, to its answer or to a stream's first chunk."""

    def answered(request: Request, seconds: float) -> None:
        if seconds >= threshold:
            log.warning("slow request", extra={"route": request.route, "ms": round(seconds * 1000, 1)})

    return answered
