"""`coffee gateway` as a process of its own, before an upstream of the test's."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from tests.gateway.verdict.rig import KEY, SECRET, Identity
from tests.support.ports import free_port
from tests.support.raw_upstream import RawUpstream, Visit


async def says_who(visit: Visit, upstream: RawUpstream) -> None:
    """Answers with the partner that the gateway named."""
    while True:
        asked = await visit.request()
        upstream.asked.append(asked)
        if asked.line.split()[1].endswith(b"/slow"):
            await asyncio.sleep(0.3)
        partner = asked.header(b"x-bb-partner-id")
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(partner), partner))


@asynccontextmanager
async def a_gateway(
    identity: Identity,
    upstream: RawUpstream,
    redis_url: str,
    workers: int,
    *,
    scheme: str = "http",
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx2.AsyncClient]]:
    port, metrics = free_port(), free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
    url = f"http://127.0.0.1:{upstream.port}"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "coffee_core.cli.main", "gateway", "--port", str(port), "--workers", str(workers)),
        *options,
        env=clean
        | {
            "COFFEE_JWT_SECRET": SECRET,
            "COFFEE_IDENTITY_SIGNING_KEY": KEY,
            "COFFEE_REDIS_URL": redis_url,
            "COFFEE_SAAS_URL": url,
            "COFFEE_SAAS_DATA_URL": url,
            "COFFEE_IDENTITY_URL": identity.url,
            "COFFEE_METRICS_PORT": str(metrics),
            **(environment or {}),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = asyncio.ensure_future(process.communicate())
    try:
        async with httpx2.AsyncClient(base_url=f"{scheme}://127.0.0.1:{port}", trust_env=False, verify=False) as client:
            async with asyncio.timeout(30):
                while not await ready(client):
                    assert process.returncode is None, (await said)[0].decode()
                    await asyncio.sleep(0.05)
            yield process, client
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            await said


async def ready(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx2.TransportError:
        return False


def children(pid: int) -> set[int]:
    """Processes that it has started and that have not ended."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return {int(child) for child in listed.split()}
