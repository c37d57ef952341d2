"""What forwarding one small request costs: function calls, which are the same on every machine, and CPU time.

`python -m tests.benchmarks.forwarding` prints both. No sockets: bytes go in and out of the protocols by hand, so that
what is counted is the data plane's own work.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, NamedTuple, cast

import uvloop

from coffee_core.wire.message import Request, Response
from coffee_core.wire.outbox import Outbox
from coffee_core.wire.settings import WireSettings
from gateway.data_plane.access_log import AccessLog
from gateway.data_plane.front import GatewayFront
from gateway.data_plane.metrics import Metrics
from gateway.data_plane.settings import AccessLogSettings, DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.data_plane.upstream_side import UpstreamConnection
from gateway.verdict.decision import Forward, Passage, RequestHead
from tests.benchmarks.counting import counted_calls
from tests.support.memory_transport import MemoryTransport

REQUESTS = 200
REQUEST = (
    b"GET /cup-service/api/cup/12345?fields=id HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: bench\r\n"
    b"accept: application/json\r\nauthorization: Bearer x\r\n\r\n"
)
ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"data":[]}'
DECISION = Forward(
    Passage("up", "service", b"3", b"PAID", b"7"),
    b"/cup-service/api/cup/12345?fields=id",
    b"user-agent: bench\r\naccept: application/json\r\nx-bb-uid: 7\r\nx-bb-partner-id: 3\r\n",
    b"x-bb-requestid: 01900000-0000-7000-8000-000000000000\r\n",
    b"01900000-0000-7000-8000-000000000000",
)


class Cost(NamedTuple):
    """Of one forwarded request."""

    calls: float
    """Python functions entered."""
    builtins: float
    """Functions of C called by them."""
    microseconds: float
    """CPU time, not while counting."""


class OneVerdict:
    """Lets everything pass."""

    def decide(self, head: RequestHead) -> Forward:
        return DECISION


class Wire(MemoryTransport):
    """Swallows what is written."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)


async def edge(_: Request) -> Response:
    return Response(404)


class Bench:
    """A client and an upstream's connection, joined by the data plane."""

    def __init__(
        self, log: Path, targets: int = 1, *, request: bytes = REQUEST, answer: bytes = ANSWER, **settings: Any
    ) -> None:
        self.request = request
        self.answer = answer
        self.outbox = Outbox(lambda _: None)  # the loop does not turn here
        self.front = GatewayFront(
            OneVerdict(),
            edge,
            {"up": [Target("127.0.0.1", 1000 + number) for number in range(targets)]},
            settings=WireSettings(),
            upstream=DataPlaneSettings(**settings),
            log=AccessLog(AccessLogSettings(path=log)),
            metrics=Metrics(),
            outbox=self.outbox,
        )
        self.wire = Wire()
        self.client = cast("Any", self.front.connection())
        self.client.connection_made(cast("asyncio.Transport", self.wire))
        self.upstreams = []
        for pool in self.front.upstreams.pools():
            connection = UpstreamConnection(pool)
            connection.connection_made(cast("asyncio.Transport", Wire()))
            pool.open = 1
            pool.idle.append(connection)
            self.upstreams.append(connection)

    def forward(self, times: int) -> None:
        """So many requests, one after the other."""
        client, flush = self.client, self.outbox.flush
        for _ in range(times):
            client.data_received(self.request)
            flush()
            if client.forwarding is not None:  # else it was answered at once
                client.forwarding.connection.data_received(self.answer)
                flush()


async def measure(log: Path, targets: int = 1, **more: Any) -> Cost:
    """Counts first, then times. `more` are upstream settings, and `request` and `answer`."""
    bench = Bench(log, targets, **more)
    bench.forward(REQUESTS)
    bench.wire.written = 0
    bench.forward(REQUESTS)
    written, bench.wire.written = bench.wire.written, 0
    with counted_calls() as counted:
        bench.forward(REQUESTS)
    assert bench.wire.written == written, "every request was answered"
    rounds = []
    for _ in range(20):
        begun = time.process_time()
        bench.forward(REQUESTS * 5)
        rounds.append((time.process_time() - begun) / REQUESTS / 5 * 1e6)
    await bench.front.log.close()
    return Cost(counted["call"] / REQUESTS, counted["c_call"] / REQUESTS, min(rounds))


FRESH = b"content-type: application/json\r\ncache-control: max-age=600\r\n"
FEATURES: dict[str, dict[str, Any]] = {
    "nothing else": {},
    "three targets": {"targets": 3},
    "a canary": {"canaries": {"up": {"targets": ["http://127.0.0.1:1"], "percent": 50}}},
    "a bound on requests under way": {"concurrency": {"up": 100}},
    "a client that reads trailers": {"request": REQUEST[:-2] + b"te: trailers\r\nconnection: te\r\n\r\n"},
    "another route is cached": {"cache_routes": {"other": {}}},
    "the route is cached, a miss": {"cache_routes": {"service": {}}},
    "the route is cached, a hit": {
        "cache_routes": {"service": {}},
        "answer": ANSWER.replace(b"content-type: application/json\r\n", FRESH),
    },
}
"""What may be switched on, by the words of docs/performance/gateway-load.md."""


async def main() -> None:
    for name, more in FEATURES.items():
        cost = await measure(Path("/dev/null"), **more)
        print(
            f"| {name} | {cost.calls:.1f} | {cost.builtins:.1f} | {cost.microseconds:.1f} |",
        )


if __name__ == "__main__":
    uvloop.run(main())
