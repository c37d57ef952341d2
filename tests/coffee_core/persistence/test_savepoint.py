"""A part of a unit of work can be undone alone, with what it announced."""

import uuid
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from coffee_core.domain.context import RequestContext
from coffee_core.persistence.pool import Pool, PostgresTransaction
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as, current_work, savepoint


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = Pool(database_url, DatabaseSettings(url=SecretStr(database_url)))
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
async def table(pool: Pool) -> AsyncIterator[str]:
    name = f"savepoint_{uuid.uuid4().hex[:12]}"
    connection = await pool.take()
    await connection.raw.execute(f"CREATE TABLE {name} (n int PRIMARY KEY)")
    pool.give(connection)
    yield name
    connection = await pool.take()
    await connection.raw.execute(f"DROP TABLE {name}")
    pool.give(connection)


async def write(pool: Pool, table: str, *numbers: int) -> None:
    transaction = await current_work().join(pool)
    assert isinstance(transaction, PostgresTransaction)
    for number in numbers:
        await transaction.connection.raw.execute(f"INSERT INTO {table} VALUES ({number})")


async def stored(pool: Pool, table: str) -> list[int]:
    connection = await pool.take()
    try:
        return [row[0] for row in await connection.raw.fetch(f"SELECT n FROM {table} ORDER BY n")]
    finally:
        pool.give(connection)


@pytest.mark.parametrize("first", [True, False], ids=["the block begins the transaction", "a transaction is open"])
async def test_what_a_failed_block_wrote_and_announced_is_undone_alone(pool: Pool, table: str, first: bool) -> None:
    announced: list[str] = []

    def announce(word: str) -> None:
        async def hook() -> None:
            announced.append(word)

        current_work().after_commit(hook)

    async with acting_as(RequestContext(request_id="t")):
        if not first:
            await write(pool, table, 1)
            announce("before")
        with pytest.raises(Exception, match="duplicate key"):
            await failing(pool, table, announce)
        async with savepoint():
            await write(pool, table, 3)
            announce("after")
    assert await stored(pool, table) == ([3] if first else [1, 3])
    assert announced == (["after"] if first else ["before", "after"])


async def failing(pool: Pool, table: str, announce: object) -> None:
    async with savepoint():
        assert callable(announce)
        announce("inside")
        await write(pool, table, 2, 2)


async def test_blocks_nest(pool: Pool, table: str) -> None:
    async with acting_as(RequestContext(request_id="t")):
        await write(pool, table, 1)
        async with savepoint():
            await write(pool, table, 2)
            with pytest.raises(ZeroDivisionError):
                await divided(pool, table)
            await write(pool, table, 4)
    assert await stored(pool, table) == [1, 2, 4]


async def divided(pool: Pool, table: str) -> None:
    async with savepoint():
        await write(pool, table, 3)
        raise ZeroDivisionError
