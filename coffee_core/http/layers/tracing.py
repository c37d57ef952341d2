"""An eleventh layer, there only when a tracer is configured: a span around each request."""

from __future__ import annotations

from coffee_core.domain.context import CURRENT
from coffee_core.http.problems import status_of
from coffee_core.observability.tracing import Tracer
from coffee_core.wire.message import Handler, Layer, Request, Response


def tracing(tracer: Tracer) -> Layer:
    """Name the span after the route; what is answered 500 or more marks it as failed."""

    def layer(following: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            facts = {"http.request.method": request.method, "coffee.request_id": CURRENT.get().request_id}
            with tracer.span(request.method, facts) as span:
                try:
                    response = await following(request)
                except Exception as error:
                    span.name(request.route)
                    span.set("http.response.status_code", status_of(error))
                    if status_of(error) >= 500:
                        span.fail(error)
                    raise
                span.name(request.route)
                span.set("http.response.status_code", response.status)
                return response

        return handle

    return layer
