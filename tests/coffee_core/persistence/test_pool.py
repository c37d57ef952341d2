"""The pool and the unit of work under failure: fair, bounded, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import ConflictError, UnavailableError
from coffee_core.persistence.pool import Connection, Pool
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = Pool(database_url, DatabaseSettings(pool_min=1, pool_max=2, pool_waiters=3, pool_wait_seconds=5))
    await pool.open()
    yield pool
    await pool.close()


async def until(condition: object, bound: float = 5) -> None:
    async with asyncio.timeout(bound):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def test_who_asks_first_is_served_first(pool: Pool) -> None:
    held = [await pool.take(), await pool.take()]
    served: list[int] = []

    async def ask(number: int) -> None:
        connection = await pool.take()
        served.append(number)
        pool.give(connection)

    tasks = []
    for number in range(3):
        tasks.append(asyncio.create_task(ask(number)))
        await until(lambda n=number: pool.waiting == n + 1)
    pool.give(held[0])
    await asyncio.gather(*tasks)
    pool.give(held[1])
    assert served == [0, 1, 2]


async def test_more_waiters_than_the_bound_are_refused_at_once(pool: Pool) -> None:
    held = [await pool.take(), await pool.take()]
    waiting = [asyncio.create_task(pool.take()) for _ in range(3)]
    await until(lambda: pool.waiting == 3)
    with pytest.raises(UnavailableError, match="too many requests wait"):
        await pool.take()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert pool.waiting == 0
    for connection in held:
        pool.give(connection)
    assert (len(pool.idle), pool.size) == (2, 2)


async def test_who_waits_too_long_is_refused_and_takes_nothing_with_him(database_url: str) -> None:
    pool = Pool(database_url, DatabaseSettings(pool_min=1, pool_max=1, pool_wait_seconds=0.05))
    await pool.open()
    held = await pool.take()
    with pytest.raises(UnavailableError, match="no database connection became free"):
        await pool.take()
    pool.give(held)
    assert await pool.take() is held
    pool.give(held)
    await pool.close()


async def test_a_connection_that_the_server_ended_is_replaced(pool: Pool) -> None:
    connection = await pool.take()
    pid = connection.raw.get_server_pid()
    pool.give(connection)
    other = Connection((await pool._connect(counted=False)).raw)
    await other.raw.execute(f"SELECT pg_terminate_backend({pid})")
    await until(connection.raw.is_closed)
    fresh = await pool.take()
    assert fresh is not connection
    assert await fresh.raw.fetchval("SELECT 1") == 1
    pool.give(fresh)
    await other.raw.close()


async def test_a_cancelled_statement_is_stopped_at_the_server_and_its_connection_serves_again(pool: Pool) -> None:
    connection = await pool.take()
    pid = connection.raw.get_server_pid()
    task = asyncio.create_task(connection.raw.execute("SELECT pg_sleep(60)"))
    watcher = await pool.take()
    query = f"SELECT state FROM pg_stat_activity WHERE pid = {pid}"
    async with asyncio.timeout(5):
        while await watcher.raw.fetchval(query) != "active":
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pool.mend(connection)
    await until(lambda: connection in pool.idle)
    assert await watcher.raw.fetchval(query) == "idle"
    pool.give(watcher)
    assert pool.size == 2


async def test_a_database_that_is_not_there_is_unavailable(database_url: str) -> None:
    pool = Pool("postgresql://nobody@127.0.0.1:1/none", DatabaseSettings(pool_min=1, connect_seconds=1))
    with pytest.raises(UnavailableError, match="does not answer"):
        await pool.open()
    assert pool.size == 0


async def test_a_commit_that_the_database_turns_into_a_rollback_is_an_error(pool: Pool) -> None:
    """PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, which a driver takes for success."""
    transaction = await pool.begin("read_committed")
    with pytest.raises(Exception, match="does_not_exist"):
        await transaction.connection.raw.execute("SELECT * FROM does_not_exist")
    with pytest.raises(RuntimeError, match="nothing was stored"):
        await transaction.commit()
    assert pool.size == len(pool.idle)


async def test_a_rule_that_is_checked_at_commit_is_a_conflict_not_a_success(pool: Pool) -> None:
    connection = await pool.take()
    await connection.raw.execute("CREATE TABLE IF NOT EXISTS late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    pool.give(connection)
    transaction = await pool.begin("read_committed")
    await transaction.connection.raw.execute("INSERT INTO late VALUES (1), (1)")
    with pytest.raises(ConflictError):
        await transaction.commit()
    assert pool.size == len(pool.idle)


async def test_a_hook_runs_after_the_commit_and_never_after_a_rollback(pool: Pool) -> None:
    ran: list[str] = []

    async def note(what: str) -> None:
        ran.append(what)

    async with acting_as(RequestContext(request_id="r", partner_id=1)):
        work = begin_transaction()
        await work.join(pool)
        work.after_commit(lambda: note("stored"))
        assert ran == []
    with pytest.raises(KeyError):
        async with acting_as(RequestContext(request_id="r", partner_id=1)):
            work = begin_transaction()
            await work.join(pool)
            work.after_commit(lambda: note("undone"))
            raise KeyError
    assert ran == ["stored"]
    assert pool.size == len(pool.idle)


async def test_a_failing_hook_does_not_undo_or_hide_the_commit(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[str] = []

    async def fail() -> None:
        raise KeyError("broker")

    async def note() -> None:
        ran.append("next")

    async with acting_as(RequestContext(request_id="r", partner_id=1)):
        work = begin_transaction()
        work.after_commit(fail)
        work.after_commit(note)
    assert ran == ["next"]
    assert "after-commit step failed" in caplog.text


async def test_serializable_cannot_be_asked_for_when_it_is_too_late(pool: Pool) -> None:
    async with acting_as(RequestContext(request_id="r", partner_id=1)):
        await begin_transaction().join(pool)
        with pytest.raises(RuntimeError, match="already open"):
            begin_transaction("serializable")


async def test_a_statement_that_no_cancel_request_reached_ends_with_its_connection(database_url: str) -> None:
    """A cancel request that overtakes its statement stops nothing (PostgreSQL, "Canceling Requests in Progress")."""
    pool = Pool(database_url, DatabaseSettings(pool_min=1, pool_max=2, client_check_seconds=0.1))
    await pool.open()
    lost, other = await pool.take(), await pool.take()
    try:
        pid = await lost.raw.fetchval("SELECT pg_backend_pid()")
        sleeping = asyncio.create_task(lost.raw.execute("SELECT pg_sleep(600)"))
        active = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'"
        async with asyncio.timeout(30):
            while await other.raw.fetchval(active, pid) == 0:
                await asyncio.sleep(0.01)
        pool.discard(lost)
        await asyncio.gather(sleeping, return_exceptions=True)
        async with asyncio.timeout(30):
            while await other.raw.fetchval(active, pid):
                await asyncio.sleep(0.01)
        assert await other.raw.fetchval(active, pid) == 0
    finally:
        pool.give(other)
        await pool.close()
