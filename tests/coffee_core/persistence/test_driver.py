"""Statements reach the driver's protocol where its release is known, and the public call where it is not; moments
come back as they were stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone

import asyncpg
import pytest

from coffee_core.persistence import driver
from coffee_core.persistence.driver import Prepared, known
from coffee_core.persistence.moments import INFINITY, NEGATIVE_INFINITY
from coffee_core.persistence.pool import Connection, Pool
from coffee_core.persistence.settings import DatabaseSettings


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    pool = Pool(database_url, DatabaseSettings(pool_min=1, pool_max=1))
    await pool.open()
    taken = await pool.take()
    yield taken
    pool.give(taken)
    await pool.close()


@pytest.fixture(params=["direct", "public"])
async def prepare(
    request: pytest.FixtureRequest, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> Connection:
    if request.param == "public":
        monkeypatch.setattr(driver, "RELEASES", ((0, 1), (0, 2)))
    return connection


def test_a_release_is_known_by_its_first_two_numbers() -> None:
    assert known("0.30.0")
    assert known(asyncpg.__version__), "a new driver: compare its protocol's bind_execute, then widen RELEASES"
    assert not known("0.29.9")
    assert not known("0.33.0")
    assert not known("1.0.dev1")
    assert not known("nightly")


async def test_both_ways_answer_alike(prepare: Connection) -> None:
    statement = await prepare.prepare("a", "SELECT $1::int + 1, $2::text", 10)
    assert [tuple(row) for row in await statement.fetch(1, "x")] == [(2, "x")]
    assert [tuple(row) for row in await statement.run([2, "y"], "", 0, False, None)] == [(3, "y")]


async def test_both_ways_refuse_alike(prepare: Connection) -> None:
    statement = await prepare.prepare("a", "SELECT $1::int", 10)
    with pytest.raises(asyncpg.DataError):
        await statement.fetch("no number")
    with pytest.raises(asyncpg.InterfaceError):
        await statement.fetch(1, 2)
    assert [tuple(row) for row in await statement.fetch(3)] == [(3,)]


async def test_a_statement_that_is_given_up_leaves_its_connection_usable(prepare: Connection) -> None:
    slow = await prepare.prepare("slow", "SELECT pg_sleep(60)", 10)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await slow.fetch()
    quick = await prepare.prepare("quick", "SELECT 1", 10)
    assert [tuple(row) for row in await quick.fetch()] == [(1,)]


async def test_two_statements_at_once_are_refused(prepare: Connection) -> None:
    slow = await prepare.prepare("slow", "SELECT pg_sleep(0.3)", 10)
    first = asyncio.ensure_future(slow.fetch())
    await asyncio.sleep(0)
    with pytest.raises(asyncpg.InterfaceError):
        await slow.fetch()
    await first


async def test_a_closed_connection_is_known_as_such_and_refuses(prepare: Connection) -> None:
    statement = await prepare.prepare("a", "SELECT 1", 10)
    assert prepare.connected()
    prepare.raw.terminate()
    assert not prepare.connected()
    with pytest.raises(asyncpg.InterfaceError):
        await statement.fetch()


async def test_a_retired_connection_does_not_come_back(database_url: str) -> None:
    pool = Pool(database_url, DatabaseSettings(pool_min=1, pool_max=1))
    await pool.open()
    taken = await pool.take()
    taken.retire()
    pool.give(taken)
    again = await pool.take()
    assert again is not taken
    pool.give(again)
    await pool.close()


EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, 120000, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=EAST),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1883, 11, 18, 12, 0, 0, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
async def test_a_moment_comes_back_as_it_was_stored_in_utc(connection: Connection, moment: datetime) -> None:
    statement = await connection.prepare("a", "SELECT $1::timestamptz, ARRAY[$1], $1 = ANY ($2::timestamptz[])", 10)
    (row,) = await statement.fetch(moment, [moment, None])
    assert tuple(row) == (moment, [moment], True)
    assert row[0].tzinfo is UTC
    assert row[1][0].tzinfo is UTC


@pytest.mark.parametrize(("text", "stands_for"), [("infinity", INFINITY), ("-infinity", NEGATIVE_INFINITY)])
async def test_infinity_is_the_last_and_the_first_datetime(
    connection: Connection, text: str, stands_for: datetime
) -> None:
    back = await connection.prepare("a", f"SELECT '{text}'::timestamptz", 10)
    there = await connection.prepare("b", "SELECT $1::timestamptz::text", 10)
    assert (await back.fetch())[0][0] == stands_for
    assert (await there.fetch(stands_for))[0][0] == text


async def test_a_naive_moment_and_a_date_are_of_the_process_time_zone(connection: Connection) -> None:
    statement = await connection.prepare("a", "SELECT $1::timestamptz", 10)
    naive = datetime(2026, 7, 1)  # noqa: DTZ001 - that is the point
    assert (await statement.fetch(naive))[0][0] == naive.astimezone(UTC)
    assert (await statement.fetch(date(2026, 7, 1)))[0][0] == naive.astimezone(UTC)


async def test_what_is_no_moment_is_a_value_of_the_wrong_type(connection: Connection) -> None:
    statement = await connection.prepare("a", "SELECT $1::timestamptz", 10)
    with pytest.raises(asyncpg.DataError):
        await statement.fetch("2026-01-01")


@pytest.mark.parametrize("sql", ["'0044-03-15 BC'::timestamptz", "'20000-01-01'::timestamptz"])
async def test_a_moment_outside_of_pythons_years_is_an_error_and_no_other_moment(
    connection: Connection, sql: str
) -> None:
    statement = await connection.prepare("a", f"SELECT {sql}", 10)
    with pytest.raises(OverflowError):
        await statement.fetch()


def test_statements_are_the_drivers_own_where_the_protocol_is_not_there() -> None:
    prepared = Prepared(object(), object())
    assert prepared.run == prepared._publicly
