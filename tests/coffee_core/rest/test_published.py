"""Rows that one module lets another read: its own names, nothing hidden, nothing written."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import BigInteger, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.aggregation import Aggregation, count, group, total
from coffee_core.domain.context import RequestContext
from coffee_core.domain.entity import Entity, Identified, SoftDeleted, Tenanted
from coffee_core.domain.errors import InputError, RuleError
from coffee_core.domain.search import Condition, FilterType, SearchQuery, all_of, none_of, path
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.dao import Dao
from coffee_core.rest.published import Published
from coffee_core.stores.memory.store import MemoryStore


class PlantEntity(Identified, SoftDeleted, Entity):
    __tablename__ = "plant"
    metadata = MetaData(schema="published_garden")

    label: Mapped[str] = mapped_column(Text)
    height: Mapped[int | None] = mapped_column(BigInteger)
    facts: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    secret: Mapped[str] = mapped_column(Text)


class GreenEntity(Identified, Entity):
    __tablename__ = "green"
    metadata = MetaData(schema="published_kitchen")

    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int | None] = mapped_column(BigInteger)
    facts: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    taste: Mapped[str | None] = mapped_column(Text)


class Stranger(Identified, Entity):
    __tablename__ = "stranger"
    metadata = MetaData(schema="published_kitchen")

    secret: Mapped[str] = mapped_column(Text)


NAMES = {"id": "id", "name": "label", "size": "height", "facts": "facts"}


@pytest.fixture
async def greens() -> AsyncIterator[Dao[GreenEntity, int]]:
    plants = Dao(PlantEntity, PlantEntity.id, MemoryStore().provider(PlantEntity, PlantEntity.id))
    published = Published(plants.provider, NAMES, fixed={"kind": "PLANT", "taste": None}, enabled=True)
    async with acting_as(RequestContext(request_id="t", partner_id=1)):
        for label, height in (("mint", 20), ("Basil", 30), ("sage", None), ("gone", 99)):
            row = {"label": label, "height": height, "facts": {"leaf": {"a b": height or 0}}, "secret": "s"}
            await plants.insert({**row, "enabled": label != "gone"})
        yield Dao(GreenEntity, GreenEntity.id, published.provider(GreenEntity, GreenEntity.id), searchable=("name",))


async def test_rows_have_the_readers_names_and_what_the_owner_says_of_all(greens: Dao[GreenEntity, int]) -> None:
    found = greens.entities(await greens.search(SearchQuery(sort_by="size", descending=True)))
    assert [(one.kind, one.name, one.size, one.taste) for one in found] == [
        ("PLANT", "Basil", 30, None), ("PLANT", "mint", 20, None), ("PLANT", "sage", None, None),
    ]  # fmt: skip
    assert found[0].facts == {"leaf": {"a b": 30}}
    assert found[0].id == (await greens.get(found[0].id)).rows[0][greens.projection().id_at]


async def test_filters_text_pages_counts_and_numbers_are_made_by_the_owners_store(
    greens: Dao[GreenEntity, int],
) -> None:
    tall = all_of(path(GreenEntity.size).gte(20), none_of(path(GreenEntity.name).eq("mint")))
    assert await greens.count(SearchQuery(where=tall)) == 1
    deep = Condition(FilterType.GT, "facts", 20, ("leaf", "a b"))
    assert [one.name for one in greens.entities(await greens.search(SearchQuery(where=deep)))] == ["Basil"]
    assert await greens.count(SearchQuery(text="MIN")) == 1
    second = greens.entities(await greens.search(SearchQuery(sort_by="name", size=2, page=2)))
    assert [one.name for one in second] == ["sage"]
    assert await greens.aggregate(Aggregation(measures=(count(), total(GreenEntity.size)))) == [(3, 50)]
    by_name = Aggregation(by=(group(GreenEntity.name),), measures=(count(),), order=0, descending=True, size=1)
    assert await greens.aggregate(by_name) == [("sage", 1)]
    assert [row[0] async for rows in greens.stream(SearchQuery()) for row in rows.rows] == ["PLANT"] * 3


async def test_a_row_that_the_owner_has_deleted_is_not_there(greens: Dao[GreenEntity, int]) -> None:
    assert await greens.count(SearchQuery(where=path(GreenEntity.name).eq("gone"))) == 0
    assert (await greens.get(4)).rows == []


async def test_nothing_is_found_by_what_these_rows_do_not_know(greens: Dao[GreenEntity, int]) -> None:
    for query in (
        SearchQuery(where=path(GreenEntity.taste).is_null()),
        SearchQuery(where=path(GreenEntity.kind).eq("PLANT")),
        SearchQuery(sort_by="taste"),
    ):
        with pytest.raises(InputError, match="not kept here"):
            await greens.search(query)
    with pytest.raises(InputError, match="not kept here"):
        await greens.aggregate(Aggregation(by=(group(GreenEntity.taste),), measures=(count(),)))


async def test_nothing_is_written_or_locked(greens: Dao[GreenEntity, int]) -> None:
    with pytest.raises(RuleError, match="owner"):
        await greens.insert({"name": "x"})
    with pytest.raises(RuleError, match="owner"):
        await greens.update(1, {"name": "x"})
    with pytest.raises(RuleError, match="owner"):
        await greens.delete(1)
    with pytest.raises(RuleError, match="owner"):
        await greens.upsert([{"name": "x"}], ())
    with pytest.raises(RuleError, match="locked"):
        await greens.get(1, for_update=True)


class TenderEntity(Identified, Tenanted, Entity):
    __tablename__ = "tender"
    metadata = MetaData(schema="published_garden")

    label: Mapped[str] = mapped_column(Text)


def test_rows_of_partners_are_not_published_without_saying_whose_they_are() -> None:
    """The reader's Dao would not know that there is a partner to ask for."""
    published = Published(MemoryStore().provider(TenderEntity, TenderEntity.id), {"id": "id", "secret": "label"})
    with pytest.raises(TypeError, match="partner_id"):
        published.provider(Stranger, Stranger.id)


def test_a_reader_of_what_is_not_published_is_refused_at_the_start() -> None:
    published = Published(MemoryStore().provider(PlantEntity, PlantEntity.id), NAMES)
    with pytest.raises(TypeError, match="secret"):
        published.provider(Stranger, Stranger.id)
