"""The tables that migrations really make: their columns, held against the Entities, and their indexes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

import asyncpg
from sqlalchemy import Table

from coffee_core.cli.check.indexes import Index
from coffee_core.domain.entity import Entity
from coffee_core.domain.entry import Entry

_COLUMNS = """
SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns WHERE table_schema = ANY ($1)
"""
_INDEXES = """
SELECT n.nspname || '.' || c.relname, am.amname,
       ARRAY(SELECT pg_get_indexdef(i.indexrelid, at::int, true) FROM generate_series(1, i.indnkeyatts) AS at),
       i.indisunique, coalesce(pg_get_expr(i.indpred, i.indrelid), ''),
       ARRAY(SELECT coalesce(co.collname, '') FROM unnest(i.indcollation::oid[]) WITH ORDINALITY AS k(id, at)
             LEFT JOIN pg_collation co ON co.oid = k.id ORDER BY k.at),
       ARRAY(SELECT op.opcname FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS k(id, at)
             JOIN pg_opclass op ON op.oid = k.id ORDER BY k.at)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am am ON am.oid = x.relam
WHERE i.indisvalid AND n.nspname = ANY ($1)
"""


class Catalog(NamedTuple):
    """Of some schemas: the columns and the indexes of each table, by `schema.table`."""

    columns: Mapping[str, frozenset[str]]
    indexes: Mapping[str, Sequence[Index]]
    trigrams: bool
    """Whether the server has pg_trgm, which indexes of free text are made of."""


async def read_catalog(url: str, schemas: Sequence[str]) -> Catalog:
    """What is there now."""
    connection = await asyncpg.connect(url)
    try:
        columns: dict[str, set[str]] = {}
        for table, column in await connection.fetch(_COLUMNS, list(schemas)):
            columns.setdefault(table, set()).add(column)
        indexes: dict[str, list[Index]] = {}
        for table, method, keys, unique, predicate, collations, classes in await connection.fetch(
            _INDEXES, list(schemas)
        ):
            plain = tuple(key.strip('"') for key in keys)
            index = Index(method, plain, unique, predicate, tuple(collations), tuple(classes))
            indexes.setdefault(table, []).append(index)
        trigrams = bool(await connection.fetchval("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'"))
    finally:
        await connection.close()
    return Catalog({name: frozenset(found) for name, found in columns.items()}, indexes, trigrams)


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
