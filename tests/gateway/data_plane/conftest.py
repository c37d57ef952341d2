"""A data plane between a raw client and a raw upstream, with a verdict that a test can read at a glance."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from coffee_core.wire.listen import bind
from coffee_core.wire.message import Request, Response
from coffee_core.wire.settings import WireSettings
from gateway.data_plane.access_log import AccessLog
from gateway.data_plane.forward_auth import ForwardAuth
from gateway.data_plane.front import GatewayFront
from gateway.data_plane.metrics import Metrics
from gateway.data_plane.pool import Pool
from gateway.data_plane.settings import AccessLogSettings, DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.data_plane.tls import ServerTls
from gateway.verdict.decision import Decision, Forward, Local, Passage, Refused, RequestHead, Verdict
from gateway.verdict.forwarding import TrustedProxies
from gateway.verdict.pending import Pending
from tests.support.raw_http import RawClient, until
from tests.support.raw_upstream import RawUpstream, Script, polite

REQUEST_ID = b"01900000-0000-7000-8000-000000000000"
_PASSED = frozenset(b"accept user-agent x-test authorization sec-websocket-key sec-websocket-version".split())


class PathVerdict:
    """Decides by the first segment: `/no` is refused, `/own` is the edge's, `/later/...` is decided when `release` is
    set, `/pending/...` when a test tells it, `/hasty` has a time-out of its own, everything else goes to the upstream
    `up`."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.pending: list[tuple[Pending[Decision], Decision]] = []

    def decide(self, head: RequestHead) -> Decision | Awaitable[Decision]:
        """At once, or later."""
        if head.target.startswith(b"/later"):
            return self._later(replace(head, target=head.target[6:]))
        if head.target.startswith(b"/pending"):
            pending: Pending[Decision] = Pending()
            self.pending.append((pending, self._now(replace(head, target=head.target[8:]))))
            return pending
        return self._now(head)

    async def _later(self, head: RequestHead) -> Decision:
        await self.release.wait()
        return self._now(head)

    def _now(self, head: RequestHead) -> Decision:
        if head.target.startswith(b"/no"):
            challenge = (b"www-authenticate", b"Bearer")
            return Refused(401, "Unauthorized", "log in", [challenge], REQUEST_ID, "refused")
        if head.target.startswith(b"/own"):
            return Local(REQUEST_ID, "own")
        lines = b"".join(b"%b: %b\r\n" % header for header in head.headers if header[0] in _PASSED)
        upstream = "up" if not head.target.startswith(b"/missing") else "missing"
        timeout = 0.05 if head.target.startswith(b"/hasty") else 0.0
        return Forward(
            Passage(upstream, "everything", *_who(head), timeout),
            head.target,
            lines + b"x-bb-uid: 7\r\nx-bb-requestid: %b\r\n" % REQUEST_ID,
            b"x-bb-requestid: %b\r\n" % REQUEST_ID,
            REQUEST_ID,
        )


def _who(head: RequestHead) -> tuple[bytes, bytes, bytes]:
    """Partner, plan and user, as a header of the test says."""
    partner, plan, uid = dict(head.headers).get(b"x-who", b"3/PAID/7").split(b"/")
    return partner, plan, uid


async def edge(request: Request) -> Response:
    """Says what it saw."""
    seen = {name.decode(): value.decode() for name, value in request.headers.items()}
    body = await request.body.read(10_000_000)
    return Response(200, json.dumps({"path": request.path, "headers": seen, "body": len(body)}).encode())


class Plane:
    """One gateway process's insides, with its upstream."""

    def __init__(self, front: GatewayFront, port: int, upstream: RawUpstream, log: Path) -> None:
        self.front = front
        self.port = port
        self.upstream = upstream
        self._log = log

    async def client(self, *, receive_buffer: int = 0) -> RawClient:
        """A new connection."""
        return await RawClient.connect(self.port, receive_buffer=receive_buffer)

    @property
    def pool(self) -> Pool:
        """The upstream's connections."""
        return self.front.upstreams.pools()[0]

    @property
    def verdict(self) -> PathVerdict:
        """What decides."""
        assert isinstance(self.front.verdict, PathVerdict)
        return self.front.verdict

    async def log(self, count: int) -> list[dict[str, Any]]:
        """The access log, once it has so many lines."""

        def lines() -> list[str]:
            self.front.log.flush()
            return self._log.read_text().splitlines() if self._log.exists() else []

        await until(lambda: len(lines()) >= count, "the log has its lines")
        return [json.loads(line) for line in lines()]

    async def at_rest(self) -> None:
        """Nothing is left of any request: no client, no work, no connection that is not idle in its pool."""
        await until(lambda: not self.front.connections and not self.front.leaving, "no client is left")
        await until(lambda: self.pool.busy == 0, "no connection is busy")
        await until(lambda: self.upstream.open == self.pool.open, "the upstream has no other connections")


Start = Callable[..., Awaitable[Plane]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """`await start(script, wire={...}, **upstream_settings)`; sweeps are quick so that time-outs need not be long.
    `asked_from`: the network of the proxies that may ask for verdicts."""
    planes: list[Plane] = []

    async def begin(
        script: Script = polite,
        *,
        wire: dict[str, Any] | None = None,
        targets: list[Target] | None = None,
        access_log: dict[str, Any] | None = None,
        tls: ServerTls | None = None,
        proxied: str = "",
        asked_from: str = "",
        verdict: Verdict | None = None,
        unix: Path | None = None,
        **settings: Any,
    ) -> Plane:
        upstream = RawUpstream(script)
        await upstream.start()
        log = tmp_path / f"access-{len(planes)}.log"
        verdict = verdict or PathVerdict()
        askers = TrustedProxies([ip_network(asked_from)]) if asked_from else None
        front = GatewayFront(
            verdict,
            edge,
            {"up": targets or [Target("127.0.0.1", upstream.port)]},
            settings=WireSettings(
                **{"sweep": 0.01, "drain_timeout": 0.2, "drain_idle": 0.02, "drain_first": 0.02, **(wire or {})}
            ),
            upstream=DataPlaneSettings(**settings),
            log=AccessLog(AccessLogSettings(path=log, **(access_log or {}))),
            metrics=Metrics(),
            tls=tls,
            proxied=TrustedProxies([ip_network(proxied)] if proxied else []),
            forward_auth=ForwardAuth(verdict, askers, 2).answer if askers else None,
            streams_from=askers,
        )
        (sock,) = bind()
        await front.start([sock] if unix is None else [sock, *bind(unix_path=str(unix))])
        planes.append(Plane(front, sock.getsockname()[1], upstream, log))
        return planes[-1]

    yield begin
    for plane in planes:
        await plane.front.drain()
        await plane.upstream.stop()
