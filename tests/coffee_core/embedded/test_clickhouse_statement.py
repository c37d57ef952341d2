"""What the front reads of a statement before the engine sees it."""

import gzip
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import lz4.frame
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.embedded.clickhouse_front.body import decompressed, read_statement
from coffee_core.embedded.clickhouse_front.errors import QueryError
from coffee_core.embedded.clickhouse_front.statement import answers_with_rows, data_insert, may_stream, output_format


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("sql", "into", "settings", "form"),
    [
        ("INSERT INTO t FORMAT Native\n\x01\xff", "t", "", "Native"),
        ("insert into `FORMAT x`.t (a, `b)`) format CSV 1", "`FORMAT x`.t (a, `b)`)", "", "CSV"),
        ("INSERT INTO t SETTINGS a=1, b='FORMAT z' FORMAT TSV\n", "t", " SETTINGS a=1, b='FORMAT z'", "TSV"),
        ("/* INSERT INTO x */ INSERT INTO t (values) FORMAT CSV\n", "t (values)", "", "CSV"),
        ("-- c\nINSERT INTO t VALUES (1)", "t", "", "Values"),
    ],
)
def test_an_insert_with_data_is_known_by_its_head(sql: str, into: str, settings: str, form: str) -> None:
    found = data_insert(sql)
    assert found is not None
    assert (found.into.strip(), found.settings, found.format) == (into, settings, form)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t SELECT 1 FORMAT Native",
        "INSERT INTO t WITH 1 AS a SELECT a FORMAT CSV",
        "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        "SELECT 'INSERT INTO t FORMAT CSV'",
        "CREATE TABLE t (a Int8) ENGINE = Memory",
        "",
    ],
)
def test_other_statements_have_no_data_behind_them(sql: str) -> None:
    assert data_insert(sql) is None


def test_rows_formats_and_streams() -> None:
    assert answers_with_rows("/* x */ (select 1)")
    assert not answers_with_rows("INSERT INTO t SELECT 1")
    assert output_format("SELECT 'FORMAT CSV' FORMAT JSON SETTINGS a = 1", "Native") == "JSON"
    assert output_format("SELECT 'FORMAT CSV'", "Native") == "Native"
    assert may_stream("WITH 1 AS a SELECT a FORMAT Native", "TSV")
    assert not may_stream("SELECT 1 FORMAT JSON", "TSV")
    assert not may_stream("SHOW TABLES FORMAT Native", "TSV")


@given(st.text(), st.binary())
def test_no_text_makes_it_stumble(text: str, tail: bytes) -> None:
    found = data_insert(text + "INSERT INTO t FORMAT CSV\n" + tail.decode("latin-1"))
    assert found is None or found.format
    output_format(text, "TSV")


async def test_data_of_an_insert_goes_to_a_file_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spool").mkdir()
    head = "INSERT INTO tä (a) FORMAT Native\n".encode()
    data = bytes(range(256)) * 1000
    for parts in ([head + data], [head[:10], head[10:] + data[:1], data[1:]], [head, data]):
        statement = await read_statement("", chunks(*parts), "spool")
        assert statement.spooled is not None
        assert statement.sql == f"INSERT INTO tä (a) FROM INFILE '{statement.spooled}' FORMAT Native"
        assert statement.spooled.read_bytes() == data


async def test_a_statement_in_the_url_and_its_data_in_the_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spool").mkdir()
    statement = await read_statement("INSERT INTO t FORMAT TSV", chunks(b"1\n", b"2\n"), "spool")
    assert statement.spooled is not None
    assert statement.spooled.read_bytes() == b"1\n2\n"
    assert (await read_statement("SELECT", chunks(b"1"), "spool")).sql == "SELECT\n1"


async def test_a_bomb_is_refused_before_it_fills_anything() -> None:
    bomb = gzip.compress(b"0" * 1_000_000)
    with pytest.raises(QueryError) as refused:
        async for _ in decompressed(chunks(bomb), "gzip", 1000):
            pass
    assert refused.value.status == 413


COMPRESS = {"gzip": gzip.compress, "deflate": zlib.compress, "lz4": lz4.frame.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", COMPRESS)
async def test_a_truncated_body_is_refused(encoding: str) -> None:
    whole = COMPRESS[encoding](bytes(range(256)) * 10)
    with pytest.raises(QueryError) as refused:
        async for _ in decompressed(chunks(whole[:-5]), encoding, 10_000):
            pass
    assert refused.value.status == 400


@pytest.mark.parametrize("encoding", COMPRESS)
@given(data=st.binary(), copies=st.integers(1, 3000), cut=st.integers(1, 100))
async def test_whatever_was_compressed_is_read_however_it_is_cut(
    encoding: str, data: bytes, copies: int, cut: int
) -> None:
    whole = COMPRESS[encoding](data * copies) + COMPRESS[encoding](b"and another frame")
    parts = [whole[start : start + cut] for start in range(0, len(whole), cut)]
    read = [part async for part in decompressed(chunks(*parts), encoding, 1 << 20)]
    assert b"".join(read) == data * copies + b"and another frame"
