"""Each act is noted before it is done, and how it ended; what cannot be noted is not done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from coffee_core.domain.errors import UnavailableError
from coffee_core.wire.listen import bind
from coffee_core.wire.message import Request, Response
from coffee_core.wire.settings import WireSettings
from gateway.data_plane.access_log import AccessLog
from gateway.data_plane.front import GatewayFront
from gateway.data_plane.metrics import Metrics
from gateway.data_plane.settings import AccessLogSettings, DataPlaneSettings
from gateway.edge.health import Heartbeat
from gateway.operator.app import make_app
from gateway.operator.asgi import handler_of
from gateway.operator.audit import AuditLog
from gateway.operator.rotation import Rotation
from tests.gateway.verdict.rig import Identity, User, running, settings

WHO = {"uid": "1", "account": "1", "address": "127.0.0.1", "requestId": "r"}


async def test_an_act_has_a_line_before_and_a_line_after(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")
    seen: list[str] = []

    async def work() -> tuple[int, bytes]:
        seen.extend(json.loads(line)["outcome"] for line in audit.path.read_text().splitlines())
        return 404, b"{}"

    assert await audit.act(WHO, "session.end", "abc\n{forged", work) == (404, b"{}")
    assert seen == ["begun"]
    lines = [json.loads(line) for line in audit.path.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["begun", "refused: 404"]
    assert lines[0]["target"] == "abc\n{forged"
    assert (audit.path.stat().st_mode & 0o777) == 0o600
    (shown,) = audit.latest()
    assert (shown["outcome"], shown["time"], shown["uid"]) == ("refused: 404", lines[0]["time"], "1")


async def test_an_act_whose_end_is_not_known_says_so(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")

    async def work() -> tuple[int, bytes]:
        raise UnavailableError("identity does not answer")

    with pytest.raises(UnavailableError):
        await audit.act(WHO, "session.end", "abc", work)
    assert audit.latest()[0]["outcome"] == "unknown"


async def test_what_cannot_be_noted_is_not_done(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "nowhere" / "audit.jsonl")
    done: list[int] = []

    async def work() -> tuple[int, bytes]:
        done.append(1)
        return 200, b""

    with pytest.raises(UnavailableError, match="nothing is done"):
        await audit.act(WHO, "session.end", "abc", work)
    assert done == []


async def test_what_the_log_could_not_say_in_whole_is_not_asked(tmp_path: Path) -> None:
    """Blanks before an address would hide whose sessions were looked at."""

    class Nobody:
        async def ask(self, *_: object) -> tuple[int, bytes]:
            raise AssertionError("identity was asked")

    audit = AuditLog(tmp_path / "audit.jsonl")
    app = make_app(cast("Any", None), audit, cast("Any", Nobody()), cast("Any", None))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gateway") as client:
        sought = await client.get("/_gateway/api/sessions", params={"email": " " * 120 + "victim@example.com"})
        ended = await client.delete("/_gateway/api/sessions", params={"userId": "\N{SUPERSCRIPT TWO}"})
    assert (sought.status_code, ended.status_code) == (400, 400)
    assert audit.latest() == []


@asynccontextmanager
async def a_gateway(audit: AuditLog, balancers: str) -> AsyncIterator[tuple[httpx2.AsyncClient, bytes]]:
    """Verdict, front and operators' API, and what an operator is let in by. Requests come from 127.0.0.1."""
    rotation = Rotation(Heartbeat(), audit)
    operators = handler_of(make_app(cast("Any", None), audit, cast("Any", None), rotation))

    async def edge(request: Request) -> Response:
        return await (rotation.put if request.path.startswith("/heartbeat") else operators)(request)

    async with Identity.serve() as identity:
        trusted = [ip_network(balancers)] if balancers else []
        async with running(settings(identity, None, trusted_proxies=trusted)) as built:
            front = GatewayFront(
                built.core,
                edge,
                {},
                settings=WireSettings(drain_timeout=1, drain_idle=0.02, drain_first=0.02, sweep=0.01),
                upstream=DataPlaneSettings(),
                log=AccessLog(AccessLogSettings(enabled=False)),
                metrics=Metrics(),
            )
            (sock,) = bind()
            await front.start([sock])
            _, token = User(identity, operator=True).bearer()
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            try:
                async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
                    yield client, token
            finally:
                await front.drain()


ACTS = ("/_gateway/api/rotation?beat=true", "/heartbeat/?beat=true")
FORGED = {"x-bb-peer": "198.51.100.66", "x_bb_peer": "198.51.100.66", "x-bb-uid": "1"}


@pytest.mark.parametrize("act", ACTS)
async def test_behind_a_balancer_an_act_is_the_callers_and_names_the_balancer_too(tmp_path: Path, act: str) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")
    async with a_gateway(audit, "127.0.0.0/8") as (client, token):
        through = {"authorization": token.decode(), "x-forwarded-for": "198.51.100.66, 203.0.113.7"}
        assert (await client.put(act, headers=through | FORGED)).status_code == 200
    (noted,) = audit.latest()
    assert (noted["address"], noted["peer"], noted["act"]) == ("203.0.113.7", "127.0.0.1", "rotation.in")


@pytest.mark.parametrize("act", ACTS)
async def test_nobody_names_an_address_that_is_not_his(tmp_path: Path, act: str) -> None:
    """No balancer is trusted here: the connection is the caller's own."""
    audit = AuditLog(tmp_path / "audit.jsonl")
    async with a_gateway(audit, "") as (client, token):
        claimed = {"authorization": token.decode(), "x-forwarded-for": "203.0.113.7"}
        assert (await client.put(act, headers=claimed | FORGED)).status_code == 200
    (noted,) = audit.latest()
    assert noted["address"] == "127.0.0.1"
    assert "peer" not in noted
