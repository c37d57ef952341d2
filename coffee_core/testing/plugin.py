"""pytest fixtures for the tests of a module. In its `tests/conftest.py`:

    pytest_plugins = ["coffee_core.testing.plugin"]

    @pytest.fixture(scope="session")
    def coffee_modules():
        return [NOTES]

A test then takes `coffee_api`, and with it the whole application on a PostgreSQL of its own. The fixtures live on one
event loop for the session: `asyncio_default_fixture_loop_scope` and `asyncio_default_test_loop_scope` are "session".
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from coffee_core.embedded.fresh_database import fresh_database
from coffee_core.embedded.servers import Servers
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.rest.container import Module, Store
from coffee_core.stores.memory.store import MemoryStore
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.api_client import ApiClient
from coffee_core.testing.events import RecordedEvents
from coffee_core.testing.running import Wiring, migrate, running

DATABASE = "COFFEE_TEST_DATABASE_URL"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--coffee-store=memory` needs no server; it holds no foreign keys, checks or migrations."""
    parser.addoption(
        "--coffee-store",
        choices=("postgres", "memory"),
        default="postgres",
        help="where the modules under test store their rows (default: postgres, embedded or COFFEE_TEST_DATABASE_URL)",
    )


@pytest.fixture(scope="session")
def coffee_modules() -> Sequence[Module]:
    """The modules under test: yours to override."""
    raise pytest.UsageError("say which modules are tested: override the fixture coffee_modules in conftest.py")


@pytest.fixture(scope="session")
def coffee_wiring() -> Wiring:
    """A function of the Container that meets the modules' needs: override it where there are any."""
    return lambda _: None


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def coffee_database_url(coffee_modules: Sequence[Module]) -> AsyncIterator[str]:
    """A new database with the tables of the modules, on an embedded PostgreSQL or on COFFEE_TEST_DATABASE_URL's."""
    server = os.environ.get(DATABASE)
    if server:
        async with fresh_database(server) as url:
            await migrate(url, coffee_modules)
            yield url
        return
    with tempfile.TemporaryDirectory(prefix="coffee-tests-", ignore_cleanup_errors=True) as folder:
        async with (
            Servers(Path(folder), durable=False) as servers,
            fresh_database(await servers.start("postgres")) as url,
        ):
            await migrate(url, coffee_modules)
            yield url


@pytest.fixture(scope="session")
def _coffee_store_url(request: pytest.FixtureRequest) -> str | None:
    """None is the memory store. The database is asked for only here, so that the memory store starts no server."""
    if request.config.getoption("--coffee-store") == "memory":
        return None
    url: str = request.getfixturevalue("coffee_database_url")
    return url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _coffee_store(_coffee_store_url: str | None) -> AsyncIterator[Store]:
    if _coffee_store_url is None:
        yield MemoryStore()
        return
    url = SecretStr(_coffee_store_url)
    store = PostgresStore(DatabaseSettings(url=url, read_url=SecretStr(""), pool_max=8))
    await store.open()
    yield store
    await store.close()


@pytest.fixture(scope="session")
def _coffee_recorded() -> RecordedEvents:
    return RecordedEvents()


@pytest.fixture(scope="session")
def _coffee_partners() -> Iterator[int]:
    return itertools.count(1000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _coffee_application(
    coffee_modules: Sequence[Module], coffee_wiring: Wiring, _coffee_store: Store, _coffee_recorded: RecordedEvents
) -> AsyncIterator[ApiClient]:
    async with running(coffee_modules, _coffee_store, events=_coffee_recorded, wiring=coffee_wiring) as api:
        yield api


@pytest.fixture
def coffee_api(_coffee_application: ApiClient, _coffee_partners: Iterator[int]) -> ApiClient:
    """The application, called by a partner that no other test has, on the plan PAID; `as_partner` calls as another."""
    return _coffee_application.as_partner(next(_coffee_partners))


@pytest.fixture
def coffee_events(_coffee_recorded: RecordedEvents) -> RecordedEvents:
    """What the modules have announced during this test, in `raised`."""
    _coffee_recorded.raised.clear()
    return _coffee_recorded
