"""Servers for all tests. A fixture starts its server when the first test asks for it, once for the session."""

import asyncio
import faulthandler
import os
import sys
from collections.abc import AsyncIterator, Callable, Generator

import pytest

from coffee_core.embedded.fresh_database import fresh_database
from coffee_core.embedded.servers import Servers
from tests import servers as sources
from tests.support.session_loop import SessionLoop

pytest.register_assert_rewrite("coffee_core.testing")  # its contract suites explain themselves as tests do


END_SECONDS = 180
"""For a test's fixtures to end; after the last test, for the whole process. Servers stop in seconds."""

STDERR = pytest.StashKey[int]()
STATUS = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep a way out past the capture of output."""
    config.stash[STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """A run that does not end says where it hangs, and fails: `timeout` interrupts a test once, not what follows."""
    faulthandler.dump_traceback_later(END_SECONDS, exit=True, file=item.config.stash[STDERR])
    yield
    if nextitem is not None:
        faulthandler.cancel_dump_traceback_later()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep it for the end."""
    session.config.stash[STATUS] = int(exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """All has been told; a process that cannot end by itself ends here, with the status of its tests."""
    if SessionLoop.stuck:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[STATUS])


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop of the processes we start."""
    return {"uvloop": SessionLoop}


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    """The session's embedded servers: nothing is started here."""
    async with sources.test_servers() as running:
        yield running


@pytest.fixture(scope="session")
async def database_url(servers: Servers) -> AsyncIterator[str]:
    """An empty PostgreSQL database; `COFFEE_TEST_DATABASE_URL` names another server to make it on."""
    async with fresh_database(await sources.url_of("COFFEE_TEST_DATABASE_URL", servers, "postgres")) as url:
        yield url


@pytest.fixture(scope="session")
async def redis_url(servers: Servers) -> AsyncIterator[str]:
    """An empty Redis database; `COFFEE_TEST_REDIS_URL` names another server. Tests use keys of their own."""
    url = await sources.url_of("COFFEE_TEST_REDIS_URL", servers, "valkey")
    if url.startswith("unix:"):  # ours, and new
        yield url
        return
    async with sources.fresh_redis(url) as url_of_database:
        yield url_of_database


@pytest.fixture(scope="session")
async def nats_url(servers: Servers) -> str:
    """NATS with JetStream; `COFFEE_TEST_BROKER_URL` names another. Tests use subjects and streams of their own."""
    return await sources.url_of("COFFEE_TEST_BROKER_URL", servers, "nats")


@pytest.fixture(scope="session")
async def clickhouse_url(servers: Servers) -> AsyncIterator[str]:
    """An empty ClickHouse database; `COFFEE_TEST_CLICKHOUSE_URL` names another server to make it on."""
    server = await sources.url_of("COFFEE_TEST_CLICKHOUSE_URL", servers, "clickhouse")
    async with sources.fresh_clickhouse(server) as url:
        yield url


@pytest.fixture(scope="session")
async def rabbitmq_url() -> AsyncIterator[str]:
    """RabbitMQ, which has no wheel: mark the test `rabbitmq`. Tests use exchanges and queues of their own."""
    async with sources.rabbitmq() as url:
        yield url
