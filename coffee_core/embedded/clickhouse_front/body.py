"""A request's body: decompressed, bounded, and its INSERT data spooled to disk instead of being held."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from coffee_core.embedded.clickhouse_front.errors import QUERY_IS_TOO_LARGE, SYNTAX_ERROR, refused
from coffee_core.embedded.clickhouse_front.inflate import Inflater
from coffee_core.embedded.clickhouse_front.statement import DataInsert, data_insert

HEAD_BYTES = 1 << 16
"""The head of an INSERT, with its columns, is found within this many bytes or not at all."""

QUERY_BYTES = 16 << 20
"""Longest statement that carries no data behind it."""


class Statement(NamedTuple):
    """The SQL to run, and the file to remove afterwards if its data was spooled."""

    sql: str
    spooled: Path | None = None


async def decompressed(chunks: AsyncIterator[bytes], encoding: str, limit: int) -> AsyncIterator[bytes]:
    """The body as it was before its Content-Encoding; more than `limit` bytes of it are refused."""
    inflater = Inflater(encoding)
    total = 0
    async for chunk in chunks:
        for data in inflater.feed(chunk):
            total += len(data)
            if total > limit:
                raise refused(QUERY_IS_TOO_LARGE, f"the body is larger than {limit} bytes: insert it in parts")
            yield data
    inflater.finish()


async def read_statement(prefix: str, body: AsyncIterator[bytes], spool: str) -> Statement:
    """The statement: `prefix` (the URL's `query`) and then the body, as ClickHouse reads them.

    `spool` is a folder below the working one, so that its path needs no quoting and holds no glob characters.
    """
    if prefix and (insert := data_insert(prefix)) and not prefix[insert.end :].strip():
        return await _spooled(insert, b"", body, spool)
    text = bytearray(f"{prefix}\n".encode() if prefix else b"")
    looked = False
    async for chunk in body:
        text += chunk
        if not looked and len(text) >= HEAD_BYTES:
            looked = True
            if insert := _insert_head(text):
                return await _spooled(insert, bytes(text[insert.end :]), body, spool)
        if len(text) > QUERY_BYTES:
            raise refused(QUERY_IS_TOO_LARGE, f"a statement without data has at most {QUERY_BYTES} bytes")
    if not looked and (insert := _insert_head(text)) and insert.format != "Values":
        return await _spooled(insert, bytes(text[insert.end :]), body, spool)
    try:
        sql = text.decode()
    except UnicodeDecodeError as error:
        raise refused(SYNTAX_ERROR, f"the statement is not UTF-8: {error}") from error
    if not sql.strip():
        raise refused(SYNTAX_ERROR, "Empty query")
    return Statement(sql)


def _insert_head(text: bytearray) -> DataInsert | None:
    # Latin-1 keeps one character a byte: data may follow that is no text at all.
    found = data_insert(text[:HEAD_BYTES].decode("latin-1"))
    if found is None:
        return None
    into, settings = (part.encode("latin-1").decode("utf-8", "replace") for part in (found.into, found.settings))
    return found._replace(into=into, settings=settings)


async def _spooled(insert: DataInsert, begun: bytes, body: AsyncIterator[bytes], spool: str) -> Statement:
    with tempfile.NamedTemporaryFile(dir=spool, prefix="insert-", delete=False) as file:
        path = Path(spool, Path(file.name).name)
        try:
            file.write(begun)
            async for chunk in body:
                file.write(chunk)
        except BaseException:
            path.unlink()  # noqa: ASYNC240 - one system call on a local file
            raise
    return Statement(insert.from_file(str(path)), path)
