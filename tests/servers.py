"""Where the tests' servers come from: embedded ones, or real ones that COFFEE_TEST_*_URL name."""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import clickhouse_connect
import pytest
import redis.asyncio

from coffee_core.embedded.servers import ServerName, Servers

LOGICAL_DATABASES = range(15, 0, -1)
"""Of a real Redis: the session takes the first empty one, the likeliest first."""


@contextlib.asynccontextmanager
async def test_servers() -> AsyncIterator[Servers]:
    """Embedded servers in a temporary folder, none of them started, none of them durable."""
    folder = Path(tempfile.mkdtemp(prefix="coffee-tests-"))
    try:
        async with Servers(folder, durable=False) as servers:
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def url_of(variable: str, servers: Servers, name: ServerName) -> str:
    """The real server that the variable names, else the embedded one, started now."""
    return os.environ.get(variable) or await servers.start(name)


@contextlib.asynccontextmanager
async def fresh_redis(server_url: str) -> AsyncIterator[str]:
    """An empty logical database of a real Redis, claimed for this session and emptied afterwards."""
    for number in LOGICAL_DATABASES:
        url = urlunsplit(urlsplit(server_url)._replace(path=f"/{number}"))
        async with redis.asyncio.from_url(url) as client:
            if await client.dbsize() == 0 and await client.set("coffee:test-session", os.getpid(), nx=True):
                try:
                    yield url
                finally:
                    await client.flushdb()
                return
    pytest.fail(f"no empty logical database among {LOGICAL_DATABASES} on the Redis that COFFEE_TEST_REDIS_URL names")


@contextlib.asynccontextmanager
async def fresh_clickhouse(server_url: str) -> AsyncIterator[str]:
    """A new ClickHouse database, dropped afterwards."""
    name = f"coffee_test_{uuid.uuid4().hex[:12]}"
    client = await clickhouse_connect.get_async_client(dsn=server_url)
    try:
        await client.command(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        finally:
            await client.command(f"DROP DATABASE {name}")
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def rabbitmq() -> AsyncIterator[str]:
    """The broker that the variable names, else a node of our own where the program is installed, else the one at the
    usual port; where none answers the test is skipped, and in CI it fails."""
    from tests.support import rabbitmq  # its client only where it is asked for

    url = os.environ.get("COFFEE_TEST_RABBITMQ_URL")
    if url is None and (server := rabbitmq.program()):
        async with rabbitmq.node(server) as url:
            yield url
        return
    url = url or "amqp://guest:guest@127.0.0.1:5672/"
    if not await rabbitmq.answers(url):
        where = urlsplit(url)
        reason = f"no RabbitMQ answers on {where.hostname}:{where.port}; COFFEE_TEST_RABBITMQ_URL names one"
        if os.environ.get("COFFEE_TEST_REQUIRE_RABBITMQ") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    yield url
