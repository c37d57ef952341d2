"""An import stores every record or says why not, changes nothing the second time, and never stores half."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import (
    ForbiddenError,
    InputError,
    MediaTypeError,
    PlanError,
    TooLargeError,
)
from coffee_core.domain.plan import Plan
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.wire.message import BufferedBody, Request
from tests.coffee_core.rest.transfer.rig import Caller

HEAD = b"code,name,population\n"


async def test_a_second_import_of_the_same_file_changes_nothing(city: Caller) -> None:
    data = HEAD + b"".join(b"c%d,City %d,%d\n" % (n, n, n) for n in range(40))
    first, second = await city.load(data), await city.load(data)
    assert (first["created"], first["rows"]) == (40, 40)
    assert (second["unchanged"], second["rows"]) == (40, 40)


async def test_only_what_differs_is_updated(city: Caller) -> None:
    await city.load(HEAD + b"a,A,1\nb,B,2\n")
    answer = await city.load(HEAD + b"a,A,1\nb,B,3\nc,C,4\n")
    assert (answer["created"], answer["updated"], answer["unchanged"]) == (1, 1, 1)
    row = await city.named("b")
    assert row is not None
    assert (row.population, row.version) == (3, 2)


async def test_fields_that_the_file_does_not_have_stay_as_they_are(city: Caller) -> None:
    await city.load(b'code,name,country,tags\na,A,India,"[""x""]"\n')
    await city.load(b"code,name\na,Aa\n")
    row = await city.named("a")
    assert row is not None
    assert (row.name, row.country, row.tags) == ("Aa", "India", ["x"])


async def test_a_refused_record_is_reported_with_the_line_on_which_it_begins(city: Caller) -> None:
    data = b'code,name,population\na,"two\nlines",1\nb,B,many\n"c","three\n\nlines",x\nd,D,-1\ne,E\nf,F,5\n'
    answer = await city.load(data)
    assert (answer["created"], answer["refused"]) == (2, 4)
    assert [refusal["line"] for refusal in answer["refusals"]] == [4, 5, 8, 9]
    assert "population" in answer["refusals"][0]["reason"]
    assert "2 cells" in answer["refusals"][3]["reason"]


async def test_a_record_that_the_table_refuses_does_not_stop_its_neighbours(city: Caller) -> None:
    """Seven records a batch: the bad ones are found by halving, the others are stored."""
    names = [b"Atlantis" if n in (3, 17, 18) else b"City" for n in range(30)]
    data = HEAD + b"".join(b"c%d,%b,1\n" % (n, name) for n, name in enumerate(names))
    answer = await city.load(data)
    assert (answer["created"], answer["refused"]) == (27, 3)
    assert [refusal["line"] for refusal in answer["refusals"]] == [5, 19, 20]


async def test_a_number_beyond_the_column_is_a_refused_record(city: Caller) -> None:
    answer = await city.load(HEAD + b"a,A,99999999999999999999999\nb,B,1\n")
    assert (answer["created"], answer["refused"], answer["refusals"][0]["line"]) == (1, 1, 2)


async def test_a_key_that_comes_twice_is_refused_and_both_lines_are_named(city: Caller) -> None:
    data = HEAD + b"a,First,1\nb,B,1\na,Second,2\n"
    first, second = await city.load(data), await city.load(data)
    assert (first["created"], first["refused"]) == (2, 1)
    assert first["refusals"] == [{"line": 4, "reason": "has the same code as line 2"}]
    assert (second["unchanged"], second["refused"]) == (2, 1)
    row = await city.named("a")
    assert row is not None
    assert row.name == "First"


async def test_all_refusals_are_counted_and_the_first_are_listed(city: Caller) -> None:
    answer = await city.load(HEAD + b"".join(b"c%d,City,x\n" % n for n in range(12)))
    assert (answer["refused"], len(answer["refusals"])) == (12, 5)


async def test_a_dry_run_counts_and_stores_nothing(city: Caller) -> None:
    answer = await city.load(HEAD + b"a,A,1\nb,B,x\n", "?dryRun=true")
    assert (answer["created"], answer["refused"], answer["dryRun"]) == (1, 1, True)
    assert await city.named("a") is None


async def test_a_file_that_breaks_at_its_end_stores_nothing(city: Caller) -> None:
    data = HEAD + b"".join(b"c%d,City,1\n" % n for n in range(50)) + b'x,"never closed,1\n'
    with pytest.raises(InputError, match="line 52: a cell's quote is not closed"):
        await city.load(data)
    assert await city.named("c0") is None


async def test_a_byte_that_is_not_utf8_is_named_with_its_offset(city: Caller) -> None:
    data = HEAD + b"a,Caf\xe9,1\n"
    with pytest.raises(InputError, match=r"byte 0xE9 at offset 26 \(line 2\) is not UTF-8.*encoding=latin-1"):
        await city.load(data)
    assert (await city.load(data, "?encoding=latin-1"))["created"] == 1
    row = await city.named("a")
    assert row is not None
    assert row.name == "Café"


async def test_the_content_types_charset_is_a_declaration_too(city: Caller) -> None:
    data = HEAD + b"a,Caf\xe9,1\n"
    headers = {b"content-type": b"text/csv; charset=ISO-8859-1"}
    assert (await city.load(data, headers=headers))["created"] == 1
    with pytest.raises(InputError, match="encoding"):
        await city.load(data, "?encoding=utf-8", headers=headers)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "empty", id="an empty file"),
        pytest.param(b"\xef\xbb\xbf", "empty", id="nothing but a byte order mark"),
        pytest.param(b"code,name,code\na,A,a\n", "'code' is there twice", id="a header twice"),
        pytest.param(b"code,name,\na,A,1\n", "column 3 has no name", id="a column without a name"),
        pytest.param(b"name,population\nA,1\n", "no column 'code'", id="no key"),
        pytest.param(b"code,population\na,1\n", "no column 'name'", id="no column that every record needs"),
        pytest.param(b"code,name,colour\na,A,red\n", "unknown column 'colour'", id="an unknown column"),
        pytest.param(b"code;name\na;A\n", "semicolons", id="another separator"),
        pytest.param(b'code,name\na,"A"x\n', "line 2 is not CSV", id="text after a quote"),
        pytest.param(b"code,name\na,A\0\n", "line 2 holds a NUL", id="a NUL"),
        pytest.param(b"code,name\na," + b"x" * 200_000 + b"\n", "line 2: a cell has more than", id="a long cell"),
        pytest.param(b"code,name\na," + b"x" * 400_000, "line 2 has more than", id="a line without an end"),
        pytest.param(b"code,name\r\na,A\rb,B\r\n", "carriage return", id="a carriage return alone"),
        pytest.param("code,name\na,A\n".encode("utf-16"), "UTF-16", id="another encoding's byte order mark"),
    ],
)
async def test_a_broken_file_is_refused_with_a_sentence(city: Caller, data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        await city.load(data)


async def test_blank_lines_are_no_records_and_lines_of_commas_are(city: Caller) -> None:
    answer = await city.load(b"code,name\r\n\r\na,A\r\n,\r\n\r\n")
    assert (answer["created"], answer["refused"], answer["refusals"][0]["line"]) == (1, 1, 4)


async def test_what_the_server_sets_is_not_read_and_that_is_said(city: Caller) -> None:
    answer = await city.load(b"id,code,name,createdAt\n999,a,A,2020-01-01T00:00:00Z\n")
    assert answer["ignoredColumns"] == ["id", "createdAt"]
    row = await city.named("a")
    assert row is not None
    assert row.id != 999


async def test_an_empty_cell_is_null_where_there_can_be_null(city: Caller) -> None:
    answer = await city.load(b"code,name,country,population,capital,tags\na,,,,,\n")
    assert answer["created"] == 1
    row = await city.named("a")
    assert row is not None
    assert (row.name, row.country, row.population, row.capital, row.tags) == ("", None, None, False, [])


@pytest.mark.parametrize("cell", ["NaN", "inf", "-Infinity", "1e999"])
async def test_what_is_no_finite_number_is_refused(city: Caller, cell: str) -> None:
    answer = await city.load(f"code,name,growth\na,A,{cell}\n".encode())
    assert (answer["refused"], answer["created"]) == (1, 0)


async def test_a_row_that_was_deleted_is_there_again(city: Caller) -> None:
    await city.load(HEAD + b"a,A,1\n")
    row = await city.named("a")
    assert row is not None
    await city.bulk({"delete": [row.id]})
    assert (await city.load(HEAD + b"a,A,1\n"))["updated"] == 1
    again = await city.named("a")
    assert again is not None
    assert (again.enabled, again.id) == (True, row.id)


async def test_a_known_mapping_reads_a_foreign_file(city: Caller) -> None:
    data = (
        b'rank,City,Country,People,Growth\n1,Nan,Thailand,2.4E+4,1.39%\n2,Pune,nan, 31\n3,Pune,nan," 31,24,458 ",nan\n'
    )
    answer = await city.load(data, "?mapping=census")
    assert (answer["created"], answer["refused"], answer["ignoredColumns"]) == (2, 1, ["rank"])
    nan, pune = await city.named("nan-thailand"), await city.named("pune-nan")
    assert nan is not None
    assert pune is not None
    assert (nan.name, nan.population, nan.growth) == ("Nan", 24000, 1.39)
    assert (pune.country, pune.population, pune.growth) == (None, 3124458, None)


async def test_a_mapping_refuses_a_layout_that_has_changed(city: Caller) -> None:
    with pytest.raises(InputError, match="lacks 'Growth' and does not know 'Extra'"):
        await city.load(b"rank,City,Country,People,Extra\n", "?mapping=census")
    with pytest.raises(InputError, match="there are: census"):
        await city.load(HEAD, "?mapping=other")


async def test_a_cell_that_a_mapping_cannot_read_names_column_and_value(city: Caller) -> None:
    answer = await city.load(b"rank,City,Country,People,Growth\n1,A,B,12x,1\n", "?mapping=census")
    assert answer["refusals"] == [{"line": 2, "reason": "column 'People': '12x' is not a number"}]


async def test_ndjson_refuses_a_bad_line_alone(city: Caller) -> None:
    lines = [
        '{"code":"a","name":"A","tags":["x"]}',
        "",
        "[1]",
        '{"code":"b"}',
        "{",
        '{"name":"N"}',
        '{"code":"c","name":1}',
    ]
    headers = {b"content-type": b"application/x-ndjson"}
    answer = await city.load("\n".join(lines).encode(), headers=headers)
    assert (answer["created"], [one["line"] for one in answer["refusals"]]) == (1, [3, 4, 5, 6, 7])


async def test_ndjson_records_may_name_different_fields(city: Caller) -> None:
    records = [{"code": f"c{n}", "name": "N"} | ({"population": n} if n % 2 else {"country": "X"}) for n in range(9)]
    data = b"\n".join(map(orjson.dumps, records))
    assert (await city.load(data, "?format=ndjson"))["created"] == 9
    assert (await city.load(data, "?format=ndjson"))["unchanged"] == 9


async def test_only_operators_import_what_belongs_to_no_partner(city: Caller) -> None:
    with pytest.raises(ForbiddenError):
        await city.load(HEAD, partner=7)


async def test_a_locked_field_cannot_be_written(city: Caller) -> None:
    with pytest.raises(PlanError):
        await city.load(b"code,name,mayorEmail\na,A,a@example.com\n", plan=Plan.FREE)


async def test_a_body_of_another_kind_is_refused(city: Caller) -> None:
    with pytest.raises(MediaTypeError):
        await city.load(HEAD, headers={b"content-type": b"application/pdf"})


async def test_an_import_is_bounded_in_records(city: Caller) -> None:
    importer = city.api.transfer._importer
    assert importer is not None
    importer.settings = importer.settings.model_copy(update={"import_rows_max": 10})
    with pytest.raises(TooLargeError):
        await city.load(HEAD + b"".join(b"c%d,C,1\n" % n for n in range(11)))
    assert await city.named("c0") is None


async def test_an_import_has_more_time_than_other_requests_unless_its_caller_says_less(city: Caller) -> None:
    loop = asyncio.get_running_loop()
    for headers, longer in (({}, True), ({b"x-request-timeout": b"5"}, False)):
        context = RequestContext(request_id="t", partner_id=0, plan=Plan.PAID, deadline=loop.time() + 5)
        request = Request("POST", "/import", b"", headers, BufferedBody(HEAD))
        async with acting_as(context):
            await city.api.transfer.import_(request)
        assert (context.deadline > loop.time() + 60) is longer


@pytest.mark.parametrize("format", ["csv", "ndjson"])
async def test_mistakes_among_many_records_are_each_told_and_the_others_are_stored(city: Caller, format: str) -> None:
    """Some thousand records are many blocks and many batches; what is wrong is wrong in several ways."""
    lines, bad = [], set()
    for n in range(2000):
        population = "-1" if n % 50 == 7 else str(n)
        name = "Atlantis" if n % 400 == 9 else f"City, {n}"
        if n % 50 == 7 or n % 400 == 9:
            bad.add(n)
        csv, ndjson = f'c{n},"{name}",{population}', f'{{"code":"c{n}","name":"{name}","population":{population}}}'
        lines.append(csv if format == "csv" else ndjson)
    data = "\n".join([*(["code,name,population"] if format == "csv" else []), *lines]).encode()
    city.api.settings.import_refusals_max = 1000
    try:
        answer = await city.load(data, f"?format={format}")
    finally:
        city.api.settings.import_refusals_max = 5
    first = 2 if format == "csv" else 1
    assert (answer["created"], answer["refused"]) == (2000 - len(bad), len(bad))
    assert [one["line"] for one in answer["refusals"]] == sorted(n + first for n in bad)


async def test_a_caller_who_leaves_stores_nothing_and_leaves_nothing_running(city: Caller) -> None:
    """Some batches are stored when the body stops coming; then the caller is gone."""
    waiting = asyncio.Event()

    class Broken(BufferedBody):
        async def chunks(self, limit: int) -> AsyncIterator[bytes]:
            yield HEAD + b"".join(b"c%d,C,1\n" % n for n in range(5000))
            waiting.set()
            await asyncio.Event().wait()

    async def run() -> None:
        async with acting_as(RequestContext(request_id="t", partner_id=0, plan=Plan.PAID)):
            await city.api.transfer.import_(Request("POST", "/import", b"", {}, Broken()))

    running = asyncio.create_task(run())
    await waiting.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await city.named("c0") is None
    assert (await city.load(HEAD + b"c0,C,1\n"))["created"] == 1
