"""Bytes to text to records: the same whatever the chunks are, exact in every number, never a guess."""

import csv
import io
from datetime import UTC
from decimal import Decimal
from typing import AnyStr

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.errors import InputError
from coffee_core.rest.transfer.cells import cell, csv_block
from coffee_core.rest.transfer.columns import ESCAPED
from coffee_core.rest.transfer.csv_rows import CsvRows
from coffee_core.rest.transfer.decode import Decoder
from coffee_core.rest.transfer.ndjson_rows import NdjsonRows
from coffee_core.rest.transfer.readers import exact, month_date, number, percent, text, text_or_nan, whole

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
CELLS = st.lists(st.lists(TEXT, min_size=2, max_size=4), max_size=8)


def chunked(data: AnyStr, sizes: list[int]) -> list[AnyStr]:
    out, at = [], 0
    for size in sizes:
        out.append(data[at : at + size])
        at += size
    return [*out, data[at:]]


def decoded(chunks: list[bytes]) -> str:
    decoder = Decoder()
    return "".join(map(decoder.feed, chunks)) + decoder.feed(b"", final=True)


def parsed(chunks: list[str]) -> list[tuple[int, list[str]]]:
    rows = CsvRows(1_000_000)
    fed = [*map(rows.feed, chunks), rows.feed("", final=True)]
    return [record for one in fed for record in zip(*one, strict=True)]


@given(CELLS, st.lists(st.integers(0, 9), max_size=20))
def test_records_and_lines_are_the_same_whatever_the_chunks_are(rows: list[list[str]], sizes: list[int]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)
    data = out.getvalue()
    found = parsed(chunked(data, sizes))
    assert [cells for _, cells in found] == rows
    lines = 1
    for (line, cells), row in zip(found, rows, strict=True):
        assert (line, cells) == (lines, row)
        lines += 1 + sum(value.count("\n") for value in row)


@given(st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=("Cs",))), st.lists(st.integers(0, 5)))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "gb18030"])
def test_text_is_the_same_whatever_the_chunks_are(encoding: str, written: str, sizes: list[int]) -> None:
    decoder = Decoder(encoding)
    chunks = chunked(written.encode(encoding), sizes)
    assert "".join(map(decoder.feed, chunks)) + decoder.feed(b"", final=True) == written


@given(st.binary(min_size=4), st.lists(st.integers(0, 5)))
def test_the_offset_is_that_of_the_first_byte_that_does_not_fit(data: bytes, sizes: list[int]) -> None:
    data = b"head\n" + data
    try:
        data.decode()
    except UnicodeDecodeError as error:
        expected = error.start
    else:
        return
    if b"\0" in data[:expected]:
        return
    line = data[:expected].count(10) + 1
    said = rf"byte 0x{data[expected]:02X} at offset {expected} \(line {line}\)"
    with pytest.raises(InputError, match=said):
        decoded(chunked(data, sizes))


def test_a_byte_order_mark_does_not_move_the_offset() -> None:
    with pytest.raises(InputError, match="offset 5 "):
        Decoder().feed(b"\xef\xbb\xbfab\xff")


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252", "utf-16"])
def test_a_byte_order_mark_that_contradicts_the_declaration_is_refused(encoding: str) -> None:
    with pytest.raises(InputError, match="say encoding=utf-8"):
        Decoder(encoding).feed(b"\xef\xbb\xbfcode,name\n")


@pytest.mark.parametrize("encoding", ["rot13", "idna", "unicode_escape", "zlib", "", "utf-7"])
def test_what_is_no_known_text_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(InputError, match="must be one of"):
        Decoder(encoding)


def test_a_single_byte_encoding_that_was_declared_is_the_callers_word() -> None:
    assert Decoder("latin-1").feed(bytes(range(1, 256)), final=True) == bytes(range(1, 256)).decode("latin-1")


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.sampled_from(["", "k", "K", "m", "b", "T"]))
def test_a_whole_number_with_a_unit_is_read_exactly(value: int, unit: str) -> None:
    zeros = {"": 0, "k": 3, "m": 6, "b": 9, "t": 12}[unit.lower()]
    scaled = value % 10 ** (18 - zeros)
    assert whole(f" {scaled}{unit} ") == scaled * 10**zeros
    assert whole(f"{value}") == value


@given(st.integers(0, 10**11), st.integers(0, 6))
def test_a_shortened_number_is_what_it_says_and_not_what_a_float_makes_of_it(digits: int, places: int) -> None:
    written = f"{Decimal(digits).scaleb(-places):f}m"
    assert exact(written) == Decimal(digits) * 10 ** (6 - places)


@given(st.integers(0, 10**17))
def test_grouped_digits_are_read_in_both_ways_of_grouping(value: int) -> None:
    western = f"{value:,}"
    digits, tail = str(value)[:-3], str(value)[-3:]
    pairs = []
    while digits:
        pairs.insert(0, digits[-2:])
        digits = digits[:-2]
    indian = ",".join([*pairs, tail])
    assert whole(western) == whole(f" {indian} ") == value


