"""Told by `observed`: how many requests, how long they took, by route and status."""

from __future__ import annotations

from coffee_core.domain.context import RequestContext
from coffee_core.http.layers.observed import Ended
from coffee_core.observability.metrics import Metrics
from coffee_core.wire.message import Request


def metrics(registry: Metrics) -> Ended:
    """Observe `http_request_seconds`; a streamed answer counts when it has ended. The route is the template, so that
    no caller can make up new series."""
    observe = registry.histogram("http_request_seconds", "Time to answer a request.", ("route", "status")).observe
    cut = registry.counter("http_streams_cut_total", "Streamed answers that broke off.", ("route",))

    def ended(
        request: Request, _: RequestContext, status: int, seconds: float, __: int, error: BaseException | None
    ) -> None:
        observe(seconds, request.route, status)
        if error is not None:
            cut.add(1, request.route)

    return ended
