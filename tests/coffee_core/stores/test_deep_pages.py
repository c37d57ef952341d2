"""A page by cursor is found by an index, however deep it lies and whichever way it is read."""

from __future__ import annotations

import pytest
from sqlalchemy import Table

from coffee_core.domain.search import FilterType
from coffee_core.rest.dao_provider import ConditionShape, FlagShape, GroupShape, SelectShape
from coffee_core.stores.postgres.compiler import Compiler
from tests.coffee_core.rest.sample import TABLE, BookEntity, connection

MINE = GroupShape("and", (ConditionShape(FilterType.EQ, "partner_id"), FlagShape("enabled")))
INDEX = "CREATE INDEX ON shelf.book (partner_id, pages, id) WHERE enabled"
ONLY_INDEXES = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"


@pytest.mark.parametrize("backwards", [False, True], ids=["onwards", "backwards"])
@pytest.mark.parametrize(
    ("after", "values", "place"),
    [
        ("value", (7, 100, 5, 20), "(ROW(pages, id) {} ROW('100'::bigint, '5'::bigint))"),
        ("null", (7, 5, 20), "(pages IS NULL) AND (id {} '5'::bigint)"),
    ],
)
async def test_an_index_leads_to_the_place(
    database_url: str, after: str, values: tuple[int, ...], place: str, backwards: bool
) -> None:
    table = BookEntity.__table__
    assert isinstance(table, Table)
    shape = SelectShape(("id", "title"), MINE, ("pages", False), after, backwards=backwards)  # type: ignore[arg-type]  # one of the literals
    compiled = Compiler(table, "id").compile(shape)
    async with connection(database_url) as raw:
        await raw.execute(TABLE)
        transaction = raw.transaction()
        await transaction.start()
        await raw.execute(f"{INDEX}; {ONLY_INDEXES}")
        lines = [line for (line,) in await raw.fetch(f"EXPLAIN (COSTS off) {compiled.sql}", *values)]
        await transaction.rollback()
    assert [line for line in lines if "Sort Key" not in line and "Filter" in line] == [], lines
    assert any("Index Cond" in line and place.format("<=" if backwards else ">") in line for line in lines), lines
