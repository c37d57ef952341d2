"""Layer: faults of ours are reported, once, with the request that met them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable
from typing import Final

from coffee_core.http.layers.request_capture import captured
from coffee_core.http.problems import status_of
from coffee_core.http.streams import watched
from coffee_core.observability.error_tracker import ErrorReport, ErrorTracker
from coffee_core.wire.message import Handler, Layer, Request, Response

log: Final = logging.getLogger("coffee.errors")


def error_tracking(tracker: ErrorTracker, capture_bytes: int) -> Layer:
    """Report what will be answered 500, and what breaks a streamed answer off. A caller's mistake, a limit or a part
    that is down is no fault: statuses and metrics tell of those."""

    def report(request: Request, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError | GeneratorExit) or status_of(error) != 500:
            return
        try:
            tracker.report(ErrorReport(error, captured(request, capture_bytes)))
        except Exception:  # a tracker that fails must not cost the caller his answer
            log.exception("the error tracker failed")

    def reported(request: Request, stream: AsyncIterable[bytes]) -> AsyncIterable[bytes]:
        return watched(stream, lambda _, error: None if error is None else report(request, error))

    def layer(following: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                response = await following(request)
            except Exception as error:
                report(request, error)
                raise
            if response.stream is not None:
                response.stream = reported(request, response.stream)
            return response

        return handle

    return layer
