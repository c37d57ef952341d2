"""Reads go to the replica unless they must see what was just written. Two databases stand for primary and replica: what
a read answers says which of them served it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from coffee_core.domain.context import RequestContext
from coffee_core.domain.search import SearchQuery
from coffee_core.embedded.fresh_database import fresh_database
from coffee_core.persistence import read_routing
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction
from coffee_core.rest.dao import Dao
from coffee_core.rest.written_rows import csv_of
from coffee_core.stores.postgres.provider import PostgresDaoProvider
from coffee_core.stores.postgres.store import PostgresStore
from tests.coffee_core.rest.sample import TABLE, BookEntity, connection

PARTNERS = itertools.count(7_000_000)
NOWHERE = "postgresql://postgres@127.0.0.1:1/nowhere"


@pytest.fixture(scope="module")
async def replica_url(database_url: str) -> AsyncIterator[str]:
    """A database in which every partner has one book, that no primary knows of."""
    async with fresh_database(database_url) as url:
        async with connection(url) as raw:
            await raw.execute(TABLE)
        async with connection(database_url) as raw:
            await raw.execute(TABLE)
        yield url


class Library:
    """A store, its books, and a partner of the test's own who has the book "replica" on the replica alone."""

    def __init__(self, url: str, read_url: str, **settings: float) -> None:
        made = DatabaseSettings(url=SecretStr(url), read_url=SecretStr(read_url), pool_min=1, pool_max=4)
        self.store = PostgresStore(made.model_copy(update={"connect_seconds": 2.0, **settings}))
        self.dao = Dao(BookEntity, BookEntity.id, self.store.provider(BookEntity, BookEntity.id))
        self.partner = next(PARTNERS)

    def caller(self, partner: int | None = None) -> RequestContext:
        return RequestContext(request_id="t", partner_id=partner or self.partner)

    async def titles(self) -> list[str]:
        return [book.title for book in self.dao.entities(await self.dao.search(SearchQuery()))]

    async def exported(self) -> str:
        query = SearchQuery(fields=("title",))
        written = csv_of(self.dao, query, self.dao.projection(query.fields))
        assert written is not None
        return b"".join([block async for block in written.blocks]).decode()

    async def write(self) -> None:
        await self.dao.insert({"title": "primary"})


async def on_replica(url: str, partner: int) -> None:
    async with connection(url) as raw:
        await raw.execute("INSERT INTO shelf.book (partner_id, title) VALUES ($1, 'replica')", partner)


@pytest.fixture
async def library(database_url: str, replica_url: str) -> AsyncIterator[Library]:
    library = Library(database_url, replica_url, read_after_write_seconds=600.0)
    await on_replica(replica_url, library.partner)
    await library.store.open()
    yield library
    await library.store.close()


async def test_a_read_that_needs_no_transaction_is_the_replicas(library: Library) -> None:
    async with acting_as(library.caller()):
        assert await library.titles() == ["replica"]
        assert await library.dao.count(SearchQuery()) == 1
        streamed = [rows async for rows in library.dao.stream(SearchQuery())]
        assert [book.title for rows in streamed for book in library.dao.entities(rows)] == ["replica"]
        assert (await library.exported()).startswith("replica,")


async def test_a_read_within_a_transaction_is_the_primarys(library: Library) -> None:
    async with acting_as(library.caller()):
        begin_transaction()
        assert await library.titles() == []


async def test_after_a_write_its_partner_reads_from_the_primary_in_this_request_and_the_next(library: Library) -> None:
    async with acting_as(library.caller()):
        await library.write()
        assert await library.titles() == ["primary"]
    async with acting_as(library.caller()):
        assert await library.titles() == ["primary"]
        streamed = [rows async for rows in library.dao.stream(SearchQuery())]
        assert [book.title for rows in streamed for book in library.dao.entities(rows)] == ["primary"]
        assert (await library.exported()).startswith("primary,")


async def test_a_transaction_counts_as_a_write_whatever_wrote_in_it(library: Library) -> None:
    async with acting_as(library.caller()):
        await begin_transaction().join(library.store.pool)
    async with acting_as(library.caller()):
        assert await library.titles() == []


async def test_another_partners_write_changes_nothing_for_this_one(library: Library) -> None:
    async with acting_as(library.caller(next(PARTNERS))):
        await library.write()
    async with acting_as(library.caller()):
        assert await library.titles() == ["replica"]


async def test_after_the_time_the_replica_serves_again(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    async with acting_as(library.caller()):
        await library.write()
    now = read_routing.monotonic()
    monkeypatch.setattr(read_routing, "monotonic", lambda: now + 601)
    async with acting_as(library.caller()):
        assert await library.titles() == ["replica"]


async def test_with_no_time_only_the_request_that_wrote_reads_its_own_writes(
    database_url: str, replica_url: str
) -> None:
    library = Library(database_url, replica_url, read_after_write_seconds=0.0)
    await on_replica(replica_url, library.partner)
    await library.store.open()
    async with acting_as(library.caller()):
        await library.write()
        assert await library.titles() == ["primary"]
    async with acting_as(library.caller()):
        assert await library.titles() == ["replica"]
    await library.store.close()


async def test_the_partners_that_are_remembered_have_a_bound(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_routing, "PARTNERS_MAX", 1)
    for partner in (library.partner, next(PARTNERS)):
        async with acting_as(library.caller(partner)):
            await library.write()
    async with acting_as(library.caller()):
        assert await library.titles() == ["replica"]  # forgotten: the latest one is remembered


async def test_a_replica_that_is_down_is_left_alone_and_the_primary_serves(database_url: str, replica_url: str) -> None:
    library = Library(database_url, NOWHERE)
    await library.store.open()
    async with acting_as(library.caller()):
        assert await library.titles() == []
        assert [rows async for rows in library.dao.stream(SearchQuery())] == []
    assert await library.store.check() is None
    await library.store.close()


async def test_an_export_of_a_replica_that_is_down_is_the_primarys(database_url: str, replica_url: str) -> None:
    library = Library(database_url, NOWHERE)
    await library.store.open()
    async with acting_as(library.caller()):
        assert await library.exported() == ""
    await library.store.close()


async def test_a_replica_that_goes_down_while_we_run_costs_no_answer(library: Library, replica_url: str) -> None:
    assert library.store.replica is not None
    async with acting_as(library.caller()):
        assert await library.titles() == ["replica"]
        async with connection(replica_url) as raw:
            await raw.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        library.store.replica.url = NOWHERE
        answers = await asyncio.gather(*(library.titles() for _ in range(8)))
        assert answers == [[]] * 8
        library.store.replica.url = replica_url
        assert await library.titles() == []  # it rests


@pytest.mark.parametrize("same", [True, False], ids=["the same URL", "no URL"])
async def test_without_a_replica_there_is_one_pool_and_nothing_in_the_way(database_url: str, *, same: bool) -> None:
    library = Library(database_url, database_url if same else "")
    assert library.store.replica is None
    assert library.store.pool.on_transaction is None
    assert type(library.dao.provider) is PostgresDaoProvider
