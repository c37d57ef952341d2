"""How an Entity's table is kept in ClickHouse: declared beside its columns, turned into DDL for a migration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Table

from coffee_core.domain.entity import Entity
from coffee_core.stores.clickhouse.types import column_type, identifier

INFO = "clickhouse"
WRITTEN, DELETED = "_written", "_deleted"
"""Columns beside the Entity's own: when a row was written (nanoseconds), and whether that write deleted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickHouseTable:
    """`order_by` is how rows are sorted on disk and, with `replacing`, what makes two writes the same row.

    Append-only unless `replacing`: then a write of the same `order_by` values takes the place of the earlier one, and
    rows can be updated, upserted and deleted, the last writer winning. `partition_by` and `ttl` are ClickHouse
    expressions, written into the DDL as they are.
    """

    order_by: tuple[str, ...]
    replacing: bool = False
    partition_by: str = ""
    ttl: str = ""


def kept_in_clickhouse(kept: ClickHouseTable) -> dict[str, Any]:
    """For `__table_args__`: SQLAlchemy's own place for what others have to say about a table."""
    return {"info": {INFO: kept}}


def declaration_of(table: Table) -> ClickHouseTable:
    """What the Entity declares; append-only by primary key where it declares nothing."""
    declared = table.info.get(INFO)
    if isinstance(declared, ClickHouseTable):
        return declared
    return ClickHouseTable(order_by=tuple(column.name for column in table.primary_key.columns))


def table_name(table: Table) -> str:
    """`schema__name`: a module's tables share the one database that the URL names."""
    return f"{table.schema}__{table.name}" if table.schema else table.name


def create_table(entity: type[Entity]) -> str:
    """The CREATE TABLE statement of an Entity, to be pasted into a migration."""
    table = cast("Table", entity.__table__)
    kept = declaration_of(table)
    lines = [f"    {identifier(column.name)} {column_type(column)}" for column in table.columns]
    engine = "MergeTree"
    if kept.replacing:
        lines += [f"    {identifier(WRITTEN)} UInt64", f"    {identifier(DELETED)} UInt8 DEFAULT 0"]
        engine = f"ReplacingMergeTree({identifier(WRITTEN)}, {identifier(DELETED)})"
    tail = [f"ENGINE = {engine}"]
    if kept.partition_by:
        tail.append(f"PARTITION BY {kept.partition_by}")
    tail.append(f"ORDER BY ({', '.join(identifier(name) for name in kept.order_by)})")
    if kept.ttl:
        tail.append(f"TTL {kept.ttl}")
    columns = ",\n".join(lines)
    return f"CREATE TABLE {identifier(table_name(table))}\n(\n{columns}\n)\n" + "\n".join(tail)
