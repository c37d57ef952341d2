"""Layer: one line a request. It names the route, not the path, and the partner, not the person: no personal data."""

from __future__ import annotations

from collections.abc import AsyncIterable
from time import perf_counter, time
from typing import Final

import msgspec

from coffee_core.domain.context import CURRENT, RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.http.layers.metrics import CLIENT_GONE
from coffee_core.http.streams import watched
from coffee_core.observability.lines import LineWriter
from coffee_core.wire.message import Handler, Layer, Request, Response

PLAN_NAMES: Final = tuple(plan.name for plan in Plan)  # Enum.name is a slow property

QUIET: Final = frozenset(
    ("GET /health/live", "GET /health/ready", "GET /health/startup", "GET /metrics")
)  # asked for every few seconds by machines: a line only where they fail


class AccessLine(msgspec.Struct, rename="camel", gc=False):
    """A line of the access log. `ts` is epoch seconds at the request's end, `bytes` the body's length."""

    ts: float
    route: str
    status: int
    ms: float
    bytes: int
    request_id: str
    partner_id: int | None
    plan: str
    log: str = "access"


def access_log(lines: LineWriter) -> Layer:
    """Write a line when the answer is ready, or has been streamed. A caller that went away has status 499."""

    def layer(following: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            started = perf_counter()
            context = CURRENT.get()
            try:
                response = await following(request)
            except BaseException:
                lines.add(_line(request, context, CLIENT_GONE, started, 0))
                raise
            if response.stream is not None:
                response.stream = _logged(
                    response.stream, lines, request=request, context=context, status=response.status, started=started
                )
            elif response.status >= 400 or request.route not in QUIET:
                lines.add(_line(request, context, response.status, started, len(response.body)))
            return response

        return handle

    return layer


def _line(request: Request, context: RequestContext, status: int, started: float, size: int) -> AccessLine:
    ms = (perf_counter() - started) * 1000
    return AccessLine(
        time(), request.route, status, ms, size, context.request_id, context.partner_id, PLAN_NAMES[context.plan]
    )


def _logged(
    stream: AsyncIterable[bytes],
    lines: LineWriter,
    *,
    request: Request,
    context: RequestContext,
    status: int,
    started: float,
) -> AsyncIterable[bytes]:
    return watched(stream, lambda sent, _: lines.add(_line(request, context, status, started, sent)))
