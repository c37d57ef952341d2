"""With traces on, each request is a span in the trace that its upstream was told; off, there is nothing."""

from __future__ import annotations

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from coffee_core.observability.settings import ObservabilitySettings
from gateway.data_plane.spans import Spans, make_spans
from gateway.verdict.decision import Forward, Passage
from tests.gateway.data_plane.conftest import REQUEST_ID, Start
from tests.support.verdict_proxy import HTTP, PEER, VerdictProxy, get

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Client:
    """As much of a connection as a span is made of."""

    def __init__(self, target: bytes, decision: Forward) -> None:
        self.decision = decision
        self.head = type("Head", (), {"method": b"GET", "target": target})()


def test_a_span_is_a_child_of_what_the_upstream_was_told_and_has_no_query() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider)
    head = f"x-a: 1\r\ntraceparent: 00-{TRACE}-{PARENT}-00\r\ntracestate: a=traceparent: b\r\n".encode()
    decision = Forward(Passage("saas", "service", b"3", b"PAID", b"7"), b"/a", head, b"", REQUEST_ID)
    spans.record(Client(b"/a?token=secret", decision), 503, 0.25)
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind, span.status.status_code) == ("GET service", SpanKind.SERVER, StatusCode.ERROR)
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time == 250_000_000
    assert span.attributes is not None
    assert span.attributes["url.path"] == "/a"
    assert span.attributes["coffee.plan"] == "PAID"
    assert "secret" not in span.to_json()


async def test_a_request_through_the_gateway_leaves_one(start: Start) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    plane = await start()
    plane.front.spans = Spans(provider)
    async with await plane.client() as client:
        await client.ask(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
        await client.ask(b"GET /no HTTP/1.1\r\nhost: a\r\n\r\n")
    await plane.log(2)
    names = [
        (span.name, (span.attributes or {})["http.response.status_code"]) for span in exporter.get_finished_spans()
    ]
    assert names == [("GET everything", 200), ("GET refused", 401)]


async def test_a_question_of_a_stream_leaves_one_whether_it_had_to_wait_or_not(start: Start) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    plane = await start(asked_from="127.0.0.0/8")
    plane.front.spans = Spans(provider)
    async with await VerdictProxy.open(await plane.client()) as proxy:
        await proxy.ask_all([(get(b"/a?secret"), HTTP, PEER), (get(b"/no"), HTTP, PEER)])
        plane.verdict.release.set()
        for path in (b"/later/b?secret", b"/later/no"):
            await proxy.ask(get(path))
    found = [
        (span.name, (span.attributes or {})["url.path"], (span.attributes or {})["http.response.status_code"])
        for span in exporter.get_finished_spans()
    ]
    statuses = {"/a": 200, "/no": 401, "/later/b": 200, "/later/no": 401}
    assert found == [("GET verdict", path, status) for path, status in statuses.items()]
    ids = {(span.attributes or {})["coffee.request_id"] for span in exporter.get_finished_spans()}
    assert ids == {REQUEST_ID.decode()}


def test_off_there_is_no_tracer() -> None:
    assert make_spans(ObservabilitySettings(tracing="off")) is None
