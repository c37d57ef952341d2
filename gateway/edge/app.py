"""The gateway's own routes behind the verdict's `Local`: one handler, looked up by path."""

from __future__ import annotations

import logging

from coffee_core.wire.message import Handler, Request, Response
from gateway.edge.docs import Docs
from gateway.edge.health import Health, Heartbeat
from gateway.edge.metrics import Metrics
from gateway.edge.openapi import MergedOpenApi
from gateway.edge.problem import problem

log = logging.getLogger(__name__)


class Edge:
    """A `Handler` of all own routes but the verdict's. Methods and access were decided by the verdict; what is not here
    is 404."""

    def __init__(
        self,
        *,
        health: Health,
        heartbeat: Heartbeat,
        rotate: Handler,
        metrics: Metrics,
        openapi: MergedOpenApi,
        docs: Docs,
        operators: Handler,
    ) -> None:
        self._operators = operators
        self._docs = docs.get
        self._exact: dict[tuple[str, str], Handler] = {
            ("GET", "/health/live"): health.live,
            ("GET", "/health/ready"): health.ready,
            ("GET", "/health/startup"): health.startup,
            ("GET", "/heartbeat"): heartbeat.get,
            ("PUT", "/heartbeat"): rotate,
            ("GET", "/metrics"): metrics.get,
            ("GET", "/openapi.json"): openapi.get,
        }

    async def __call__(self, request: Request) -> Response:
        """The answer; HEAD is answered as GET, the wire leaves the body out."""
        method = "GET" if request.method == "HEAD" else request.method
        path = request.path.rstrip("/") or "/"
        handler = self._exact.get((method, path))
        if handler is None and (path == "/docs" or path.startswith("/docs/")):
            handler = self._docs
        elif handler is None and (path == "/_gateway" or path.startswith("/_gateway/")):
            handler = self._operators
        if handler is None:
            return problem(request, 404, "nothing is here")
        try:
            return await handler(request)
        except Exception:  # an edge route must not take the connection's loop down with it
            log.exception("the edge failed on %s", path)
            return problem(request, 500, "this failed; the log has it under the request id")
