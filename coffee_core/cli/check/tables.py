"""The tables that migrations really make, held against the Entities: columns that are missing, indexes that are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

import asyncpg
from sqlalchemy import Table

from coffee_core.domain.entity import Entity
from coffee_core.domain.entry import Entry
from coffee_core.rest.fields import filterable_of

_COLUMNS = """
SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns WHERE table_schema = ANY ($1)
"""
_INDEXES = """
SELECT n.nspname || '.' || c.relname, am.amname, pg_get_indexdef(i.indexrelid),
       ARRAY(SELECT pg_get_indexdef(i.indexrelid, place, true) FROM generate_series(1, i.indnkeyatts) AS place)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am am ON am.oid = x.relam
WHERE i.indisvalid AND n.nspname = ANY ($1)
"""
_FIRST = ("partner_id",)
"""Columns that every statement names: an index may begin with them."""


class Index(NamedTuple):
    """`keys` as PostgreSQL writes them, quotes taken off."""

    method: str
    keys: tuple[str, ...]

    def serves(self, column: str) -> bool:
        """Whether a condition on the column, or an order by it, can use it."""
        if self.method in ("gin", "gist", "brin", "bloom"):
            return any(re.search(rf"\b{re.escape(column)}\b", key) for key in self.keys)
        keys = [key for key in self.keys if key not in _FIRST]
        return bool(keys) and keys[0] == column


class Catalog(NamedTuple):
    """Of some schemas: the columns and the indexes of each table, by `schema.table`."""

    columns: Mapping[str, frozenset[str]]
    indexes: Mapping[str, Sequence[Index]]


async def read_catalog(url: str, schemas: Sequence[str]) -> Catalog:
    """What is there now."""
    connection = await asyncpg.connect(url)
    try:
        columns: dict[str, set[str]] = {}
        for table, column in await connection.fetch(_COLUMNS, list(schemas)):
            columns.setdefault(table, set()).add(column)
        indexes: dict[str, list[Index]] = {}
        for table, method, _, keys in await connection.fetch(_INDEXES, list(schemas)):
            plain = tuple(key.strip('"').partition(" COLLATE")[0] for key in keys)
            indexes.setdefault(table, []).append(Index(method, plain))
    finally:
        await connection.close()
    return Catalog({name: frozenset(found) for name, found in columns.items()}, indexes)


def drift(resources: Iterable[tuple[type[Entry], type[Entity]]], catalog: Catalog) -> list[str]:
    """Tables and columns that an Entity maps and no migration makes."""
    found: dict[str, None] = {}
    for _, entity in resources:
        table = cast("Table", entity.__table__)
        there = catalog.columns.get(table.fullname)
        if there is None:
            found[f"{table.fullname} is mapped by {entity.__name__} and made by no migration: write one"] = None
            continue
        for column in table.columns:
            if column.name not in there:
                found[
                    f"{table.fullname} has no column {column.name}, which {entity.__name__} maps: write a migration "
                    "that adds it"
                ] = None
    return list(found)


def unindexed(resources: Iterable[tuple[type[Entry], type[Entity]]], catalog: Catalog) -> list[str]:
    """Fields that are declared `Filterable` and served by no index."""
    found: dict[str, None] = {}
    for entry, entity in resources:
        table = cast("Table", entity.__table__)
        for name in filterable_of(entry):
            if name not in table.columns or any(one.serves(name) for one in catalog.indexes.get(table.fullname, ())):
                continue
            key = ", ".join(column for column in ("partner_id", name, "id") if column in table.columns)
            found[
                f"{entry.__name__}.{name} is Filterable() and no index of {table.fullname} serves it: add CREATE INDEX "
                f"ON {table.fullname} ({key}) to a migration, or take the mark away"
            ] = None
    return list(found)
