"""What a module's work for one request costs: function calls, which are the same on every machine, and CPU time.

`python -m tests.benchmarks.serving` prints both. No sockets and no database: bytes go into the protocol by hand, and
rows come from a driver's stand-in that has them ready, so that what is counted is the framework's own work: server,
pipeline, router, layers, pool, statement plan, encoding.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, cast
from uuid import UUID

import msgspec
import uvloop

from coffee_core.messaging.settings import MessagingSettings
from coffee_core.persistence.pool import Connection as PoolConnection
from coffee_core.wire.server import HandlerConnection, HandlerFront
from coffee_core.wire.settings import WireSettings
from tests.benchmarks.counting import counted_calls
from tests.benchmarks.module import questions
from tests.benchmarks.peers.product import KINDS, build
from tests.support.memory_transport import MemoryTransport

OPERATIONS = ("get", "search", "patch", "create")
REQUESTS = 100
ROUNDS = 10

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VALUES: Mapping[str, object] = {
    "id": 7, "partner_id": 8, "owner": UUID(int=9), "name": "creator 7", "platform": "tiktok", "followers": 12345,
    "engagement": 0.125, "tags": msgspec.Raw(b'["fashion", "travel", "food"]'), "created_at": NOW, "updated_at": NOW,
    "version": 3,
}  # fmt: skip


class Cost(NamedTuple):
    """Of one request."""

    calls: float
    """Python functions entered or resumed."""
    builtins: float
    """Functions of C called by them."""
    microseconds: float
    """CPU time, not while counting."""


class Statement:
    """As prepared: its state is the rows that it answers."""

    def __init__(self, rows: list[tuple[object, ...]]) -> None:
        self._state = rows


class Protocol:
    """In place of asyncpg's protocol object."""

    async def bind_execute(self, state: list[tuple[object, ...]], *_: object) -> list[tuple[object, ...]]:
        return state

    def is_connected(self) -> bool:
        return True


class Driver:
    """In place of asyncpg's connection."""

    def __init__(self) -> None:
        self._protocol = Protocol()

    async def prepare(self, sql: str, *, name: str) -> Statement:
        head, _, tail = sql.partition(" RETURNING ")
        text = tail or head.partition("SELECT ")[2].partition(" FROM ")[0].partition("\nFROM ")[0]
        columns = [part.strip().rpartition(".")[2].strip('" \n') for part in text.split(",")]
        row = tuple(VALUES[column] for column in columns)
        return Statement([row] * (20 if "ORDER BY" in sql else 1))

    async def execute(self, sql: str) -> str:
        """BEGIN and COMMIT."""
        return sql.partition(" ")[0]

    def is_closed(self) -> bool:
        return False

    async def close(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as the driver has it
        pass

    def terminate(self) -> None:
        pass


class Wire(MemoryTransport):
    """Swallows what is written, but for the last."""

    def __init__(self) -> None:
        self.answers = 0
        self.last = b""

    def write(self, data: bytes) -> None:
        self.answers += 1
        self.last = data


class Bench:
    """A client of the product, whose database has the rows ready."""

    def __init__(self, operation: str, kind: str) -> None:
        self._log = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the bench
        with redirect_stdout(self._log), redirect_stderr(self._log):  # lines are made and written, and seen by nobody
            # what is announced is made at the end, so that how many are made together is no matter of time
            made = build("postgresql://nowhere", kind, MessagingSettings(announced_seconds=60, announced_max=1_000_000))
        made.store.pool.idle.append(PoolConnection(Driver()))
        made.store.pool.size = 1
        self.app, self._events = made.application, made.events
        self.requests = questions(operation)[1]
        self.front = HandlerFront(self.app.handler, WireSettings())
        self.wire = Wire()
        self.client = cast("HandlerConnection", self.front.connection())
        self.client.connection_made(cast("asyncio.Transport", self.wire))

    async def start(self) -> None:
        """Events are published from here on; there is no database to open."""
        await self._events.start()

    async def close(self) -> None:
        """Write the lines that are left, and end."""
        await self.app.stop()
        self._log.close()

    async def serve(self, times: int) -> None:
        """So many requests, one after the other."""
        client, wire, requests = self.client, self.wire, self.requests
        for number in range(times):
            client.data_received(requests[number % len(requests)])
            while wire.answers <= number:
                await asyncio.sleep(0)
        wire.answers = 0
        self._events.make_announced()

    async def cost(self, rounds: int) -> Cost:
        """Counts first, then times: the best of so many rounds."""
        await self.serve(REQUESTS)
        assert self.wire.last.startswith(b"HTTP/1.1 20"), self.wire.last
        with counted_calls() as counted:
            await self.serve(REQUESTS)
        gc.collect()
        gc.freeze()
        best = float("inf")
        for _ in range(rounds):
            begun = time.thread_time()
            await self.serve(REQUESTS)
            best = min(best, (time.thread_time() - begun) / REQUESTS * 1e6)
        return Cost(counted["call"] / REQUESTS, counted["c_call"] / REQUESTS, best)


async def measure(operation: str, kind: str = "plain", *, rounds: int = ROUNDS) -> Cost:
    """The cost of one operation with a Manager of this kind (`peers/product.py`)."""
    bench = Bench(operation, kind)
    await bench.start()
    try:
        return await bench.cost(rounds)
    finally:
        await bench.close()


async def main() -> None:
    for kind in KINDS:
        for operation in OPERATIONS:
            cost = await measure(operation, kind)
            print(
                f"{operation}, {kind}: {cost.calls:.2f} Python calls, {cost.builtins:.2f} builtin calls, "
                f"{cost.microseconds:.2f} us CPU"
            )


if __name__ == "__main__":
    uvloop.run(main())
