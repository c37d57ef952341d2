"""A span a request, by OpenTelemetry's API: made when the request has ended, in the trace that the upstream was told.

Off, there is no tracer and nothing is asked. Where spans go is OpenTelemetry's business: `OTEL_*`, or an SDK set up
before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from coffee_core.domain.errors import CoffeeError
from coffee_core.observability.settings import ObservabilitySettings
from gateway.verdict.decision import Decision, Forward

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TracerProvider


NAME = b"\r\ntraceparent: "
"""A line of the head, and no part of another's value: a caller behind a trusted proxy writes the tracestate."""


class Head(Protocol):
    """What a request asks for."""

    @property
    def method(self) -> bytes:
        """Of HTTP."""
        ...

    @property
    def target(self) -> bytes:
        """Path and query, as they came."""
        ...


class Recorded(Protocol):
    """A request, and what was decided about it."""

    @property
    def head(self) -> Head:
        """As it came."""
        ...

    @property
    def decision(self) -> Decision | None:
        """`None`: nothing is recorded."""
        ...


class Spans:
    """Needs the package opentelemetry-api."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """`provider`: OpenTelemetry's own choice, if not given."""
        from opentelemetry import trace

        self._trace = trace
        self._tracer = trace.get_tracer("coffee.gateway", tracer_provider=provider)

    def record(self, client: Recorded, status: int, seconds: float) -> None:
        """One request that has ended, in the words of the semantic conventions of HTTP. The query is left out: it may
        carry secrets."""
        decision = client.decision
        if decision is None:
            return
        ended = time.time_ns()
        method = client.head.method.decode("latin-1")
        span = self._tracer.start_span(
            f"{method} {decision.route}",
            self._parent(decision) if isinstance(decision, Forward) else None,
            kind=self._trace.SpanKind.SERVER,
            start_time=ended - int(seconds * 1e9),
            attributes={
                "http.request.method": method,
                "http.response.status_code": status,
                "http.route": decision.route,
                "url.path": client.head.target.partition(b"?")[0].decode("latin-1"),
                "coffee.request_id": decision.request_id.decode("latin-1"),
            },
        )
        if isinstance(decision, Forward):
            span.set_attribute("coffee.upstream", decision.passage.upstream)
            span.set_attribute("coffee.partner", decision.passage.partner.decode())
            span.set_attribute("coffee.plan", decision.passage.plan.decode())
        if status >= 500:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        span.end(ended)

    def _parent(self, decision: Forward) -> Context | None:
        _, found, rest = decision.head.rpartition(NAME)
        if not found:
            return None
        _, number, parent, _ = rest.partition(b"\r\n")[0].split(b"-")
        flags = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED)
        said = self._trace.SpanContext(int(number, 16), int(parent, 16), is_remote=True, trace_flags=flags)
        return self._trace.set_span_in_context(self._trace.NonRecordingSpan(said))


def make_spans(settings: ObservabilitySettings) -> Spans | None:
    """`None` while COFFEE_TRACING is off. Configured and not installed is an error at the start."""
    if settings.tracing == "off":
        return None
    try:
        return Spans()
    except ImportError:
        raise CoffeeError(
            "COFFEE_TRACING is opentelemetry, which is not installed: install coffee-core[otel]"
        ) from None
