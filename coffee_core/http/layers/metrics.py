"""Layer: how many requests, how long they took, by route and status."""

from __future__ import annotations

from collections.abc import AsyncIterable
from time import perf_counter

from coffee_core.http.streams import watched
from coffee_core.observability.metrics import Counter, Histogram, Metrics
from coffee_core.wire.message import Handler, Layer, Request, Response

CLIENT_GONE = 499
"""No status of HTTP: the caller went away before there was an answer. nginx counts them so."""


def metrics(registry: Metrics) -> Layer:
    """Observe `http_request_seconds`; a streamed answer counts when it has ended. The route is the template, so that
    no caller can make up new series."""
    seconds = registry.histogram("http_request_seconds", "Time to answer a request.", ("route", "status"))
    cut = registry.counter("http_streams_cut_total", "Streamed answers that broke off.", ("route",))

    def layer(following: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            started = perf_counter()
            try:
                response = await following(request)
            except BaseException:
                seconds.observe(perf_counter() - started, request.route, CLIENT_GONE)
                raise
            if response.stream is None:
                seconds.observe(perf_counter() - started, request.route, response.status)
            else:
                response.stream = _observed(
                    response.stream, seconds, cut, route=request.route, status=response.status, started=started
                )
            return response

        return handle

    return layer


def _observed(
    stream: AsyncIterable[bytes], seconds: Histogram, cut: Counter, *, route: str, status: int, started: float
) -> AsyncIterable[bytes]:
    def ended(_: int, error: BaseException | None) -> None:
        seconds.observe(perf_counter() - started, route, status)
        if error is not None:
            cut.add(1, route)

    return watched(stream, ended)
