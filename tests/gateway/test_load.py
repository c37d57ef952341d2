"""Many connections that do nothing, beside full traffic: they are kept, and cost the others little."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gateway.test_process_life import UNLIMITED, Load
from tests.gateway.verdict.rig import Identity, User
from tests.support.gateway_process import a_gateway, children, says_who
from tests.support.raw_http import RawClient
from tests.support.raw_upstream import RawUpstream

IDLE = int(os.environ.get("COFFEE_TEST_IDLE_CONNECTIONS", "300"))
"""In full: 10000; the process of the tests needs as many descriptors."""
SECONDS = 1.0 if IDLE < 10_000 else 15.0
CLIENTS = 16
LIVE = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n"


async def traffic(port: int, user: User, seconds: float) -> Load:
    load = Load(port, user.token(), user.partner.encode())
    clients = [asyncio.create_task(load.one_client()) for _ in range(CLIENTS)]
    await asyncio.sleep(seconds)  # it is how long the load lasts
    load.ends = True
    await asyncio.gather(*clients)
    return load


def resident(pids: set[int]) -> int:
    """Bytes of memory that these processes hold."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) for pid in pids) * 4096


def processor_seconds(pids: set[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(60 + IDLE // 50)
async def test_idle_connections_are_kept_beside_full_traffic(redis_url: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < IDLE + 500:
        if hard < IDLE + 500:
            pytest.skip(f"this process may have {hard} descriptors; {IDLE + 500} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    bounds = {"COFFEE_WIRE_MAX_CONNECTIONS": str(IDLE + 500), "COFFEE_WIRE_IDLE_TIMEOUT": "900"}
    async with (
        Identity.serve() as identity,
        RawUpstream(says_who) as upstream,
        a_gateway(identity, upstream, redis_url, 1, environment=UNLIMITED | bounds) as (process, client),
    ):
        user = User(identity, plan="PAID")
        port = urlsplit(str(client.base_url)).port
        assert port is not None
        workers = children(process.pid)
        before, memory = await measured(port, user, workers), resident(workers)
        idle: list[RawClient] = []
        try:
            while len(idle) < IDLE:
                idle += await asyncio.gather(*[RawClient.connect(port) for _ in range(min(100, IDLE - len(idle)))])
            for one in idle:
                assert (await one.ask(LIVE)).status == 200
            grown = resident(workers) - memory
            beside = await measured(port, user, workers)
            for one in idle:
                assert (await one.ask(LIVE)).status == 200
        finally:
            for one in idle:
                one.writer.close()
        print(
            f"{IDLE} idle connections, {grown / max(1, IDLE):.0f} bytes each; CPU microseconds a request: "
            f"{before:.0f} without them, {beside:.0f} beside them"
        )


async def measured(port: int, user: User, workers: set[int]) -> float:
    """Microseconds of the gateway's CPU for each request of full traffic, none of which fails."""
    used, begun = processor_seconds(workers), time.perf_counter()
    load = await traffic(port, user, SECONDS)
    used = processor_seconds(workers) - used
    assert not load.failed, load.failed[:3]
    print(f"{load.answered / (time.perf_counter() - begun):.0f} requests/s by the test's own clients")
    return used / max(1, load.answered) * 1e6
