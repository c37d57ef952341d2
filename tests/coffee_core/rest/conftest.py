"""The sample resource on PostgreSQL, and a caller."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.api import Api
from coffee_core.rest.container import Container
from coffee_core.rest.settings import RestSettings
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.message import BufferedBody, Handler, Request, Response
from tests.coffee_core.rest.sample import TABLE, BookEntity, BookEntry, KeptEvents, connection

PARTNERS = itertools.count(1000)


@pytest.fixture(scope="session")
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    async with connection(database_url) as raw:
        await raw.execute(TABLE)
    store = PostgresStore(DatabaseSettings(url=database_url, pool_max=8))
    await store.open()
    yield store
    await store.close()


@pytest.fixture(scope="session")
def events() -> KeptEvents:
    return KeptEvents()


@pytest.fixture(scope="session")
def container(store: PostgresStore, events: KeptEvents) -> Container:
    return Container(store=store, events=events, rest=RestSettings(cursor_key="a key of the tests"))


@pytest.fixture(scope="session")
def books(container: Container) -> Api[BookEntry, BookEntity, int]:
    return container.api(container.manager(BookEntry, BookEntity, BookEntity.id), int, "book")


class Caller:
    """Somebody of one partner on one plan."""

    def __init__(self, partner: int, plan: Plan = Plan.PAID) -> None:
        self.partner = partner
        self.plan = plan

    def on(self, plan: Plan) -> Caller:
        return Caller(self.partner, plan)

    async def call(
        self,
        handler: Handler,
        body: object = None,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
        **path: object,
    ) -> Response:
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        sent = {name.encode(): value.encode() for name, value in (headers or {}).items()}
        request = Request("POST", "/shelf-service/api/book", query.encode(), sent, BufferedBody(data))
        request.path_params = {name: str(value) for name, value in path.items()}
        async with acting_as(RequestContext(request_id="r", partner_id=self.partner, user_id=5, plan=self.plan)):
            return await handler(request)

    async def json(self, handler: Callable[[Request], Awaitable[Response]], body: object = None, **rest: Any) -> Any:
        return json.loads((await self.call(handler, body, **rest)).body)


@pytest.fixture
def caller() -> Caller:
    """A partner of the test's own."""
    return Caller(next(PARTNERS))
