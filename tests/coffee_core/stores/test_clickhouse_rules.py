"""What ClickHouse cannot do is refused in a sentence; what it is asked is bounded."""

import asyncio
import secrets

import pytest
from pydantic import SecretStr
from sqlalchemy import ARRAY, BigInteger, MetaData, Text
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.context import RequestContext
from coffee_core.domain.entity import Entity, Identified, Tenanted, Versioned
from coffee_core.domain.errors import DeadlineError, InputError, RuleError, UnavailableError
from coffee_core.domain.search import SearchQuery
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.dao import Dao
from coffee_core.rest.dao_provider import CountShape, FlagShape, GroupShape, SelectShape
from coffee_core.stores.clickhouse.ids import Ids
from coffee_core.stores.clickhouse.settings import ClickHouseSettings
from coffee_core.stores.clickhouse.store import ClickHouseStore
from coffee_core.stores.clickhouse.table import ClickHouseTable, create_table, kept_in_clickhouse
from coffee_core.testing.dao_provider import Sample


class _Reported(Entity):
    __abstract__ = True
    metadata = MetaData(schema="report")


class View(Identified, Tenanted, Versioned, _Reported):
    """Append-only: declares nothing."""

    __tablename__ = "view"
    at: Mapped[int] = mapped_column(BigInteger)


class Count(Tenanted, _Reported):
    """Everything that a declaration can say."""

    __tablename__ = "count"
    __table_args__ = kept_in_clickhouse(
        ClickHouseTable(order_by=("partner_id", "id"), replacing=True, partition_by="id % 4", ttl="at + INTERVAL 1 DAY")
    )
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[int | None]


class Broken(Identified, _Reported):
    __tablename__ = "broken"
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))


def acting(partner: int | None = None, **facts: float) -> object:
    partner_id = secrets.randbelow(1 << 40) if partner is None else partner
    return acting_as(RequestContext(request_id="test", partner_id=partner_id, **facts))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
async def views(clickhouse_store: ClickHouseStore) -> Dao[View, int]:
    await clickhouse_store.connection.command(create_table(View))
    return Dao(View, View.id, clickhouse_store.provider(View, View.id))


async def test_an_append_only_table_takes_new_rows_and_refuses_changes(views: Dao[View, int]) -> None:
    async with acting():
        (view,) = views.entities(await views.insert({"at": 1}))
        await views.upsert([{"at": 2}, {"at": 3}], ())
        assert [one.at for one in await views.all_entities()] == [1, 2, 3]
        with pytest.raises(RuleError, match="report__view only takes new rows"):
            await views.update(view.id, {"at": 9})
        with pytest.raises(RuleError, match="only takes new rows"):
            await views.delete(view.id)
        with pytest.raises(RuleError, match="only takes new rows"):
            await views.upsert([{"at": 2}], ("at",))
        with pytest.raises(RuleError, match="locks no rows"):
            await views.get(view.id, for_update=True)
        assert await views.count(SearchQuery()) == 3


async def test_what_rows_are_kept_by_cannot_change(clickhouse_store: ClickHouseStore) -> None:
    dao = Dao(Sample, Sample.id, clickhouse_store.provider(Sample, Sample.id))
    async with acting():
        with pytest.raises(RuleError, match="partner_id of coffee_contract__sample cannot change"):
            await dao.update(1, {"partner_id": 7})


async def test_an_unconfigured_store_says_so_and_stops_nothing_else() -> None:
    store = ClickHouseStore(ClickHouseSettings(url=SecretStr("")))
    await store.open()
    assert await store.check() == "no ClickHouse is configured: set COFFEE_CLICKHOUSE_URL"
    dao = Dao(View, View.id, store.provider(View, View.id))
    async with acting():
        with pytest.raises(UnavailableError, match="set COFFEE_CLICKHOUSE_URL"):
            await dao.all_entities()
    await store.close()


async def test_a_store_is_ready_when_it_answers(clickhouse_store: ClickHouseStore) -> None:
    assert await clickhouse_store.check() is None
    lost = ClickHouseStore(ClickHouseSettings(url=SecretStr("http://nobody:secret@127.0.0.1:1/nowhere")))
    assert await lost.check() == "ClickHouse does not answer"


