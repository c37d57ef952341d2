"""What is declared to be searched, held against the indexes that are really there.

Only declarations are looked at: `Filterable()` (filters and sorts that callers are invited to), `Searchable()` (free
text), and `partner_id`, by which every statement on a tenant's rows is narrowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import ARRAY, JSON, Column, String, Table
from sqlalchemy.dialects import postgresql

from coffee_core.domain.entity import Entity
from coffee_core.domain.entry import Entry
from coffee_core.rest.fields import filterable_of, searchable_of

PARTNER = "partner_id"
LOOKED_INTO = ("gin", "gist", "brin", "bloom")
"""Methods whose keys are looked into in any order."""


class Index(NamedTuple):
    """`keys` as PostgreSQL writes them, quotes taken off; `collations` and `classes` (of operators) beside them."""

    method: str
    keys: tuple[str, ...]
    unique: bool = False
    predicate: str = ""
    collations: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def serves(self, column: Column[Any], table: Table) -> bool:
        """Whether a condition on the column can use it, and (for a single value) an order by it."""
        if not self._holds_all(table):
            return False
        if self.method in LOOKED_INTO:
            return any(re.search(rf"\b{re.escape(column.name)}\b", key) for key in self.keys)
        tenants = PARTNER in table.columns and column.name != PARTNER
        if self.unique and self.keys == (column.name,):
            return self._by_code_point(column, 0)
        at = 1 if tenants else 0
        begins = self.keys[:at] == (PARTNER,) if tenants else True
        return begins and self.keys[at : at + 1] == (column.name,) and self._by_code_point(column, at)

    def of_partners(self, table: Table) -> bool:
        """Whether one partner's rows lie together in it."""
        return self._holds_all(table) and self.method not in LOOKED_INTO and self.keys[0] == PARTNER

    def finds_words(self, column: str, table: Table) -> bool:
        """Whether free text in this column can use it."""
        return self._holds_all(table) and any(
            key == column and "trgm" in kind for key, kind in zip(self.keys, self.classes, strict=True)
        )

    def _holds_all(self, table: Table) -> bool:
        """All rows, or (where rows are hidden by `enabled`) those that are not: every search says which it wants."""
        return not self.predicate or (self.predicate == "enabled" and "enabled" in table.columns)

    def _by_code_point(self, column: Column[Any], at: int) -> bool:
        """Text is compared and sorted by code point in every statement: an index of another collation is not used."""
        if not isinstance(column.type, String) or column.type.collation is not None:
            return True
        return self.collations[at : at + 1] == ("C",)


def unindexed(
    resources: Iterable[tuple[type[Entry], type[Entity]]], indexes: Mapping[str, Sequence[Index]], *, trigrams: bool
) -> list[str]:
    """What is declared and served by no index. `trigrams`: whether the database can have indexes of free text."""
    found: dict[str, None] = {}
    for entry, entity in resources:
        table = cast("Table", entity.__table__)
        there = indexes.get(table.fullname, ())
        if PARTNER in table.columns and not any(one.of_partners(table) for one in there):
            index = _create(table, table.columns[PARTNER], *table.primary_key.columns)
            found[
                f"{table.fullname} holds rows of partners and no index of it begins with {PARTNER}: every search reads "
                f"the rows of all partners: add {index} to a migration"
            ] = None
        for name in filterable_of(entry):
            column = table.columns.get(name)
            if column is None or any(one.serves(column, table) for one in there):
                continue
            found[
                f"{entry.__name__}.{name} is Filterable() and no index of {table.fullname} serves it: add "
                f"{_index_for(column, table)} to a migration, or take the mark away"
            ] = None
        if trigrams and PARTNER not in table.columns:
            found |= dict.fromkeys(_free_text(entry, table, there))
    return list(found)


def _free_text(entry: type[Entry], table: Table, there: Sequence[Index]) -> Iterable[str]:
    """Free text among one partner's rows reads those; where rows belong to nobody it would read the whole table."""
    names = [name for name in searchable_of(entry) if name in table.columns]
    if len(names) == 1 and not any(one.finds_words(names[0], table) for one in there):
        index = _create(table, table.columns[names[0]], using="gin", operators=" gin_trgm_ops")
        yield (
            f"{entry.__name__}.{names[0]} is Searchable() and no index of {table.fullname} finds words in it: add "
            f"{index} to a migration (it needs pg_trgm)"
        )
    if len(names) > 1:
        yield (
            f"{entry.__name__} has {len(names)} Searchable() fields, and no index finds words in several columns of "
            f"{table.fullname}: keep their text in one column, and mark that one"
        )


def _index_for(column: Column[Any], table: Table) -> str:
    if isinstance(column.type, ARRAY | JSON):
        return _create(table, column, using="gin")
    before = [table.columns[PARTNER]] if PARTNER in table.columns else []
    return _create(table, *dict.fromkeys([*before, column, *table.primary_key.columns]), by_code_point=True)


def _create(table: Table, *keys: Column[Any], using: str = "", operators: str = "", by_code_point: bool = False) -> str:
    quoted = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    method = f"USING {using} " if using else ""
    texts = [
        quoted.quote(key.name) + (' COLLATE "C"' if by_code_point and isinstance(key.type, String) else "")
        for key in keys
    ]
    return f"CREATE INDEX ON {quoted.format_table(table)} {method}({', '.join(texts)}{operators})"
