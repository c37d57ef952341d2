"""Layer: requests that took longer than they should, each with a line of its own in the log."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Final

from coffee_core.wire.message import Handler, Layer, Request, Response

log: Final = logging.getLogger("coffee.slow")


def slow_log(threshold: float) -> Layer:
    """Warn about a request that took `threshold` seconds or more, to its answer or to a stream's first chunk."""

    def layer(following: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            started = perf_counter()
            try:
                return await following(request)
            finally:
                taken = perf_counter() - started
                if taken >= threshold:
                    log.warning("slow request", extra={"route": request.route, "ms": round(taken * 1000, 1)})

        return handle

    return layer