async def test_an_answer_is_bounded_and_an_export_is_not(clickhouse_url: str, views: Dao[View, int]) -> None:
    store = ClickHouseStore(ClickHouseSettings(url=SecretStr(clickhouse_url), rows_max=10, stream_batch=7))
    dao = Dao(View, View.id, store.provider(View, View.id))
    async with acting():
        await dao.upsert([{"at": at} for at in range(30)], ())
        with pytest.raises(InputError, match="too many rows"):
            await dao.all_entities()
        assert [len(rows.rows) async for rows in dao.stream(SearchQuery(sort_by="at"))] == [7, 7, 7, 7, 2]
    await store.close()


async def test_a_statement_ends_with_the_requests_time(clickhouse_store: ClickHouseStore) -> None:
    now = asyncio.get_running_loop().time()
    async with acting(deadline=now + 0.3):
        with pytest.raises(DeadlineError):
            await clickhouse_store.connection.query("SELECT count() FROM numbers(1000000000000)", {})
    async with acting(deadline=now):
        with pytest.raises(DeadlineError, match="over before ClickHouse was asked"):
            await clickhouse_store.connection.query("SELECT 1", {})


async def test_who_comes_when_all_turns_are_taken_waits_or_is_refused(clickhouse_url: str) -> None:
    store = ClickHouseStore(
        ClickHouseSettings(url=SecretStr(clickhouse_url), connections_max=1, waiters_max=1, wait_seconds=0.05)
    )
    async with store.connection.turn():
        waiting = asyncio.create_task(store.connection.query("SELECT 1", {}))
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="too many requests wait"):
            await store.connection.query("SELECT 1", {})
        with pytest.raises(UnavailableError, match="no room in time"):
            await waiting
    assert list(await store.connection.query("SELECT 1", {})) == [(1,)]
    await store.close()


async def test_an_error_of_ours_stays_an_error_of_ours(clickhouse_store: ClickHouseStore) -> None:
    with pytest.raises(Exception, match="UNKNOWN_IDENTIFIER"):
        await clickhouse_store.connection.query("SELECT nowhere", {})


def test_a_declaration_becomes_ddl() -> None:
    assert create_table(Count) == (
        "CREATE TABLE `report__count`\n(\n    `id` Int64,\n    `at` Nullable(Int32),\n    `partner_id` Int64,\n"
        "    `_written` UInt64,\n    `_deleted` UInt8 DEFAULT 0\n)\n"
        "ENGINE = ReplacingMergeTree(`_written`, `_deleted`)\nPARTITION BY id % 4\nORDER BY (`partner_id`, `id`)\n"
        "TTL at + INTERVAL 1 DAY"
    )
    assert create_table(View).endswith("ENGINE = MergeTree\nORDER BY (`id`)")


def test_a_null_array_is_refused_before_a_table_is_made() -> None:
    with pytest.raises(TypeError, match="no NULL arrays"):
        create_table(Broken)


def test_no_value_is_part_of_the_sql() -> None:
    provider = ClickHouseStore(ClickHouseSettings(url=SecretStr(""))).provider(View, View.id)
    plan = provider.plan(SelectShape(("id",), FlagShape("at", value=False), ("at", True), "value"))
    assert plan.query is not None
    assert [parameter.name for parameter in plan.query.binds.parameters] == ["p0", "p1", "p2"]
    assert plan.query.sql.endswith("ORDER BY `at` DESC NULLS LAST, `id` DESC LIMIT {p2:UInt64}")
    assert provider.plan(CountShape(GroupShape("and", ()))).columns == ("count",)


def test_ids_ascend_even_if_the_clock_does_not() -> None:
    clock = iter([1_700_000_000.0, 1_700_000_000.0, 1_600_000_000.0, 1_700_000_001.0])
    ids = Ids(lambda: next(clock))
    made = [ids.next_id() for _ in range(4)]
    assert made == sorted(set(made))
    assert made[-1] < 1 << 63
