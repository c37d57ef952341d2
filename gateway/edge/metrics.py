"""`/metrics` in Prometheus's text format."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from coffee_core.wire.message import Request, Response


class Metrics:
    """The registry of this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def get(self, _request: Request) -> Response:
        """All families, read now."""
        return Response(
            200,
            generate_latest(self._registry),
            content_type=CONTENT_TYPE_LATEST.encode(),
            headers=[(b"cache-control", b"no-store")],
        )
