"""The promises about transactions, on PostgreSQL and over a socket, served by our own server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import asyncpg
import pytest
from pydantic import SecretStr

from coffee_core.domain.context import CURRENT
from coffee_core.http.application import Application
from coffee_core.http.settings import HttpSettings
from coffee_core.persistence.pool import PostgresTransaction
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import begin_transaction
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.listen import bind
from coffee_core.wire.message import Request, Response
from coffee_core.wire.server import HandlerFront
from coffee_core.wire.settings import WireSettings
from tests.coffee_core.http.rig import application, route
from tests.support.raw_http import RawClient, until


class Cups:
    """A table, and handlers that write to it in the unit of work."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.table = f"cups_{uuid.uuid4().hex[:12]}"
        self.store = PostgresStore(DatabaseSettings(url=SecretStr(url), pool_min=1, pool_max=2))
        self.written = asyncio.Event()

    async def make(self) -> None:
        await self.ask(f"CREATE TABLE {self.table} (n int, CONSTRAINT one UNIQUE (n) DEFERRABLE INITIALLY DEFERRED)")
        await self.store.open()

    async def ask(self, sql: str) -> list[asyncpg.Record]:
        """On a connection of its own: what others see."""
        connection = await asyncpg.connect(self.url)
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    async def count(self) -> int:
        return int((await self.ask(f"SELECT count(*) FROM {self.table}"))[0][0])

    async def run(self, sql: str) -> None:
        """In the unit of work in hand."""
        transaction = cast("PostgresTransaction", await begin_transaction().join(self.store.pool))
        await transaction.connection.raw.execute(sql)

    async def fill(self, _: Request) -> Response:
        await self.run(f"INSERT INTO {self.table} VALUES (1)")
        return Response(201, b"{}")

    async def fill_twice(self, _: Request) -> Response:
        await self.run(f"INSERT INTO {self.table} VALUES (1), (1)")  # refused at COMMIT, not before
        return Response(201, b"{}")

    async def fill_and_sleep(self, _: Request) -> Response:
        await self.run(f"INSERT INTO {self.table} VALUES (1)")
        self.written.set()
        await self.run("SELECT pg_sleep(600)")
        raise AssertionError

    def asleep(self) -> str:
        return "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT pg_sleep(600)'"


@pytest.fixture
async def cups(database_url: str) -> AsyncIterator[Cups]:
    made = Cups(database_url)
    await made.make()
    yield made
    await made.store.close()
    await made.ask(f"DROP TABLE {made.table}")


@asynccontextmanager
async def served(cups: Cups, **settings: float) -> AsyncIterator[tuple[Application, int]]:
    app = application(
        route(cups.fill, "/api/fill", method="POST"),
        route(cups.fill_twice, "/api/twice", method="POST"),
        route(cups.fill_and_sleep, "/api/sleep", method="POST"),
        settings=HttpSettings(access_log="off", **settings),  # type: ignore[arg-type]  # bounds, all of them numbers
    )
    (sock,) = bind()
    front = HandlerFront(app.handler, WireSettings())
    await app.start()
    await front.start([sock])
    try:
        yield app, sock.getsockname()[1]
    finally:
        await front.drain()
        await app.stop()


def post(name: str, *more: str) -> bytes:
    lines = [f"POST /thing-service/api/{name} HTTP/1.1", "host: t", "x-bb-partner-id: 7", "content-length: 0", *more]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_what_is_answered_is_stored_already(cups: Cups) -> None:
    async with served(cups) as (_, port), await RawClient.connect(port) as client:
        assert (await client.ask(post("fill"))).status == 201
        assert await cups.count() == 1


async def test_what_the_database_refuses_at_commit_is_no_success(cups: Cups) -> None:
    async with served(cups) as (_, port), await RawClient.connect(port) as client:
        answer = await client.ask(post("twice"))
        assert (answer.status, answer.header(b"content-type")) == (409, b"application/problem+json")
        assert await cups.count() == 0


async def test_a_deadline_stops_the_statement_and_rolls_back(cups: Cups) -> None:
    async with served(cups) as (_, port), await RawClient.connect(port) as client:
        assert (await client.ask(post("sleep", "x-request-timeout: 0.1"))).status == 504
        assert await cups.count() == 0
        assert await cups.ask(cups.asleep()) == []
        assert (await client.ask(post("fill"))).status == 201  # the connection, and the pool, go on


async def test_a_client_that_leaves_stops_the_statement_and_rolls_back(cups: Cups) -> None:
    async with served(cups) as (app, port):
        client = await RawClient.connect(port)
        client.send(post("sleep"))
        await client.flush()
        await cups.written.wait()
        client.reset()
        await until(lambda: not app.units.flights, "the request has ended")
        await app.units.settle()
        assert await cups.count() == 0
        async with asyncio.timeout(10):
            while await cups.ask(cups.asleep()):
                pass
    assert CURRENT.get(None) is None
