"""The reset job tidies the table as the next use would, late, twice, and in two processes."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.metering.grants import Grant
from coffee_core.metering.ledger import Use
from coffee_core.metering.periods import Frequency, months_after, next_reset
from coffee_core.metering.postgres import PostgresLedger
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.stores.postgres.store import PostgresStore
from tests.coffee_core.metering.tables import TABLES
from tests.coffee_core.rest.sample import connection

PARTNERS = itertools.count(7_500_000)


class Book:
    """A ledger on a clock of its own, and rows to be reset."""

    def __init__(self, store: PostgresStore) -> None:
        self.url = store.pool.url
        self.now = datetime(2024, 2, 29, 12, tzinfo=UTC)
        self.ledger = PostgresLedger(store.pool, TABLES, clock=lambda: self.now)

    async def add(self, grant: Grant, consumed: int = 3, due: datetime | None = None) -> int:
        partner = next(PARTNERS)
        due = due or next_reset(grant.start, grant.frequency, grant.start)
        async with connection(self.url) as raw:
            await raw.execute(
                f'INSERT INTO {TABLES.counters} (partner_id, namespace, "limit", consumed, start_date, end_date, '
                "next_reset_on, frequency) VALUES ($1, 'DISCOVERY', $2, $3, $4, $5, $6, $7)",
                partner, grant.limit, consumed, grant.start, grant.end, due, grant.frequency.value,
            )  # fmt: skip
        return partner

    async def row(self, partner: int) -> tuple[int, datetime]:
        async with connection(self.url) as raw:
            found = await raw.fetchrow(
                f"SELECT consumed, next_reset_on FROM {TABLES.counters} WHERE partner_id = $1", partner
            )
        return found["consumed"], found["next_reset_on"]

    async def reset(self, limit: int = 1000) -> int:
        async with acting_as(RequestContext(request_id="r", partner_id=0)):
            return await self.ledger.reset(limit)

    async def use(self, partner: int, grant: Grant) -> None:
        async def fresh() -> Grant:
            return grant

        async with acting_as(RequestContext(request_id="r", partner_id=partner)):
            await self.ledger.charge(Use(partner, "DISCOVERY"), grant, fresh)


@pytest.fixture
async def book(metered_store: PostgresStore) -> Book:
    async with connection(metered_store.pool.url) as raw:
        await raw.execute(f"DELETE FROM {TABLES.counters} WHERE partner_id BETWEEN 7500000 AND 7599999")
    return Book(metered_store)


MONTHLY = Grant(5, Frequency.MONTHLY, datetime(2024, 1, 31, 12, tzinfo=UTC))


async def test_a_late_job_leads_into_the_period_of_today(book: Book) -> None:
    partner = await book.add(MONTHLY)
    book.now = datetime(2024, 6, 30, 13, tzinfo=UTC)
    await book.reset()
    assert await book.row(partner) == (0, datetime(2024, 7, 31, 12, tzinfo=UTC))


async def test_a_second_run_takes_nothing_away(book: Book) -> None:
    partner = await book.add(MONTHLY)
    await book.reset()
    await book.use(partner, MONTHLY)
    await book.reset()
    assert await book.row(partner) == (1, datetime(2024, 3, 31, 12, tzinfo=UTC))


async def test_what_is_not_due_and_what_has_ended_stays(book: Book) -> None:
    later = await book.add(MONTHLY, due=datetime(2024, 3, 31, 12, tzinfo=UTC))
    ended = await book.add(MONTHLY._replace(end=datetime(2024, 2, 10, tzinfo=UTC)))
    await book.reset()
    assert [(await book.row(partner))[0] for partner in (later, ended)] == [3, 3]


async def test_two_jobs_at_once_share_the_rows_and_uses_of_that_moment_count_once(book: Book) -> None:
    partners = [await book.add(MONTHLY) for _ in range(12)]
    uses = [book.use(partner, MONTHLY) for partner in partners for _ in range(2)]
    work = [book.reset(5), book.reset(5), *uses, book.reset(5), book.reset(5)]
    random.Random(4).shuffle(work)
    await asyncio.gather(*work)
    await book.reset()
    assert [await book.row(partner) for partner in partners] == [(2, datetime(2024, 3, 31, 12, tzinfo=UTC))] * 12


async def test_the_database_reckons_as_we_do(book: Book) -> None:
    """Any day of the years around two leap days, any frequency, any delay: the same end of the period."""
    dice = random.Random(20240229)
    days = [datetime(2023, month, day, tzinfo=UTC) for month, day in ((1, 29), (1, 30), (1, 31), (12, 31))]
    days += [datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(2023, 11, 30, 12, tzinfo=UTC)]
    days += [datetime(2023, 1, 1, tzinfo=UTC) + timedelta(seconds=dice.randrange(400 * 86_400)) for _ in range(80)]
    expected: dict[int, datetime] = {}
    book.now = datetime(2028, 2, 29, 12, tzinfo=UTC)
    for start, frequency in itertools.product(days, Frequency):
        now = months_after(start, dice.randrange(0, 40)) + timedelta(seconds=dice.choice((-1, 0, 1, 86_400)))
        partner = await book.add(Grant(5, frequency, start), due=min(now, book.now))
        expected[partner] = next_reset(start, frequency, book.now)
    await book.reset(100_000)  # those of other tests are due as well
    async with connection(book.url) as raw:
        rows = await raw.fetch(
            f"SELECT partner_id, next_reset_on FROM {TABLES.counters} WHERE partner_id = ANY($1)", list(expected)
        )
    assert {row["partner_id"]: row["next_reset_on"] for row in rows} == expected
