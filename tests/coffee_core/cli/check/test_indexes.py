"""What is declared to be searched, held against the indexes that are really there."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from sqlalchemy import ARRAY, BigInteger, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.cli.check.indexes import unindexed
from coffee_core.cli.check.tables import read_catalog
from coffee_core.domain.entity import Entity, Identified, SoftDeleted, Tenanted
from coffee_core.domain.entry import Entry, Filterable, Searchable
from tests.coffee_core.rest.sample import connection

TABLES = """
DROP SCHEMA IF EXISTS indexed CASCADE;
CREATE SCHEMA indexed;
CREATE TABLE indexed.hat (
  id bigint PRIMARY KEY, partner_id bigint NOT NULL, enabled boolean NOT NULL, "order" text, code text, rank bigint,
  tags text[], audience jsonb
);
CREATE TABLE indexed.coat (id bigint PRIMARY KEY, title text COLLATE "C", rank bigint, tags text[], about text);
"""
BY_PARTNER = "CREATE INDEX ON indexed.hat (partner_id, id)"


class IndexedEntity(Entity):
    __abstract__ = True
    metadata = MetaData(schema="indexed")


class HatEntity(Identified, Tenanted, SoftDeleted, IndexedEntity):
    """A tenant's."""

    __tablename__ = "hat"

    order: Mapped[str | None] = mapped_column(Text)
    code: Mapped[str | None] = mapped_column(Text)
    rank: Mapped[int | None] = mapped_column(BigInteger)
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    audience: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class CoatEntity(Identified, IndexedEntity):
    """Nobody's."""

    __tablename__ = "coat"

    title: Mapped[str | None] = mapped_column(Text)
    rank: Mapped[int | None] = mapped_column(BigInteger)
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    about: Mapped[str | None] = mapped_column(Text)


class OrderEntry(Entry):
    order: Annotated[str | None, Filterable()] = None


class CodeEntry(Entry):
    code: Annotated[str | None, Filterable()] = None


class RankEntry(Entry):
    rank: Annotated[int | None, Filterable()] = None


class TagsEntry(Entry):
    tags: Annotated[list[str] | None, Filterable()] = None


class AudienceEntry(Entry):
    audience: Annotated[dict[str, Any] | None, Filterable()] = None


class WordsEntry(Entry):
    title: Annotated[str | None, Searchable()] = None


class ManyWordsEntry(WordsEntry):
    about: Annotated[str | None, Searchable()] = None


async def found(url: str, entry: type[Entry], entity: type[Entity], *indexes: str) -> list[str]:
    async with connection(url) as raw:
        await raw.execute(TABLES)
        for index in indexes:
            await raw.execute(index)
    catalog = await read_catalog(url, ["indexed"])
    assert catalog.trigrams
    return unindexed([(entry, entity), (entry, entity)], catalog.indexes, trigrams=True)


@pytest.mark.parametrize(
    ("entry", "entity", "index"),
    [
        (RankEntry, HatEntity, "(partner_id, rank, id)"),
        (RankEntry, HatEntity, "(partner_id, rank DESC NULLS LAST) WHERE enabled"),
        (OrderEntry, HatEntity, '(partner_id, "order" COLLATE "C")'),
        (TagsEntry, HatEntity, "USING gin (tags)"),
        (AudienceEntry, HatEntity, "USING gin ((audience -> 'age'))"),
        (RankEntry, CoatEntity, "(rank, id)"),
    ],
)
async def test_an_index_in_the_order_of_its_searches_serves_them(
    database_url: str, entry: type[Entry], entity: type[Entity], index: str
) -> None:
    table = entity.__table__.fullname  # type: ignore[attr-defined]  # a mapped class has a Table
    assert await found(database_url, entry, entity, BY_PARTNER, f"CREATE INDEX ON {table} {index}") == []


async def test_a_unique_column_needs_no_partner_before_it(database_url: str) -> None:
    unique = 'CREATE UNIQUE INDEX ON indexed.hat (code COLLATE "C")'
    assert await found(database_url, CodeEntry, HatEntity, BY_PARTNER, unique) == []


@pytest.mark.parametrize(
    ("entry", "entity", "index", "wanted"),
    [
        (RankEntry, HatEntity, "(rank, id)", "(partner_id, rank, id)"),
        (RankEntry, HatEntity, "(partner_id, code, rank)", "(partner_id, rank, id)"),
        (RankEntry, HatEntity, "(partner_id, rank) WHERE code IS NULL", "(partner_id, rank, id)"),
        (OrderEntry, HatEntity, '(partner_id, "order")', '(partner_id, "order" COLLATE "C", id)'),
        (TagsEntry, HatEntity, "(partner_id, rank)", "USING gin (tags)"),
        (RankEntry, CoatEntity, "(title, rank)", "(rank, id)"),
    ],
)
async def test_one_that_searches_cannot_use_is_told_with_the_one_they_need(
    database_url: str, entry: type[Entry], entity: type[Entity], index: str, wanted: str
) -> None:
    table = entity.__table__.fullname  # type: ignore[attr-defined]  # a mapped class has a Table
    (sentence,) = await found(database_url, entry, entity, BY_PARTNER, f"CREATE INDEX ON {table} {index}")
    (field,) = entry.model_fields
    assert sentence.startswith(f"{entry.__name__}.{field} is Filterable() and no index of {table} serves it")
    assert f"CREATE INDEX ON {table} {wanted} to a migration" in sentence


async def test_rows_of_partners_lie_together(database_url: str) -> None:
    (sentence,) = await found(database_url, WordsEntry, HatEntity, "CREATE INDEX ON indexed.hat (id, partner_id)")
    assert sentence.startswith("indexed.hat holds rows of partners and no index of it begins with partner_id")
    assert "CREATE INDEX ON indexed.hat (partner_id, id)" in sentence


async def test_free_text_in_rows_of_nobody_has_an_index_of_its_words(database_url: str) -> None:
    words = "CREATE INDEX ON indexed.coat USING gin (title gin_trgm_ops)"
    extension = "CREATE EXTENSION IF NOT EXISTS pg_trgm"
    assert await found(database_url, WordsEntry, CoatEntity, extension, words) == []
    (sentence,) = await found(database_url, WordsEntry, CoatEntity, "CREATE INDEX ON indexed.coat (title)")
    assert sentence.startswith("WordsEntry.title is Searchable() and no index of indexed.coat finds words in it")
    (sentence,) = await found(database_url, ManyWordsEntry, CoatEntity, extension, words)
    assert "keep their text in one column" in sentence
