"""Told by `observed`: one line a request. It names the route, not the path, and the partner, not the person: no
personal data."""

from __future__ import annotations

from time import time
from typing import Final

import msgspec

from coffee_core.domain.context import RequestContext
from coffee_core.domain.plan import PLAN_NAMES
from coffee_core.http.layers.observed import Ended
from coffee_core.observability.lines import LineWriter
from coffee_core.wire.message import Request

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


def access_log(lines: LineWriter) -> Ended:
    """Write a line when the answer is ready, or has been streamed. A caller that went away has status 499."""
    add = lines.add

    def ended(
        request: Request, context: RequestContext, status: int, seconds: float, size: int, _: BaseException | None
    ) -> None:
        route = request.route
        if status >= 400 or route not in QUIET:
            plan = PLAN_NAMES[context.plan]
            add(AccessLine(time(), route, status, seconds * 1000, size, context.request_id, context.partner_id, plan))

    return ended
