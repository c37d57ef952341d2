"""Traces and error tracking with the packages that do them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sentry_sdk
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from coffee_core.domain.context import current
from coffee_core.domain.errors import NotFoundError
from coffee_core.observability.error_tracker import ErrorReport, LoggingTracker, SentryTracker, make_error_tracker
from coffee_core.observability.settings import ObservabilitySettings
from coffee_core.observability.tracing import OpenTelemetryTracer, make_tracer
from coffee_core.wire.message import Request, Response
from tests.coffee_core.http.rig import PARTNER_7, application, request, route

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    made = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    trace.set_tracer_provider(provider)  # once a process, as the API wants it
    return made


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


async def test_a_request_is_a_span_named_after_its_route_below_the_callers(spans: InMemorySpanExporter) -> None:
    seen: list[str] = []

    async def handle(_: Request) -> Response:
        seen.append(current().traceparent)
        return Response(200)

    app = application(route(handle, "/api/thing/{id}"), tracer=OpenTelemetryTracer())
    await app.handler(request("/thing-service/api/thing/4711", headers={**PARTNER_7, b"traceparent": PARENT}))
    (span,) = spans.get_finished_spans()
    assert span.name == "GET /thing-service/api/thing/{id}"
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (
        PARENT[3:35].decode(),
        PARENT[36:52].decode(),
    )
    assert seen == [f"00-{PARENT[3:35].decode()}-{span.context.span_id:016x}-01"]
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 200


@pytest.mark.parametrize(
    ("error", "status"), [(ZeroDivisionError("hunter2"), StatusCode.ERROR), (NotFoundError("no"), StatusCode.UNSET)]
)
async def test_only_faults_of_ours_mark_a_span_as_failed(
    spans: InMemorySpanExporter, error: Exception, status: StatusCode
) -> None:
    async def handle(_: Request) -> Response:
        raise error

    await application(route(handle), tracer=OpenTelemetryTracer()).handler(request())
    (span,) = spans.get_finished_spans()
    assert span.status.status_code == status
    assert "hunter2" not in span.to_json()


def test_nothing_is_traced_unless_it_is_configured() -> None:
    assert make_tracer(ObservabilitySettings()) is None
    assert isinstance(make_tracer(ObservabilitySettings(tracing="opentelemetry")), OpenTelemetryTracer)


class Sent(Transport):
    """Keeps what would be sent."""

    events: list[object] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events.extend(item.payload.json for item in envelope.items)


@pytest.fixture
def sentry() -> Iterator[SentryTracker]:
    tracker = SentryTracker("https://public@sentry.example/1", "test")
    sentry_sdk.get_client().transport = Sent()
    Sent.events.clear()
    yield tracker
    sentry_sdk.get_client().close()
    sentry_sdk.init()


def test_sentry_gets_the_fault_and_the_redacted_request_and_nothing_else(sentry: SentryTracker) -> None:
    password = "hunter2"
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        sentry.report(ErrorReport(error, {"route": "GET /x", "headers": {"authorization": "***"}}))
    text = str(Sent.events)
    assert "ZeroDivisionError" in text
    assert "GET /x" in text
    assert f"'{password}'" not in text


def test_faults_are_logged_unless_sentry_is_configured() -> None:
    assert isinstance(make_error_tracker(ObservabilitySettings()), LoggingTracker)
