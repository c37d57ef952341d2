"""The module on a migrated database, and calls to its handlers."""

import importlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import orjson
from alembic.migration import MigrationContext
from alembic.operations import Operations
from pydantic import SecretStr
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from coffee_core.domain.context import RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.container import Container
from coffee_core.rest.settings import RestSettings
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.message import BufferedBody, Request, Response
from modules.social_profile.module import SOCIAL_PROFILE
from modules.social_profile.quiet import NoEvents

BASE = "/api/"


class Caller:
    """Calls the module's routes as somebody, in a unit of work that ends with the call."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        container = Container(store=store, events=NoEvents(), rest=RestSettings(cursor_key=SecretStr("k")))
        self.container = container
        self.routes = SOCIAL_PROFILE.mount(container).routes

    async def call(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] = b"",
        *,
        partner: int = 0,
        plan: Plan = Plan.PAID,
    ) -> tuple[Response, bytes]:
        """The answer and its whole body; a domain error is raised, as it is below the pipeline."""
        path, _, query = path.partition("?")
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        route = next(one for one in self.routes if (one.method, one.path) == (method, BASE + path))
        request = Request(method, path, query.encode(), {}, BufferedBody(data))
        async with acting_as(RequestContext(request_id="t", partner_id=partner, user_id=1, plan=plan)):
            response = await route.handler(request)
        if response.stream is None:
            return response, response.body
        return response, b"".join([chunk async for chunk in response.stream])

    async def data(self, method: str, path: str, body: bytes | Mapping[str, Any] = b"", **who: Any) -> dict[str, Any]:
        """The envelope."""
        _, answer = await self.call(method, path, body, **who)
        found = orjson.loads(answer)
        assert isinstance(found, dict)
        return found

    async def load(self, path: str, body: bytes, **who: Any) -> dict[str, Any]:
        """An import's one record of counts."""
        (answer,) = (await self.data("POST", path, body, **who))["data"]
        assert answer["rows"] == sum(answer[name] for name in ("created", "updated", "unchanged", "refused"))
        return dict(answer)


VERSIONS = ("0001_profiles", "0002_discovery")


@contextmanager
def migration(connection: Connection, version: str = VERSIONS[0]) -> Iterator[Any]:
    with Operations.context(MigrationContext.configure(connection)):
        yield importlib.import_module(f"modules.social_profile.migrations.{version}")


def _up(connection: Connection) -> None:
    for version in VERSIONS:
        with migration(connection, version) as steps:
            steps.upgrade()


async def migrate(url: str) -> None:
    """The tables as `coffee migrate` makes them."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("DROP SCHEMA IF EXISTS social_profile CASCADE; CREATE SCHEMA social_profile")
    finally:
        await connection.close()
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
    try:
        async with engine.begin() as transaction:
            await transaction.run_sync(_up)
    finally:
        await engine.dispose()


@asynccontextmanager
async def social_profile(url: str) -> AsyncIterator[Caller]:
    await migrate(url)
    store = PostgresStore(DatabaseSettings(url=SecretStr(url)))
    await store.open()
    try:
        yield Caller(store)
    finally:
        await store.close()
