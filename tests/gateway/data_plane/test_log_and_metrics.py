"""Every request leaves one line and one count, and no secret."""

from __future__ import annotations

import json
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from gateway.data_plane.access_log import AccessLog
from gateway.data_plane.metrics import Metrics
from gateway.data_plane.settings import AccessLogSettings
from tests.gateway.data_plane.conftest import REQUEST_ID, Start


async def test_a_line_says_who_asked_what_and_how_it_ended(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        await client.ask(b"GET /a?token=secret HTTP/1.1\r\nhost: a\r\nauthorization: Bearer secret\r\n\r\n")
        await client.ask(b'GET /no"x\\?token=secret HTTP/1.1\r\nhost: a\r\n\r\n')
        await client.ask(b"GET /own HTTP/1.1\r\nhost: a\r\n\r\n")
        await client.ask(b"garbage secret\r\n\r\n")
    forwarded, refused, own, unread = await plane.log(4)
    assert forwarded.pop("time").endswith("Z")
    assert forwarded.pop("ms") >= forwarded.pop("upstreamMs") > 0
    assert forwarded == {
        "requestId": REQUEST_ID.decode(),
        "method": "GET",
        "path": "/a",
        "route": "everything",
        "status": 200,
        "end": "complete",
        "bytes": len(b"GET /a?token=secret HTTP/1.1 "),
        "partner": "3",
        "uid": "7",
        "plan": "PAID",
        "peer": "127.0.0.1",
    }
    assert (refused["path"], refused["status"], refused["partner"]) == ('/no"x\\', 401, None)
    assert (own["route"], own["status"]) == ("own", 200)
    assert (unread["route"], unread["status"]) == ("unread", 400)
    assert "secret" not in json.dumps([forwarded, refused, own, unread])


async def test_counts_and_times_are_there_for_prometheus(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        for target in (b"/a", b"/b", b"/no"):
            await client.ask(b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n" % target)
    registry = CollectorRegistry()
    registry.register(plane.front.metrics)
    text = generate_latest(registry).decode()
    assert 'gateway_requests_total{plan="PAID",route="everything",status="200"} 2.0' in text
    assert 'gateway_requests_total{plan="",route="refused",status="401"} 1.0' in text
    assert 'gateway_request_seconds_count{plan="PAID",route="everything"} 2.0' in text
    assert 'gateway_request_seconds_bucket{le="+Inf",plan="PAID",route="everything"} 2.0' in text


def test_a_time_on_a_bound_belongs_to_it() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.0011, 29.0, 31.0):
        metrics.observe("r", b"", 200, seconds, 1)
    registry = CollectorRegistry()
    registry.register(metrics)
    text = generate_latest(registry).decode()
    for bound, count in (("0.001", 1), ("0.0025", 2), ("30.0", 3), ("+Inf", 4)):
        assert f'gateway_request_seconds_bucket{{le="{bound}",plan="",route="r"}} {count}.0' in text


async def test_lines_that_a_blocked_disk_does_not_take_are_counted(tmp_path: Path) -> None:
    log = AccessLog(AccessLogSettings(path=tmp_path / "log", pending=100))
    log.write(b"x" * 50 + b"\n")
    log.write(b"y" * 80 + b"\n")
    log.flush()
    assert log.dropped == 2
    await log.close()


async def test_of_a_sample_every_failure_is_kept_and_each_line_says_its_share(start: Start) -> None:
    plane = await start(access_log={"sample": 0.25})
    async with await plane.client() as client:
        for _ in range(8):
            await client.ask(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
        for _ in range(3):
            await client.ask(b"GET /no HTTP/1.1\r\nhost: a\r\n\r\n")
    lines = await plane.log(5)
    assert [line["status"] for line in lines] == [200, 200, 401, 401, 401]
    assert [line.get("sample") for line in lines] == [0.25, 0.25, None, None, None]
