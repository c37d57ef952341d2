"""What COPY writes is what the same select answers: every filter, order and text of the contract, and nobody's SQL."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from pydantic import SecretStr

from coffee_core.domain.errors import UnavailableError
from coffee_core.domain.search import EVERYTHING, Condition, FilterType, Node, SearchQuery, path
from coffee_core.persistence.pool import Pool
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.rest.dao import Dao
from coffee_core.rest.dao_provider import Features
from coffee_core.rest.written_rows import WrittenRows, csv_of
from coffee_core.stores.postgres.copying import blocks_of
from coffee_core.stores.postgres.provider import PostgresDaoProvider
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.store_contract.bench import Bench
from coffee_core.testing.store_contract.documents import DocumentsContract
from coffee_core.testing.store_contract.filters import FiltersContract
from coffee_core.testing.store_contract.paging import PagingContract
from coffee_core.testing.store_contract.sample import Sample


class CopyBench(Bench):
    """A bench whose searches are made once more by COPY: both must find the same, in the same order."""

    async def codes(self, where: Node = EVERYTHING, **query: Any) -> list[str]:
        found = await super().codes(where, **query)
        if query.keys() <= {"sort_by", "descending", "text", "size"}:
            assert (await self.copied(where, **query))[: query.get("size", 50)] == found
        return found

    def written(self, where: Node = EVERYTHING, **query: Any) -> WrittenRows:
        written = csv_of(self.dao, SearchQuery(where=where, **query), self.dao.projection())
        assert written is not None
        return written

    async def copied(self, where: Node = EVERYTHING, **query: Any) -> list[str]:
        async with self.acting():
            written = self.written(where, **query)
            text = b"".join([block async for block in written.blocks]).decode()
        at = written.columns.index("code")
        return [row[at] for row in csv.reader(io.StringIO(text, newline=""))]


@pytest.fixture
def bench(postgres_store: PostgresStore) -> CopyBench:
    return CopyBench(postgres_store, Features())


class TestCopiedFilters(FiltersContract):
    """Each of them."""


class TestCopiedDocuments(DocumentsContract):
    """Each path and each kind."""


class TestCopiedOrder(PagingContract):
    """Each sort, each text."""


HOSTILE = (
    "$1",
    "'$1'",
    "$1' OR true --",
    "' || current_user || '",
    "{}",
    "%s",
    "\\'",
    '"',
    "\n",
    ":p0",
    "coffee_copy.p0",
)


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_text_or_a_name_that_looks_like_sql_is_a_text(bench: CopyBench, text: str) -> None:
    await bench.add("mine", title=text, info={text: text})
    await bench.of(bench.new_partner()).add("another", title=text, info={text: text})
    await bench.add("other", title="other", info={"other": "other"})
    assert await bench.codes(path(Sample.title).eq(text)) == ["mine"]
    assert await bench.codes(Condition(FilterType.EQ, "info", text, (text,))) == ["mine"]
    assert await bench.codes(Condition(FilterType.ARRAY_CONTAINS, "tags", [text])) == []
    assert await bench.copied(text=text) == await bench.codes(text=text)


async def test_a_condition_without_a_value_finds_nothing(bench: CopyBench) -> None:
    await bench.add("a", title=None)
    assert await bench.codes(Condition(FilterType.EQ, "title", None)) == []


async def test_another_partners_rows_are_not_copied(bench: CopyBench) -> None:
    await bench.add("mine")
    await bench.of(bench.new_partner()).add("another")
    assert await bench.copied() == ["mine"]


async def test_what_is_hidden_is_not_copied(bench: CopyBench) -> None:
    hidden = await bench.add("hidden")
    await bench.add("seen")
    await bench.remove(hidden.id)
    assert await bench.copied() == ["seen"]


async def test_it_is_one_snapshot(bench: CopyBench, database_url: str) -> None:
    store = PostgresStore(DatabaseSettings(url=SecretStr(database_url), stream_bytes=1))
    await store.open()
    reader = CopyBench(store, Features(), bench.partner)
    await bench.add_all([bench.values(f"{at:05}", title="x" * 200) for at in range(5000)])
    async with reader.acting():
        blocks = reader.written(sort_by="code").blocks
        first = await anext(blocks)
        await bench.add("99999-behind-the-first-block")
        rest = b"".join([block async for block in blocks])
    await store.close()
    assert (first + rest).count(b"\n") == 5000


async def test_a_copy_that_is_left_early_ends_on_the_server(bench: CopyBench, database_url: str) -> None:
    """And gives its turn back: only so many are allowed at a time."""
    store = PostgresStore(DatabaseSettings(url=SecretStr(database_url), stream_bytes=1, streams_max=1))
    await store.open()
    reader = CopyBench(store, Features(), bench.partner)
    await bench.add_all([bench.values(f"{at:05}", title="x" * 200) for at in range(5000)])
    for _ in range(3):
        async with reader.acting():
            blocks = reader.written().blocks
            assert await anext(blocks)
            await blocks.aclose()  # type: ignore[attr-defined]  # an async generator, typed as an iterator
    assert len(await reader.copied()) == 5000
    await store.close()


async def test_a_server_that_goes_away_in_the_middle_is_told_of(bench: CopyBench, database_url: str) -> None:
    store = PostgresStore(DatabaseSettings(url=SecretStr(database_url), stream_bytes=1))
    await store.open()
    reader = CopyBench(store, Features(), bench.partner)
    await bench.add_all([bench.values(f"{at:05}", title="x" * 2000) for at in range(5000)])
    pool: Pool = bench.store.pool  # type: ignore[attr-defined]  # it is a PostgresStore
    async with reader.acting():
        blocks = reader.written().blocks
        assert await anext(blocks)
        connection = await pool.take()
        ended = await connection.raw.fetchval(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'COPY %' AND pid <> pg_backend_pid()"
        )
        pool.give(connection)
        assert ended == 1
        with pytest.raises(UnavailableError):
            async for _ in blocks:
                pass
    await store.close()


class Source:
    """Answers COPY in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def copy_from_query(self, sql: str, *, output: Any, format: str) -> None:
        for piece in self.pieces:
            await output(piece)


@pytest.mark.parametrize(
    ("pieces", "blocks"),
    [
        pytest.param([b"a\n", b"b\n"], [b"a\n", b"b\n"], id="rows"),
        pytest.param([b"a", b"\nb\n"], [b"a\nb\n"], id="a row in two pieces"),
        pytest.param([b'"a\n', b'b"\n'], [b'"a\nb"\n'], id="a line break within quotes"),
        pytest.param([b'"a""\n', b'b"\n'], [b'"a""\nb"\n'], id="a quote within quotes"),
        pytest.param([], [], id="nothing"),
    ],
)
async def test_a_block_holds_whole_rows(pieces: list[bytes], blocks: list[bytes]) -> None:
    assert [block async for block in blocks_of(Source(*pieces), "", 1)] == blocks


class Counting(Dao[Sample, int]):
    """A Dao with a say in what is read."""

    async def stream(self, query: SearchQuery, projection: Any = None) -> Any:
        async for rows in super().stream(query, projection):
            yield rows


async def test_a_dao_that_streams_in_its_own_way_is_not_passed_by(bench: CopyBench) -> None:
    assert isinstance(bench.provider, PostgresDaoProvider)
    own = Counting(Sample, Sample.id, bench.provider)
    async with bench.acting():
        assert csv_of(own, SearchQuery(), own.projection()) is None
