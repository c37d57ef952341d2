"""The data plane between transports of memory: bytes in, bytes out, at a speed that fuzzers need."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, cast

from coffee_core.wire.errors import WireError
from coffee_core.wire.message import Request, Response
from coffee_core.wire.settings import WireSettings
from coffee_core.wire.target import normalise
from gateway.data_plane.access_log import AccessLog
from gateway.data_plane.front import GatewayFront
from gateway.data_plane.metrics import Metrics
from gateway.data_plane.settings import AccessLogSettings, DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.data_plane.upstream_side import UpstreamConnection
from gateway.verdict.decision import Forward, Passage, Refused, RequestHead
from tests.support.memory_transport import MemoryTransport


class Wire(MemoryTransport):
    """Keeps what is written. `gone`: by a reset, a proper end, or not at all."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.gone = ""

    def write(self, data: bytes) -> None:
        if not self.gone:
            self.written += data

    def is_closing(self) -> bool:
        return bool(self.gone)

    def write_eof(self) -> None:
        self.gone = self.gone or "end"

    def abort(self) -> None:
        self.gone = "reset"

    def close(self) -> None:
        self.gone = self.gone or "end"


class NumberedVerdict:
    """Lets every target pass that has one meaning, with a number that the upstream sees."""

    def __init__(self) -> None:
        self.decided: list[tuple[bytes, bytes]] = []

    def decide(self, head: RequestHead) -> Forward | Refused:
        try:
            path, query = normalise(head.target)
        except WireError as error:
            return Refused(400, "Bad Request", error.detail, [], b"", "all")
        target = path + b"?" + query if query else path
        self.decided.append((head.method, target))
        number = b"x-decision: %d\r\n" % (len(self.decided) - 1)
        return Forward(Passage("up", "all", b"", b"", b""), target, number, b"", b"")


async def _edge(_: Request) -> Response:
    return Response(404)


@cache
def _told() -> tuple[WireSettings, DataPlaneSettings, AccessLogSettings]:
    """Read once: it takes longer than a run."""
    return (
        WireSettings(max_head=2000, max_request_line=500, max_headers=30),
        DataPlaneSettings(max_head=2000, max_headers=30, replays=0, breaker_ratio=2, eject_after=2**60),
        AccessLogSettings(enabled=False),
    )


class Seam:
    """One client, one upstream with connections that are open already."""

    def __init__(self) -> None:
        told = _told()
        self.verdict = NumberedVerdict()
        self.front = GatewayFront(
            self.verdict,
            _edge,
            {"up": [Target("127.0.0.1", 1)]},
            settings=told[0],
            upstream=told[1],
            log=AccessLog(told[2]),
            metrics=Metrics(),
        )
        self.pool = self.front.upstreams.pools()[0]
        self.upstreams: list[tuple[UpstreamConnection, Wire]] = []
        self.wire = Wire()
        self.client = cast("Any", self.front.connection())
        self.client.connection_made(cast("asyncio.Transport", self.wire))
        self.provide()

    def provide(self) -> None:
        """See to it that connections are idle: nothing is ever opened."""
        while len(self.pool.idle) < 3:
            wire, connection = Wire(), UpstreamConnection(self.pool)
            connection.connection_made(cast("asyncio.Transport", wire))
            self.pool.open += 1
            self.pool.idle.insert(0, connection)
            self.upstreams.append((connection, wire))

    def say(self, data: bytes) -> None:
        """The client's bytes."""
        if not self.wire.gone:
            self.client.data_received(data)
        self.provide()

    def answer(self, data: bytes) -> bool:
        """The upstream's, to the request in hand, if there is one."""
        for connection, wire in self.upstreams:
            if connection.asker is not None and not wire.gone:
                connection.data_received(data)
                self.provide()
                return True
        return False

    def end_upstream(self, error: Exception | None = None) -> None:
        """Its connections end."""
        for connection, wire in self.upstreams:
            if connection.asker is not None and not wire.gone:
                wire.gone = "end"
                connection.connection_lost(error)

    def close(self) -> None:
        """The client leaves."""
        self.client.connection_lost(None)
