"""What a proxy's question costs on a stream: `python -m tests.benchmarks.verdicts` prints calls and CPU time.

The proxy has no socket (frames go in and out of the protocol by hand); sessions were in Redis and are known.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import uvloop

from coffee_core.embedded.servers import embedded_servers
from gateway.build import BuiltVerdict
from gateway.data_plane.verdict_stream import Questions, VerdictStream
from gateway.verdict.forwarding import TrustedProxies
from tests.benchmarks.cold import Bench, request, settings
from tests.benchmarks.counting import counted_calls
from tests.benchmarks.forwarding import Wire
from tests.benchmarks.gateway import fill

CALLERS = 320
TOGETHER = 32
"""Questions in one write."""


class Cost(NamedTuple):
    """Of one question."""

    calls: float
    """Python functions entered."""
    builtins: float
    """Functions of C called by them."""
    microseconds: float
    """CPU time, not while counting."""


class Heard(Wire):
    """What the proxy hears."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0

    def write(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            length, _, status = struct.unpack_from(">IIH", data, at)
            self.passed += status == 0
            at += 4 + length


class Asking:
    """A stream, and callers who are asked about again and again."""

    def __init__(self, built: BuiltVerdict, log: Path, lines: Sequence[bytes]) -> None:
        bench = Bench(built, log, 1)
        client = cast("Any", bench.clients[0][0])
        self.log = bench.front.log
        self.heard = client.transport = Heard()
        self._stream = VerdictStream(client, Questions(bench.front, TrustedProxies([])))
        questions = []
        for number, line in enumerate(lines, 1):
            body = b"\0\x09127.0.0.1" + request(line)
            questions.append(struct.pack(">II", 4 + len(body), number) + body)
        self._reads = [b"".join(questions[at : at + TOGETHER]) for at in range(0, len(questions), TOGETHER)]

    async def ask(self, times: int = 1) -> None:
        """About each of them, and until limits are settled for more."""
        for _ in range(times):
            self.work()
            await asyncio.sleep(0.05)

    def work(self) -> None:
        """About each of them, at once."""
        for read in self._reads:
            self._stream.tunnel_received(read)


async def measure(redis_url: str, log: Path) -> Cost:
    """Counts first, then times: the least of some rounds."""
    secret = secrets.token_urlsafe(48)
    lines = await fill(redis_url, secret, range(CALLERS))
    built = BuiltVerdict(settings(redis_url, secret))
    await built.start()
    try:
        asking = Asking(built, log, lines)
        await asking.ask(5)
        asking.heard.passed = 0
        with counted_calls() as counted:
            asking.work()
        assert asking.heard.passed == CALLERS, "each was let pass at once"
        rounds = []
        for _ in range(40):
            await asking.ask()
            begun = time.process_time()
            asking.work()
            rounds.append((time.process_time() - begun) / CALLERS * 1e6)
        await asking.log.close()
    finally:
        await built.stop()
    return Cost(counted["call"] / CALLERS, counted["c_call"] / CALLERS, min(rounds))


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        async with embedded_servers(Path(name), {"valkey"}, durable=False) as urls:
            assert urls.redis_url is not None
            cost = await measure(urls.redis_url, Path("/dev/null"))
    print(f"a question: {cost.calls:.1f} calls, {cost.builtins:.1f} of C, {cost.microseconds:.1f} us")


if __name__ == "__main__":
    uvloop.run(main())
