"""What a request costs whose session is met for the first time and found in Redis, beside one that is known.

`python -m tests.benchmarks.cold` prints function calls and CPU time. Clients and upstream have no sockets (bytes go in
and out of the protocols by hand), Redis is real: what is counted is the gateway's work, its talk with Redis included.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import uvloop

from coffee_core.embedded.servers import embedded_servers
from coffee_core.wire.message import Request, Response
from coffee_core.wire.settings import WireSettings
from gateway.build import BuiltVerdict
from gateway.data_plane.access_log import AccessLog
from gateway.data_plane.front import GatewayFront
from gateway.data_plane.metrics import Metrics
from gateway.data_plane.settings import AccessLogSettings, DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.data_plane.upstream_side import UpstreamConnection
from gateway.main import COLLECT
from gateway.settings import GatewaySettings
from tests.benchmarks.counting import counted_calls
from tests.benchmarks.forwarding import ANSWER, Wire
from tests.benchmarks.gateway import fill

COUNTED = 100
TIMED = 2_000
CLIENTS = 32


class Cost(NamedTuple):
    """Of one request."""

    calls: float
    """Python functions entered."""
    builtins: float
    """Functions of C called by them."""


def request(line: bytes) -> bytes:
    """By a caller who shows this."""
    return (
        b"GET /content-service/api/content/7 HTTP/1.1\r\nhost: api.example.com\r\nuser-agent: bench\r\n"
        b"accept: application/json\r\naccept-encoding: gzip\r\n%b\r\n" % line
    )


class Answering(Wire):
    """To an upstream that answers at once."""

    connection: UpstreamConnection

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop

    def write(self, data: bytes) -> None:
        self._loop.call_soon(self.connection.data_received, ANSWER)


class Awaited(Wire):
    """To a client that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = asyncio.Event()

    def write(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 200 "), data
        super().write(data)
        self.answered.set()


class Bench:
    """A gateway with some clients."""

    def __init__(self, built: BuiltVerdict, log: Path, clients: int) -> None:
        loop = asyncio.get_running_loop()

        async def edge(_: Request) -> Response:
            return Response(404)

        self.front = GatewayFront(
            built.core,
            edge,
            {"saas": [Target("127.0.0.1", 1)]},
            settings=WireSettings(),
            upstream=DataPlaneSettings(),
            log=AccessLog(AccessLogSettings(path=log)),
            metrics=Metrics(),
        )
        (pool,) = self.front.upstreams.pools()
        for _ in range(clients):
            wire = Answering(loop)
            wire.connection = UpstreamConnection(pool)
            wire.connection.connection_made(cast("asyncio.Transport", wire))
            pool.open += 1
            pool.idle.append(wire.connection)
        self.clients: list[tuple[Any, Awaited]] = []
        for _ in range(clients):
            client, awaited = cast("Any", self.front.connection()), Awaited()
            client.connection_made(cast("asyncio.Transport", awaited))
            self.clients.append((client, awaited))

    async def ask(self, lines: Sequence[bytes]) -> None:
        """All of them, shared among the clients."""
        share = len(lines) // len(self.clients)
        parts = [lines[at * share : (at + 1) * share] for at in range(len(self.clients))]
        await asyncio.gather(
            *(self._one_client(*client, part) for client, part in zip(self.clients, parts, strict=True))
        )

    async def count(self, lines: Sequence[bytes]) -> Cost:
        """The calls of one of them."""
        with counted_calls() as counted:
            await self.ask(lines)
        return Cost(counted["call"] / len(lines), counted["c_call"] / len(lines))

    async def _one_client(self, client: Any, wire: Awaited, lines: Sequence[bytes]) -> None:
        for line in lines:
            wire.answered.clear()
            client.data_received(request(line))
            if not wire.answered.is_set():
                await wire.answered.wait()


def settings(redis_url: str, secret: str) -> GatewaySettings:
    """Of a gateway whose limits are counted and never reached."""
    return GatewaySettings(
        jwt_secret=secret,
        identity_signing_key=secrets.token_urlsafe(48),
        redis_url=redis_url,
        saas_url="http://127.0.0.1:1",
        address_rate=1_000_000,
        address_burst=1_000_000,
        partner_rate_paid=1_000_000,
    )  # type: ignore[call-arg,arg-type]  # texts of secrets, and aliases


async def measure(redis_url: str, log: Path) -> tuple[Cost, Cost]:
    """Counts, with one client: what one request costs that shares nothing with others, the first of its session and
    one like those before it."""
    secret = secrets.token_urlsafe(48)
    lines = await fill(redis_url, secret, range(2 * COUNTED))
    built = BuiltVerdict(settings(redis_url, secret))
    await built.start()
    try:
        bench = Bench(built, log, 1)
        await bench.ask(lines[:COUNTED])
        first = await bench.count(lines[COUNTED:])
        await bench.ask(lines[COUNTED:] * 3)
        later = await bench.count(lines[COUNTED:])
        await bench.front.log.close()
    finally:
        await built.stop()
    return first, later


async def microseconds(redis_url: str, log: Path, rounds: int = 12) -> tuple[float, float]:
    """CPU time of one request among those of many clients: the first of a session, and a later one. The least of some
    rounds."""
    secret = secrets.token_urlsafe(48)
    built = BuiltVerdict(settings(redis_url, secret))
    await built.start()
    found: tuple[list[float], list[float]] = ([], [])
    try:
        bench = Bench(built, log, CLIENTS)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT)
        for number in range(rounds):
            lines = await fill(redis_url, secret, range(number * TIMED, (number + 1) * TIMED))
            for times in found:
                begun = time.process_time()
                await bench.ask(lines)
                times.append((time.process_time() - begun) / TIMED * 1e6)
        await bench.front.log.close()
    finally:
        await built.stop()
    return min(found[0]), min(found[1])


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        async with embedded_servers(Path(name), {"valkey"}, durable=False) as urls:
            assert urls.redis_url is not None
            first, later = await measure(urls.redis_url, Path("/dev/null"))
            cold, warm = await microseconds(urls.redis_url, Path("/dev/null"))
    for name, cost, us in (("new session", first, cold), ("like the one before", later, warm)):
        print(f"{name}: {cost.calls:.1f} calls, {cost.builtins:.1f} of C, {us:.1f} us")


if __name__ == "__main__":
    uvloop.run(main())
