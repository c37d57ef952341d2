"""An export as Parquet: typed columns, bounded row groups, nothing that the plan locks, a sentence without pyarrow."""

from __future__ import annotations

import datetime as dt
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coffee_core.domain.errors import NotAcceptableError
from coffee_core.domain.plan import Plan
from coffee_core.rest.transfer.parquet import ParquetWriter
from tests.coffee_core.rest.transfer.rig import Caller
from tests.coffee_core.rest.transfer.test_export import NAMES, fill


def read(data: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(data))


async def test_columns_have_the_types_of_the_fields_and_rows_the_values(city: Caller) -> None:
    await fill(city)
    response, data = await city.call("GET", "/export?format=parquet&sortBy=population")
    assert response.content_type == b"application/vnd.apache.parquet"
    assert dict(response.headers)[b"content-disposition"].endswith(b'.parquet"')
    table = read(data)
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "id": "int64", "code": "string", "name": "string", "country": "string", "population": "int64",
        "growth": "double", "capital": "bool", "tags": "list<element: string>", "facts": "string",
        "foundedAt": "timestamp[us, tz=UTC]", "mayorEmail": "string", "createdAt": "timestamp[us, tz=UTC]",
    }  # fmt: skip
    rows = table.to_pylist()
    assert [row["name"] for row in rows] == NAMES, "no quote before what a spreadsheet would run: this is none"
    first = rows[0]
    assert (first["country"], first["growth"], first["tags"]) == (None, -1.5, ["a", "b,c"])
    assert first["facts"].replace(" ", "") == '{"x":[1,null]}'
    assert first["foundedAt"] == dt.datetime(1999, 12, 31, 23, 59, 59, 500_000, tzinfo=dt.UTC)


async def test_columns_that_the_plan_locks_are_left_out(city: Caller) -> None:
    await fill(city)
    _, data = await city.call("GET", "/export?format=parquet", partner=5, plan=Plan.FREE)
    assert "mayorEmail" not in read(data).schema.names
    assert b"m@example.com" not in data


async def test_a_search_is_exported_with_its_fields_in_their_order(city: Caller) -> None:
    await fill(city)
    body = b'{"filters": [{"filterType": "LT", "field": "population", "value": 2}]}'
    _, data = await city.call(
        "POST", "/export?format=parquet&fields=population,code&sortBy=population&sortDir=DESC", body
    )
    assert read(data).to_pylist() == [{"population": 1, "code": "c1"}, {"population": 0, "code": "c0"}]


async def test_an_export_of_nothing_is_a_file_all_the_same(city: Caller) -> None:
    _, data = await city.call("GET", "/export?format=parquet")
    assert (read(data).num_rows, "code" in read(data).schema.names) == (0, True)


async def test_memory_is_bounded_by_the_row_group(city: Caller) -> None:
    """Batches go out as soon as a group is full: of ten thousand rows never more than one group is held."""
    fields = [city.api.manager.fields[name] for name in ("id", "name")]
    read_rows, held = 0, []

    async def batches():  # type: ignore[no-untyped-def]  # an async generator of rows
        nonlocal read_rows
        for start in range(0, 10_000, 100):
            read_rows += 100
            yield [(start + at, "x" * 50) for at in range(100)]

    data, written = b"", 0
    async for block in ParquetWriter(fields, 500).write(batches()):
        data += block
        written += bool(block)
        held.append(read_rows)
    assert held[:3] == [500, 1000, 1500], "a block leaves with each group"
    assert pq.ParquetFile(pa.BufferReader(data)).num_row_groups == 20
    assert read(data).num_rows == 10_000


async def test_a_server_without_pyarrow_says_what_is_missing(city: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NotAcceptableError, match=r"coffee-core\[parquet\]"):
        await city.call("GET", "/export?format=parquet")
