"""An export holds everything that matches and the plan includes, and what it writes can be imported again."""

import csv
import io

import orjson
import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import InputError, PlanError
from coffee_core.domain.plan import Plan
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.wire.message import BufferedBody, Request
from tests.coffee_core.rest.transfer.rig import Caller

NAMES = [
    "=1+1",
    "'=1+1",
    "+91 98",
    "-x",
    "@home",
    "plain",
    "a,b",
    'say "x"',
    "two\nlines",
    "O'Hara",
    "\ttab",
    "é ✓",
    "'",
]


async def fill(city: Caller) -> None:
    records = [
        {"code": f"c{n}", "name": name, "population": n, "growth": -1.5, "tags": ["a", "b,c"],
         "facts": {"x": [1, None]}, "capital": n == 1, "foundedAt": "1999-12-31T23:59:59.5Z",
         "mayorEmail": "m@example.com"}
        for n, name in enumerate(NAMES)
    ]  # fmt: skip
    await city.bulk({"create": records})


async def test_what_is_exported_can_be_imported_and_is_the_same(city: Caller) -> None:
    await fill(city)
    for format in ("csv", "ndjson"):
        data = await city.export(f"?format={format}")
        answer = await city.load(data.encode(), f"?format={format}")
        assert (answer["unchanged"], answer["rows"]) == (len(NAMES), len(NAMES)), format


async def test_no_cell_is_a_formula(city: Caller) -> None:
    await fill(city)
    rows = list(csv.DictReader(io.StringIO(await city.export(), newline="")))
    assert len(rows) == len(NAMES)
    assert not [row["name"] for row in rows if row["name"][0] in "=+-@\t\r"]
    assert {row["growth"] for row in rows} == {"-1.5"}


async def test_the_columns_that_the_plan_locks_are_left_out(city: Caller) -> None:
    await fill(city)
    assert "mayorEmail" in await city.export(plan=Plan.SAAS)
    for format in ("csv", "ndjson"):
        data = await city.export(f"?format={format}", partner=5, plan=Plan.FREE)
        assert "mayorEmail" not in data
        assert "m@example.com" not in data
    with pytest.raises(PlanError):
        await city.export("?fields=code,mayorEmail", partner=5, plan=Plan.FREE)
    with pytest.raises(PlanError):
        await city.export("?sortBy=mayorEmail", partner=5, plan=Plan.FREE)


async def test_fields_and_order_are_the_callers(city: Caller) -> None:
    await fill(city)
    lines = (await city.export("?fields=population,code&sortBy=population&sortDir=DESC")).splitlines()
    assert lines[:2] == ["population,code", f"{len(NAMES) - 1},c{len(NAMES) - 1}"]
    assert len(lines) == len(NAMES) + 1


async def test_a_search_can_be_exported(city: Caller) -> None:
    await fill(city)
    body = orjson.dumps({"filters": [{"filterType": "LT", "field": "population", "value": 3}]})
    _, data = await city.call("POST", "/export?format=ndjson&fields=code", body)
    assert [orjson.loads(line) for line in data.splitlines()] == [{"code": "c0"}, {"code": "c1"}, {"code": "c2"}]


async def test_the_answer_is_a_file(city: Caller) -> None:
    response, body = await city.call("GET", "/export")
    headers = dict(response.headers)
    assert response.content_type == b"text/csv; charset=utf-8; header=present"
    assert headers[b"content-disposition"].startswith(b'attachment; filename="city-20')
    assert body.startswith(b"id,code,name,")
    assert body.count(b"\r\n") == 1


async def test_an_unknown_parameter_is_refused_before_the_first_byte(city: Caller) -> None:
    with pytest.raises(InputError, match="format"):
        await city.export("?format=xlsx")
    with pytest.raises(InputError, match="sortBy"):
        await city.export("?sortBy=nothing")


async def test_a_write_in_the_middle_is_not_seen(city: Caller) -> None:
    """One snapshot: what changes while the export is read is not half in it."""
    await fill(city)
    route = next(r for r in city.api.routes() if r.name == "city_export")
    async with acting_as(RequestContext(request_id="t", partner_id=0, plan=Plan.PAID)):
        response = await route.handler(Request("GET", "/export", b"format=ndjson&fields=name", {}, BufferedBody()))
    assert response.stream is not None
    await city.bulk({"upsert": [{"code": f"c{n}", "name": "changed"} for n in range(len(NAMES))]})
    data = b"".join([chunk async for chunk in response.stream])
    assert sorted(orjson.loads(line)["name"] for line in data.splitlines()) == sorted(NAMES)