@given(st.decimals(0, 1000, places=2))
def test_a_percentage_is_the_number_before_the_sign(value: Decimal) -> None:
    assert percent(f"{value}%") == percent(f"{value}") == float(value)


@pytest.mark.parametrize(
    ("cell_text", "value"),
    [("2.28E+11", 228_000_000_000), ("475.8m", 475_800_000), ("3.3k", 3300), ("29.0b", 29_000_000_000), ("0.89k", 890),
     (" 4,26,973 ", 426_973), ("3344.00", 3344), ("0.00", 0), ("nan", None), ("NaN", None), ("", None), ("-5", -5),
     (".5k", 500), ("1e3", 1000)],
)  # fmt: skip
def test_the_forms_of_the_data_sets_are_read(cell_text: str, value: int | None) -> None:
    assert whole(cell_text) == value


@pytest.mark.parametrize(
    "cell_text",
    ["1.5", "12x", "1,2", "1,23", ",5", "1,,000", "--1", "0x10", "1_000", "١٢", "k", ".", "1e99", "9" * 19 + "9", "inf",
     "1 000", "1e999999999", "9" * 100, "1.2.3", "null"],
)  # fmt: skip
def test_what_is_no_whole_number_is_refused_and_not_rounded(cell_text: str) -> None:
    with pytest.raises(ValueError, match=r"number|larger"):
        whole(cell_text)


def test_a_name_spelled_nan_stays_a_name() -> None:
    assert (text("Nan"), text(" nan "), text_or_nan("nan"), text_or_nan("Nan")) == ("Nan", "nan", None, "Nan")
    assert text_or_nan("NA") == "NA"


def test_a_date_in_three_cells() -> None:
    assert str(month_date("2006", "Mar", "13")) == "2006-03-13"
    assert month_date("nan", "nan", "nan") is None
    for wrong in (("2006", "Feb", "30"), ("2006", "Xyz", "1"), ("x", "Mar", "1")):
        with pytest.raises(ValueError, match="not a date"):
            month_date(*wrong)


def test_a_number_with_a_fraction() -> None:
    assert (number("0.05"), number("nan")) == (0.05, None)


@given(TEXT.filter(bool))
def test_a_cell_made_harmless_comes_back_as_it_was(value: str) -> None:
    written = cell(value)
    assert written[0] not in "=+-@\t\r"
    assert (written[1:] if ESCAPED.match(written) else written) == value


VALUES = {
    "texts": TEXT, "numbers": st.integers(-(2**63), 2**63 - 1), "floats": st.floats(), "truths": st.booleans(),
    "moments": st.datetimes(timezones=st.just(UTC)), "other zones": st.datetimes(timezones=st.timezones()),
    "days": st.dates(), "ids": st.uuids(), "exact numbers": st.decimals(allow_nan=False),
    "lists": st.lists(TEXT, max_size=2),
    "documents": st.dictionaries(TEXT, st.integers(0, 9), max_size=2).map(msgspec.json.encode).map(msgspec.Raw),
}  # fmt: skip
ANY = st.one_of(*VALUES.values(), st.none())


@given(st.lists(st.one_of(*[st.lists(one | st.none(), min_size=3, max_size=3) for one in (*VALUES.values(), ANY)]),
                min_size=1, max_size=4))  # fmt: skip
def test_a_column_is_written_as_each_of_its_values_is(columns: list[list[object]]) -> None:
    out = io.StringIO()
    rows = list(zip(*columns, strict=True))
    csv.writer(out, lineterminator="\r\n").writerows([[cell(value) for value in row] for row in rows])
    assert csv_block(rows).decode() == out.getvalue()


@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(TEXT, min_size=width, max_size=width), max_size=5)))
def test_what_is_written_is_csv(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_block(rows).decode(), newline=""), strict=True))
    assert read == [[cell(value) for value in row] for row in rows]


@given(st.lists(st.sampled_from(["", " ", "{}", '{"a": 1}']), max_size=12), st.lists(st.integers(0, 9), max_size=20))
def test_ndjson_lines_and_their_numbers_are_the_same_whatever_the_chunks_are(
    lines: list[str], sizes: list[int]
) -> None:
    rows = NdjsonRows(1_000_000)
    fed = [*map(rows.feed, chunked("\n".join(lines), sizes)), rows.feed("", final=True)]
    found = [line for one in fed for line in zip(*one, strict=True)]
    assert found == [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


@pytest.mark.parametrize("text", ["{}\n{}\n{}{}{}\n{}\n", "{}\n{}\n{}{}{}"])
def test_of_ndjson_the_line_that_is_too_long_is_named(text: str) -> None:
    with pytest.raises(InputError, match="line 3 has more than 4 characters"):
        NdjsonRows(4).feed(text)
