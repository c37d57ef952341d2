"""Traces: `traceparent` (W3C Trace Context) is read strictly and passed on; a configured tracer makes spans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

from coffee_core.domain.context import CURRENT
from coffee_core.observability.settings import ObservabilitySettings

is_traceparent: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
).fullmatch
"""Whether a header is one of version 00 (or a later one that reads the same): W3C Trace Context section 3.2."""


class Span(Protocol):
    """One timed piece of work."""

    def name(self, name: str) -> None:
        """Call it so, from now on."""

    def set(self, name: str, value: str | int) -> None:
        """Add a fact to it."""

    def fail(self, error: BaseException) -> None:
        """Mark it as failed by `error`."""


class Tracer(Protocol):
    """Makes spans."""

    def span(self, name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[Span]:
        """A child of the request context's `traceparent`, which is the span's own inside the block."""
        ...


class OpenTelemetryTracer:
    """Spans by OpenTelemetry's API. Exporters are its own business: OTEL_* variables, or an SDK set up before."""

    def __init__(self) -> None:
        from opentelemetry import propagate, trace

        self._trace = trace
        self._propagate = propagate
        self._tracer = trace.get_tracer("coffee_core")

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str | int]) -> Iterator[Span]:
        """A span around the block; what failed is said by `fail`, as most exceptions here are a caller's mistake."""
        context = CURRENT.get(None)
        carrier = {"traceparent": context.traceparent} if context is not None and context.traceparent else {}
        parent = self._propagate.extract(carrier)
        before = "" if context is None else context.traceparent
        kind = self._trace.SpanKind.SERVER
        with self._tracer.start_as_current_span(
            name, parent, kind=kind, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            given: dict[str, str] = {}
            self._propagate.inject(given)
            if context is not None and "traceparent" in given:
                context.traceparent = given["traceparent"]
            try:
                yield _OpenTelemetrySpan(span, self._trace.Status, self._trace.StatusCode.ERROR)
            finally:
                if context is not None:
                    context.traceparent = before


class _OpenTelemetrySpan:
    __slots__ = ("_error", "_span", "_status")

    def __init__(self, span: Any, status: Any, error: Any) -> None:  # Any: the package may not be installed
        self._span = span
        self._status = status
        self._error = error

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def fail(self, error: BaseException) -> None:
        self._span.set_status(self._status(self._error, type(error).__name__))


def make_tracer(settings: ObservabilitySettings) -> Tracer | None:
    """The tracer that is configured, if any. Configured and not installed is an error at the start."""
    if settings.tracing == "off":
        return None
    try:
        return OpenTelemetryTracer()
    except ImportError:
        raise RuntimeError(
            "COFFEE_TRACING is opentelemetry, which is not installed: install coffee-core[otel]"
        ) from None
