"""What a request through the gateway costs by how many connections there are, for `tests.benchmarks.growth`: all of
them ask at once, or 32 ask beside others that are open and silent.
"""

from __future__ import annotations

import json
import resource
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import gateway
from tests.benchmarks.plot import Points
from tests.benchmarks.rounds import Peer, free_port, measure, start, stop

COUNTS = (1, 4, 32, 128, 512, 2_048, 10_000)
BUSY = 32
SECONDS = 3.0
ROUNDS = 3


async def connections(folder: Path, redis_url: str) -> Mapping[str, Points]:
    """Microseconds of the gateway's CPU time a request."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    upstream = free_port()
    back = gateway.start_upstream(upstream)
    try:
        secret = secrets.token_urlsafe(48)
        lines = await gateway.fill(redis_url, secret, range(gateway.SESSIONS))
        environment = gateway.environment_of(secret, redis_url, upstream)
        peer = gateway.gateway_peer({**environment, "COFFEE_WIRE_MAX_CONNECTIONS": str(2 * max(COUNTS))})
        asked = [gateway.request(line, n) for n, line in enumerate(lines)]
        file = folder / "connections.requests"
        file.write_text("\n".join(json.dumps(one.decode("latin-1")) for one in asked), encoding="utf-8")
        start(peer, folder / "connections.log")
        try:
            measure(peer, file, BUSY, 1.0)
            beside = []
            for count in COUNTS:
                if count >= BUSY:
                    with silent(peer.port, count - BUSY, asked[0]):
                        beside.append((float(count), _cost(peer, file, BUSY)))
            return {
                "all of them ask": [(float(count), _cost(peer, file, count)) for count in COUNTS],
                f"{BUSY} ask beside silent ones": beside,
            }
        finally:
            stop(peer)
    finally:
        back.terminate()
        back.wait()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def silent(port: int, count: int, asked: bytes) -> Iterator[None]:
    """So many open connections, each with one answer behind it."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port), 10)
            opened.append(one)
            one.sendall(asked)
            if not one.recv(1 << 16).startswith(b"HTTP/1.1 200"):
                raise SystemExit("a request was not answered with 200 while connections were being opened")
        yield
    finally:
        for one in opened:
            one.close()


def _cost(peer: Peer, file: Path, count: int) -> float:
    """The least of some rounds, as for all curves."""
    best = min((measure(peer, file, count, SECONDS) for _ in range(ROUNDS)), key=lambda one: one["cpu_us"])
    print(
        f"{count:,} ask: {best['rps']:,.0f}/s, p50 {best['p50']:.1f} ms, p99 {best['p99']:.1f} ms, "
        f"{best['bad']:,.0f} of {best['count']:,.0f} not 2xx, {best['cpu_us']:.0f} us",
        flush=True,
    )
    return best["cpu_us"]
