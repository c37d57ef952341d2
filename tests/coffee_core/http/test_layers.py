"""What the layers write down and pass on: ids, addresses, traces, log lines, metrics, error reports."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_network

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.context import CURRENT, current
from coffee_core.domain.errors import UnavailableError
from coffee_core.http.layers.access_log import access_log
from coffee_core.http.layers.client_address import TrustedProxies
from coffee_core.http.layers.observed import observed
from coffee_core.http.layers.request_id import request_id
from coffee_core.http.layers.slow_log import slow_log
from coffee_core.http.pipeline import pipeline
from coffee_core.http.settings import HttpSettings
from coffee_core.observability.lines import LineWriter
from coffee_core.wire.message import Body, Handler, Request, Response
from tests.coffee_core.http.rig import (
    PARTNER_7,
    Reports,
    application,
    body_of,
    header,
    hello,
    problem,
    request,
    route,
)

UUID7 = b"019a1b2c-3d4e-7f50-8123-456789abcdef"


async def fails(_: Request) -> Response:
    raise ZeroDivisionError


# Request id


async def test_a_well_formed_request_id_is_kept_and_returned() -> None:
    response = await application(route(hello)).handler(request(headers={**PARTNER_7, b"x-bb-requestid": UUID7}))
    assert header(response, b"x-bb-requestid") == UUID7


@pytest.mark.parametrize(
    "given",
    [b"", b"1", UUID7 + b"0", UUID7.replace(b"-7", b"-4"), b"x\ny", UUID7 + b", " + UUID7, UUID7.replace(b"-8", b"-0")],
)
async def test_any_other_is_replaced(given: bytes) -> None:
    response = await application(route(hello)).handler(request(headers={**PARTNER_7, b"x-bb-requestid": given}))
    made = header(response, b"x-bb-requestid")
    assert made is not None
    assert uuid.UUID(made.decode()).version == 7


async def test_a_problem_carries_the_id_of_its_request() -> None:
    headers = {**PARTNER_7, b"x-bb-requestid": UUID7.upper()}
    response = await application(route(fails)).handler(request(headers=headers))
    assert problem(response)["requestId"] == UUID7.decode() == (header(response, b"x-bb-requestid") or b"").decode()


async def test_the_context_ends_with_the_request() -> None:
    await application(route(hello)).handler(request())
    assert CURRENT.get(None) is None


async def test_a_stream_runs_in_its_requests_context_which_ends_with_it() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield str(current().partner_id).encode()

    async def handle(_: Request) -> Response:
        return Response(200, stream=chunks())

    response = await application(route(handle)).handler(request())
    assert await body_of(response) == b"7"
    assert CURRENT.get(None) is None


# Client address


async def address(_: Request) -> Response:
    return Response(200, current().client_address.encode())


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "seen"),
    [
        pytest.param("203.0.113.9", b"1.2.3.4", "203.0.113.9", id="a stranger is not believed"),
        pytest.param("10.0.0.1", b"1.2.3.4", "1.2.3.4", id="a trusted proxy is"),
        pytest.param("10.0.0.1", b"6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4", id="but not what a caller wrote before it"),
        pytest.param("10.0.0.1", b"10.0.0.3, 10.0.0.2", "10.0.0.3", id="proxies alone: the furthest"),
        pytest.param("10.0.0.1", b"unknown, 10.0.0.2", "10.0.0.2", id="a hop that is no address ends the chain"),
        pytest.param("10.0.0.1", b"", "10.0.0.1", id="nothing said"),
        pytest.param("::ffff:10.0.0.1", b"2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param("", b"1.2.3.4", "", id="a peer without an address"),
    ],
)
async def test_the_callers_address(peer: str, forwarded_for: bytes, seen: str) -> None:
    settings = HttpSettings(access_log="off", trusted_proxies="10.0.0.0/8")  # type: ignore[arg-type]  # as from a variable
    app = application(route(address), settings=settings)
    response = await app.handler(request(client=peer, headers={**PARTNER_7, b"x-forwarded-for": forwarded_for}))
    assert response.body.decode() == seen


@given(st.binary(max_size=200))
def test_no_chain_of_hops_breaks_the_reader(chain: bytes) -> None:
    trusted = TrustedProxies([ip_network("10.0.0.0/8")])
    assert trusted.client("10.0.0.1", chain)


# Traces


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        (b"00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        (b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        (b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", False),
        (b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", False),
        (b"nonsense", False),
    ],
)
async def test_a_trace_is_passed_on_if_it_is_one(given: bytes, kept: bool) -> None:
    async def handle(_: Request) -> Response:
        return Response(200, current().traceparent.encode())

    response = await application(route(handle)).handler(request(headers={**PARTNER_7, b"traceparent": given}))
    assert response.body == (given if kept else b"")


# Access log


async def logged(handler: Handler, asked: Request) -> list[dict[str, object]]:
    read, write = os.pipe()
    lines = LineWriter(write)
    try:
        response = await pipeline([request_id, observed(slow_log(60.0), access_log(lines))], handler)(asked)
        await body_of(response)
    finally:
        lines.close()
        os.close(write)
    data = os.read(read, 65_536)
    os.close(read)
    return [orjson.loads(line) for line in data.splitlines()]


async def test_a_line_names_the_route_and_the_partner_but_no_person_and_no_value() -> None:
    async def handle(asked: Request) -> Response:
        asked.route = "GET /thing-service/api/thing/{handle}"
        CURRENT.get().partner_id = 7
        CURRENT.get().user_id = 424242
        return Response(200, b"12345")

    headers = {b"x-bb-requestid": UUID7, b"authorization": b"Bearer hunter2", b"cookie": b"hunter2"}
    asked = request("/thing-service/api/thing/jane.doe", headers=headers, query=b"token=hunter2")
    (line,) = await logged(handle, asked)
    assert {name: line[name] for name in ("route", "status", "bytes", "requestId", "partnerId", "plan", "log")} == {
        "route": "GET /thing-service/api/thing/{handle}",
        "status": 200,
        "bytes": 5,
        "requestId": UUID7.decode(),
        "partnerId": 7,
        "plan": "FREE",
        "log": "access",
    }
    text = str(line)
    assert not [secret for secret in ("hunter2", "jane", "424242", "203.0.113.9") if secret in text]


async def test_a_stream_has_its_line_when_it_has_ended() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"123"
        yield b"45"

    async def handle(_: Request) -> Response:
        return Response(200, stream=chunks())

    (line,) = await logged(handle, request())
    assert (line["status"], line["bytes"]) == (200, 5)


async def test_a_healthy_probe_makes_no_line_and_a_failing_one_does() -> None:
    async def handle(asked: Request) -> Response:
        asked.route = "GET /health/ready"
        return Response(int(asked.query))

    assert await logged(handle, request(query=b"200")) == []
    assert len(await logged(handle, request(query=b"503"))) == 1


# Metrics


async def test_requests_are_counted_by_route_and_status_and_no_caller_can_add_a_series() -> None:
    app = application(route(hello, "/api/thing/{id}"), route(fails, "/api/fails"))
    for path in ("1", "2", "3"):
        await app.handler(request(f"/thing-service/api/thing/{path}"))
    await app.handler(request("/thing-service/api/fails"))
    for path in ("/a", "/b", "/c"):
        await app.handler(request(path, method=path.upper()))
    text = app.metrics.text().decode()
    counts = sorted(line for line in text.splitlines() if line.startswith("http_request_seconds_count"))
    assert counts == [
        'http_request_seconds_count{route="GET /thing-service/api/fails",status="500"} 1.0',
        'http_request_seconds_count{route="GET /thing-service/api/thing/{id}",status="200"} 3.0',
        'http_request_seconds_count{route="unmatched",status="404"} 3.0',
    ]


async def test_a_stream_that_breaks_off_is_counted_and_reported() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"1"
        raise ZeroDivisionError

    async def handle(_: Request) -> Response:
        return Response(200, stream=chunks())

    reports = Reports()
    app = application(route(handle), error_tracker=reports)
    response = await app.handler(request())
    with pytest.raises(ZeroDivisionError):
        await body_of(response)
    assert "http_streams_cut_total{" in app.metrics.text().decode()
    assert len(reports) == 1


# Slow requests


async def test_a_slow_request_has_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    settings = HttpSettings(access_log="off", slow_seconds=1e-9)
    with caplog.at_level(logging.WARNING, "coffee.slow"):
        await application(route(hello), settings=settings).handler(request())
    assert [vars(record)["route"] for record in caplog.records] == ["GET /thing-service/api/thing"]


# Error reports


async def test_a_fault_is_reported_once_with_its_request_and_without_secrets() -> None:
    async def handle(asked: Request) -> Response:
        await asked.body.read(1000)
        raise ZeroDivisionError

    reports = Reports()
    app = application(route(handle, method="POST"), error_tracker=reports)
    body = orjson.dumps(
        {"name": "shoes", "password": "hunter2", "deep": [{"accessToken": "hunter2"}], "email": "a@b.cd"}
    )
    headers = {
        **PARTNER_7,
        b"authorization": b"Bearer hunter2",
        b"cookie": b"session=hunter2",
        b"x-api-key": b"hunter2",
        b"user-agent": b"curl",
        b"content-type": b"application/json",
    }
    response = await app.handler(request(method="POST", headers=headers, body=body, query=b"token=hunter2&size=5"))
    assert response.status == 500
    (report,) = reports
    assert isinstance(report.error, ZeroDivisionError)
    assert "hunter2" not in str(report.request)
    assert "a@b.cd" not in str(report.request)
    assert report.request["body"] == {
        "name": "shoes",
        "password": "***",
        "deep": [{"accessToken": "***"}],
        "email": "***",
    }
    assert report.request["query"] == {"token": "***", "size": "5"}
    assert report.request["route"] == "POST /thing-service/api/thing"


class Streamed:
    """A body that arrives in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def read(self, limit: int) -> bytes:
        return b"".join([piece async for piece in self.chunks(limit)])

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(Streamed(b'{"a"', b":1}"), {"a": 1}, id="whole"),
        pytest.param(Streamed(b'{"a":"', b"x" * 9000, b'"}'), "*** (more than 8192 bytes)", id="cut short"),
        pytest.param(Streamed(b"secret,", b"1"), "*** (8 bytes)", id="of a kind whose secrets cannot be found"),
        pytest.param(Streamed(), None, id="empty"),
    ],
)
async def test_a_streamed_body_is_reported_within_its_bound(body: Body, shown: object) -> None:
    async def handle(asked: Request) -> Response:
        async for _ in asked.body.chunks(100_000):
            pass
        raise ZeroDivisionError

    reports = Reports()
    asked = request(method="POST")
    asked.body = body
    await application(route(handle, method="POST"), error_tracker=reports).handler(asked)
    assert reports[0].request["body"] == shown


@pytest.mark.parametrize("error", [UnavailableError("down"), asyncio.CancelledError()])
async def test_what_is_no_fault_of_ours_is_not_reported(error: BaseException) -> None:
    async def handle(_: Request) -> Response:
        raise error

    reports = Reports()
    with suppress(asyncio.CancelledError):
        await application(route(handle), error_tracker=reports).handler(request())
    assert reports == []


async def test_a_tracker_that_fails_costs_nobody_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def report(self, report: object) -> None:
            raise RuntimeError("no route to host")

    response = await application(route(fails), error_tracker=Broken()).handler(request())
    assert response.status == 500
    assert problem(response)["type"] == "urn:coffee:problem:fault"
