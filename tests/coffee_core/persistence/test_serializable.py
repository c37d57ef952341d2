"""SERIALIZABLE on request: no write skew, both callers finish, and what failed leaves nothing behind."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import pytest
from pydantic import SecretStr

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import RuleError
from coffee_core.persistence.errors import SerializationError, translate
from coffee_core.persistence.pool import Pool, PostgresTransaction
from coffee_core.persistence.serializable import serializable
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction, current_work


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = Pool(database_url, DatabaseSettings(url=SecretStr(database_url), pool_max=4))
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
async def doctors(pool: Pool) -> AsyncIterator[str]:
    """Two doctors on call: the rule is that one of them stays."""
    name = f"doctors_{uuid.uuid4().hex[:12]}"
    await alone(
        pool, f"CREATE TABLE {name} (id int PRIMARY KEY, on_call bool); INSERT INTO {name} VALUES (1, true), (2, true)"
    )
    yield name
    await alone(pool, f"DROP TABLE {name}")


async def alone(pool: Pool, sql: str) -> list[Any]:
    connection = await pool.take()
    try:
        if ";" in sql or not sql.startswith("SELECT"):
            await connection.raw.execute(sql)
            return []
        return [row[0] for row in await connection.raw.fetch(sql)]
    finally:
        pool.give(connection)


async def run(pool: Pool, sql: str) -> list[Any]:
    transaction = cast("PostgresTransaction", await current_work().join(pool))
    try:
        return [row[0] for row in await transaction.connection.raw.fetch(sql)]
    except asyncpg.PostgresError as error:
        raise translate(error) from error


class Leaving:
    """A doctor goes home, if another one stays. Both have looked before either leaves, the first time."""

    def __init__(self, pool: Pool, table: str) -> None:
        self.pool, self.table = pool, table
        self.looked = asyncio.Barrier(2)
        self.attempts = 0
        self.announced: list[int] = []

    async def leave(self, doctor: int) -> None:
        self.attempts += 1
        (staying,) = await run(self.pool, f"SELECT count(*) FROM {self.table} WHERE on_call AND id <> {doctor}")
        current_work().after_commit(lambda: self.announce(doctor))
        if self.attempts <= 2:
            await asyncio.wait_for(self.looked.wait(), 20)
        if not staying:
            raise RuleError("somebody must stay")
        await run(self.pool, f"UPDATE {self.table} SET on_call = false WHERE id = {doctor}")

    async def announce(self, doctor: int) -> None:
        self.announced.append(doctor)


async def test_two_that_would_break_a_rule_together_both_finish_and_the_rule_holds(pool: Pool, doctors: str) -> None:
    leaving = Leaving(pool, doctors)

    async def caller(doctor: int) -> str:
        async with acting_as(RequestContext(request_id="t", partner_id=1)):
            try:
                await serializable(lambda: leaving.leave(doctor))
            except RuleError:
                return "stays"
            return "leaves"

    assert sorted(await asyncio.gather(caller(1), caller(2))) == ["leaves", "stays"]
    assert await alone(pool, f"SELECT count(*) FROM {doctors} WHERE on_call") == [1]
    assert leaving.attempts == 3
    assert len(leaving.announced) == 1  # the attempt that failed has announced nothing


async def test_without_it_the_rule_would_be_broken(pool: Pool, doctors: str) -> None:
    leaving = Leaving(pool, doctors)

    async def caller(doctor: int) -> None:
        async with acting_as(RequestContext(request_id="t", partner_id=1)):
            begin_transaction()
            await leaving.leave(doctor)

    await asyncio.gather(caller(1), caller(2))
    assert await alone(pool, f"SELECT count(*) FROM {doctors} WHERE on_call") == [0]


async def test_attempts_have_a_bound_and_begin_in_fresh_transactions(pool: Pool) -> None:
    seen: list[int] = []

    async def meets() -> None:
        seen.extend(await run(pool, "SELECT pg_current_xact_id()::text::bigint"))
        raise SerializationError("two writes met", retry_after=0)

    async with acting_as(RequestContext(request_id="t")):
        with pytest.raises(SerializationError):
            await serializable(meets, attempts=4)
        assert not current_work().pending
        assert current_work().isolation == "read_committed"
    assert len(set(seen)) == 4


async def test_it_is_stored_when_the_call_returns_and_other_errors_are_not_tried_again(
    pool: Pool, doctors: str
) -> None:
    calls = 0

    async def refuse() -> None:
        nonlocal calls
        calls += 1
        await run(pool, f"UPDATE {doctors} SET on_call = false")
        raise RuleError("no")

    async with acting_as(RequestContext(request_id="t")):
        with pytest.raises(RuleError):
            await serializable(refuse)
        assert calls == 1
        assert await serializable(lambda: run(pool, f"DELETE FROM {doctors} WHERE id = 1 RETURNING id")) == [1]
        assert await alone(pool, f"SELECT id FROM {doctors} WHERE on_call") == [2]


async def test_inside_another_one_it_takes_part_in_that_ones_attempts(pool: Pool) -> None:
    async def inner() -> list[str]:
        return [str(level) for level in await run(pool, "SELECT current_setting('transaction_isolation')")]

    async with acting_as(RequestContext(request_id="t")):
        assert await serializable(lambda: serializable(inner)) == ["serializable"]


async def test_after_a_write_it_is_too_late_to_ask(pool: Pool) -> None:
    async with acting_as(RequestContext(request_id="t")):
        begin_transaction()
        with pytest.raises(RuntimeError, match="before the first write"):
            await serializable(lambda: run(pool, "SELECT 1"))


async def test_a_commit_is_not_cut_by_a_cancellation(pool: Pool, doctors: str) -> None:
    announced = asyncio.Event()
    task: asyncio.Task[None]

    async def announce() -> None:
        announced.set()

    async def cut() -> None:
        task.cancel()

    async def work() -> None:
        await run(pool, f"DELETE FROM {doctors}")
        current_work().before_commit.append(cut)
        current_work().after_commit(announce)

    async def caller() -> None:
        async with acting_as(RequestContext(request_id="t")):
            await serializable(work)

    task = asyncio.create_task(caller())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert announced.is_set()
    assert await alone(pool, f"SELECT id FROM {doctors}") == []
