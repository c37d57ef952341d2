"""Checks of the servers that URLs name: do they answer, are they new enough, does their clock agree with ours."""

import asyncio
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx2
import redis.asyncio
from pydantic import SecretStr
from redis.exceptions import RedisError

from coffee_core.cli.findings import Finding, bad, fine, note
from coffee_core.cli.settings import PlatformSettings

ANSWER_SECONDS = 5.0
CLOCK_SECONDS = 2.0
"""Tokens and sessions are compared with the clock: a larger difference lets them end too early or too late."""

BROKER_PORTS = {"amqp": 5672, "amqps": 5671, "nats": 4222, "redis": 6379, "rediss": 6379}


async def check_database() -> list[Finding]:
    """PostgreSQL, and its replica if there is one."""
    settings = PlatformSettings()
    findings: list[Finding] = []
    for name, url in (
        ("COFFEE_DATABASE_URL", settings.database_url),
        ("COFFEE_DATABASE_READ_URL", settings.database_read_url),
    ):
        if url is not None:
            findings += await _database(name, url.get_secret_value())
    return findings


async def _database(name: str, url: str) -> list[Finding]:
    try:
        connect: Any = asyncpg.connect  # untyped; its inferred types are narrower than what it takes
        connection = await connect(url, timeout=ANSWER_SECONDS)
        try:
            number, now = await connection.fetchrow(
                "SELECT current_setting('server_version_num')::int, extract(epoch FROM clock_timestamp())::float8"
            )
        finally:
            await connection.close(timeout=ANSWER_SECONDS)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [_silent(name, error)]
    version = fine(f"{name}: PostgreSQL {number // 10000} answers")
    if number < 150000:
        version = bad(f"{name}: PostgreSQL {number // 10000} is too old", "use 15 or later")
    return [version, _clock(name, now)]


async def check_redis() -> list[Finding]:
    """Redis or Valkey."""
    url = PlatformSettings().redis_url
    if url is None:
        return []
    try:
        async with redis.asyncio.from_url(url.get_secret_value(), socket_timeout=ANSWER_SECONDS) as client:
            seconds, microseconds = await client.time()
    except (OSError, TimeoutError, ValueError, RedisError) as error:
        return [_silent("COFFEE_REDIS_URL", error)]
    return [fine("COFFEE_REDIS_URL: it answers"), _clock("COFFEE_REDIS_URL", seconds + microseconds / 1e6)]


async def check_clickhouse() -> list[Finding]:
    """ClickHouse: `SELECT 1`, with the URL's user."""
    url = PlatformSettings().clickhouse_url
    if url is None:
        return []
    at = urlsplit(url.get_secret_value())
    try:
        async with httpx2.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            auth = httpx2.BasicAuth(at.username or "default", at.password or "")
            answer = await client.post(
                f"{at.scheme}://{at.hostname}:{at.port or 8123}/", content=b"SELECT 1", auth=auth
            )
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return [_silent("COFFEE_CLICKHOUSE_URL", error)]
    if not answer.is_success:
        code = answer.headers.get("X-ClickHouse-Exception-Code", "none")
        return [
            bad(f"COFFEE_CLICKHOUSE_URL: refused with {answer.status_code}, code {code}", "check user and password")
        ]
    return [fine("COFFEE_CLICKHOUSE_URL: it answers")]


async def check_broker() -> list[Finding]:
    """The broker: can it be reached. Whether it lets us in, its own client says."""
    url: SecretStr | None = PlatformSettings().broker_url
    if url is None:
        return []
    at = urlsplit(url.get_secret_value())
    if at.scheme not in BROKER_PORTS:
        return [
            bad(f"COFFEE_BROKER_URL: {at.scheme or 'nothing'}:// is no broker", f"use one of {', '.join(BROKER_PORTS)}")
        ]
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(at.hostname, at.port or BROKER_PORTS[at.scheme])
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError, socket.gaierror) as error:
        return [_silent("COFFEE_BROKER_URL", error)]
    return [fine("COFFEE_BROKER_URL: it can be reached")]


def _silent(name: str, error: Exception) -> Finding:
    # The kind alone where a text might repeat the URL with its password.
    what = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return bad(
        f"{name}: no answer ({what})", "start that server, correct the variable, or unset it to use the embedded one"
    )


def _clock(name: str, theirs: float) -> Finding:
    difference = theirs - time.time()
    if abs(difference) > CLOCK_SECONDS:
        return note(f"{name}: its clock is {difference:+.1f} s off ours", "synchronise both (NTP): tokens depend on it")
    return fine(f"{name}: its clock agrees with ours")
