"""How long a logout takes until it counts, in two gateway processes at once.

`python -m tests.benchmarks.revocation [LOGOUTS]` starts an embedded Valkey, an authority, an upstream and two gateways,
logs sessions out one after the other, and asks both gateways until they refuse.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from coffee_core.cache.announce import invalidate
from coffee_core.cache.redis_client import AnyRedis, open_redis
from coffee_core.embedded.servers import Servers
from tests.gateway.verdict.rig import Identity, User
from tests.support.gateway_process import a_gateway, says_who
from tests.support.raw_upstream import RawUpstream

SHARES = (0.5, 0.9, 0.99, 0.999)


class Asking:
    """A kept-alive connection to one gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tokens: dict[str, bytes] = {}

    async def status(self, user: User) -> int:
        """Of a request with the user's token."""
        token = self._tokens.get(user.sid)
        if token is None:
            token = self._tokens[user.sid] = user.token().encode()
        self._writer.write(
            b"GET /discovery-service/api/profile/1 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer %b\r\n\r\n" % token
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self._reader.readexactly(length)
        return int(head.split(b" ")[1])

    async def until_refused(self, user: User) -> tuple[float, float]:
        """When the last request was answered that was let pass, and when the first was that was not."""
        passed = time.monotonic()
        while await self.status(user) != 401:
            passed = time.monotonic()
            await asyncio.sleep(0.001)  # the gateways have other things to do than to be asked
        return passed, time.monotonic()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@asynccontextmanager
async def two_gateways(identity: Identity, redis_url: str, **settings: str) -> AsyncIterator[list[Asking]]:
    """A connection to each of two processes that share nothing but Redis and the authority."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(RawUpstream(says_who))
        found = []
        for _ in range(2):
            limits = {"COFFEE_GATEWAY_ADDRESS_BURST": "100000000", "COFFEE_GATEWAY_ADDRESS_RATE": "100000000"}
            _, client = await stack.enter_async_context(
                a_gateway(identity, upstream, redis_url, 1, environment=limits | settings)
            )
            host, port = client.base_url.host, client.base_url.port
            asking = Asking(*await asyncio.open_connection(host, port))
            stack.callback(asking.close)
            found.append(asking)
        yield found


async def known_to(gateways: Sequence[Asking], identity: Identity, count: int) -> list[User]:
    """So many users whose sessions all gateways have in process."""
    users = [User(identity) for _ in range(count)]

    async def known(gateway: Asking) -> None:
        assert [await gateway.status(user) for user in users] == [200] * count

    await asyncio.gather(*map(known, gateways))
    return users


async def log_out(identity: Identity, redis: AnyRedis, user: User) -> None:
    """What the authority does."""
    del identity.sessions[user.sid]
    await invalidate(redis, f"session:{user.sid}")


class Lags(NamedTuple):
    """In seconds from before the authority deleted the key, sorted: for each logout the slower of the gateways."""

    dead: list[float]
    """Until the last answer to a request that was let pass: from then on the session was dead."""
    refused: list[float]
    """Until the first 401, which is the next request's whole way and a question to the authority."""


async def lags(gateways: Sequence[Asking], identity: Identity, redis: AnyRedis, count: int) -> Lags:
    """Of so many logouts, each in all gateways."""
    dead, refused = [], []
    for user in await known_to(gateways, identity, count):
        began = time.monotonic()
        asked = [asyncio.create_task(gateway.until_refused(user)) for gateway in gateways]
        await log_out(identity, redis, user)
        said = await asyncio.gather(*asked)
        dead.append(max(passed for passed, _ in said) - began)
        refused.append(max(at for _, at in said) - began)
    return Lags(sorted(dead), sorted(refused))


def percentile(took: Sequence[float], share: float) -> float:
    """Of sorted values."""
    return took[min(len(took) - 1, int(len(took) * share))]


async def main(count: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with Servers(Path(folder), durable=False) as servers, Identity.serve() as identity:
            url = await servers.start("valkey")
            redis = open_redis(url, timeout=5, max_connections=2)
            async with two_gateways(identity, url) as gateways:
                found = await lags(gateways, identity, redis, count)
            await redis.aclose()
    for what, took in (("dead", found.dead), ("refused", found.refused)):
        shares = ", ".join(f"p{share * 100:g} {percentile(took, share) * 1000:.1f} ms" for share in SHARES)
        print(f"{count} logouts over two processes, {what} after: {shares}, longest {took[-1] * 1000:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
