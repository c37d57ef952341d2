"""PostgreSQL parses a statement once on each connection, and once more where its table has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import BigInteger, MetaData, Text
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.context import RequestContext
from coffee_core.domain.entity import Entity
from coffee_core.domain.errors import CoffeeError, UnavailableError
from coffee_core.domain.search import FilterType
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction
from coffee_core.rest.dao_provider import ConditionShape, SelectShape
from coffee_core.stores.postgres.provider import PostgresDaoProvider
from coffee_core.stores.postgres.store import PostgresStore
from tests.coffee_core.rest.sample import connection

BY_ID = SelectShape(("id", "label"), ConditionShape(FilterType.EQ, "id"))


class PreparedEntity(Entity):
    __abstract__ = True
    metadata = MetaData(schema="coffee_prepared")


class Widget(PreparedEntity):
    __tablename__ = "widget"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    label: Mapped[str] = mapped_column(Text)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    """With one connection, and a table that a test may change."""
    store = PostgresStore(DatabaseSettings(url=SecretStr(database_url), pool_min=1, pool_max=1))
    await store.open()
    await execute(
        store,
        "DROP SCHEMA IF EXISTS coffee_prepared CASCADE; CREATE SCHEMA coffee_prepared; "
        "CREATE TABLE coffee_prepared.widget (id bigint PRIMARY KEY, label text NOT NULL); "
        "INSERT INTO coffee_prepared.widget VALUES (1, '7')",
    )
    yield store
    await execute(store, "DROP SCHEMA coffee_prepared CASCADE")
    await store.close()


@pytest.fixture
def widgets(store: PostgresStore) -> PostgresDaoProvider[Widget, int]:
    return store.provider(Widget, Widget.id)


async def execute(store: PostgresStore, sql: str) -> None:
    connection = await store.pool.take()
    try:
        await connection.raw.execute(sql)
    finally:
        store.pool.give(connection)


async def kept_at_the_server(store: PostgresStore) -> list[tuple[str, int]]:
    """What is prepared for the widgets, and how often it has run."""
    connection = await store.pool.take()
    try:
        rows = await connection.raw.fetch(
            "SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE '%widget%'"
        )
    finally:
        store.pool.give(connection)
    return [tuple(row) for row in rows if "pg_prepared_statements" not in row[0]]


async def test_a_statement_is_parsed_once_on_a_connection(
    store: PostgresStore, widgets: PostgresDaoProvider[Widget, int]
) -> None:
    plan = widgets.plan(BY_ID)
    for _ in range(3):
        assert [tuple(row) for row in await widgets.run(plan, [1])] == [(1, "7")]
    assert [times for _, times in await kept_at_the_server(store)] == [3]


async def test_past_their_bound_statements_are_closed_at_the_server(database_url: str) -> None:
    store = PostgresStore(
        DatabaseSettings(url=SecretStr(database_url), pool_min=1, pool_max=1, statements_per_connection=10)
    )
    await store.open()
    connection = await store.pool.take()
    for number in range(25):
        statement = await connection.prepare(number, f"SELECT {number}", 10)
        assert (await statement.fetch())[0][0] == number
        del statement
    kept = await connection.raw.fetchval("SELECT count(*) FROM pg_prepared_statements")
    store.pool.give(connection)
    await store.close()
    assert kept <= 11


async def test_a_table_that_has_changed_is_read_by_the_same_question(
    store: PostgresStore, widgets: PostgresDaoProvider[Widget, int]
) -> None:
    plan = widgets.plan(BY_ID)
    await widgets.run(plan, [1])
    await execute(store, "ALTER TABLE coffee_prepared.widget ALTER COLUMN label TYPE bigint USING label::bigint")
    assert [tuple(row) for row in await widgets.run(plan, [1])] == [(1, 7)]


async def test_a_table_that_changes_under_a_transaction_fails_it_and_not_the_next(
    store: PostgresStore, widgets: PostgresDaoProvider[Widget, int]
) -> None:
    plan = widgets.plan(BY_ID)
    await widgets.run(plan, [1])
    await execute(store, "ALTER TABLE coffee_prepared.widget ALTER COLUMN label TYPE bigint USING label::bigint")

    async def in_a_transaction() -> list[tuple[object, ...]]:
        async with acting_as(RequestContext(request_id="1", partner_id=1)):
            begin_transaction()
            return [tuple(row) for row in await widgets.run(plan, [1])]

    with pytest.raises(UnavailableError, match="try again"):
        await in_a_transaction()
    assert await in_a_transaction() == [(1, 7)]


async def test_a_value_that_the_driver_refuses_leaves_nothing_locked(
    widgets: PostgresDaoProvider[Widget, int], database_url: str
) -> None:
    """The server has parsed the statement by then, and waits for the rest of it with the table in its hands."""
    with pytest.raises(CoffeeError):
        await widgets.run(widgets.plan(BY_ID), [2**70])
    async with connection(database_url) as other, asyncio.timeout(10):
        while await other.fetchval("SELECT count(*) FROM pg_locks WHERE relation = 'coffee_prepared.widget'::regclass"):
            await asyncio.sleep(0.01)
    assert [tuple(row) for row in await widgets.run(widgets.plan(BY_ID), [1])] == [(1, "7")]
