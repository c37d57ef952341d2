"""An export as Apache Parquet: for analytics, typed, compressed, in row groups that never hold more than a bound.

pyarrow is an extra (`coffee-core[parquet]`) and imported where it is used.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import ModuleType
from typing import Any, get_args, get_origin

import msgspec
import orjson

from coffee_core.domain.errors import NotAcceptableError
from coffee_core.rest.fields import EntryField
from coffee_core.rest.filters import bare

CODEC = "zstd"


def require_pyarrow() -> None:
    """`NotAcceptableError` (406) that says what to install, where there is no pyarrow."""
    _pyarrow()


def _pyarrow() -> ModuleType:
    try:
        import pyarrow.parquet
    except ImportError:
        raise NotAcceptableError(
            "format=parquet is not offered here: the server lacks pyarrow (pip install 'coffee-core[parquet]'); "
            "csv and ndjson are"
        ) from None
    found: ModuleType = pyarrow
    return found


class ParquetWriter:
    """Columns of `fields`, in their order, by their wire names. Rows go in as they come; bytes come out by row group.

    Whole numbers are int64, floats double, times timestamps in UTC to the microsecond; lists are lists; documents,
    enumerations, decimals and ids that are no numbers are texts (a document is JSON).
    """

    def __init__(self, fields: Sequence[EntryField], group_rows: int) -> None:
        self._arrow = _pyarrow()
        self._group_rows = group_rows
        self._columns = [_Column(self._arrow, field) for field in fields]
        named = zip(fields, self._columns, strict=True)
        self._schema = self._arrow.schema([(field.wire, column.type) for field, column in named])

    async def write(self, batches: AsyncIterable[Sequence[Sequence[Any]]]) -> AsyncGenerator[bytes, None]:
        """The file in blocks. Compressing is done beside the event loop."""
        sink = _Sink()
        file = self._arrow.PythonFile(sink, mode="w")
        writer = self._arrow.parquet.ParquetWriter(file, self._schema, compression=CODEC)
        held: list[Sequence[Any]] = []
        try:
            yield sink.taken()
            async for batch in batches:
                held += batch
                if len(held) >= self._group_rows:
                    await asyncio.to_thread(self._group, writer, held)
                    held = []
                    yield sink.taken()
            if held:
                await asyncio.to_thread(self._group, writer, held)
        finally:
            writer.close()
        yield sink.taken()

    def _group(self, writer: Any, rows: Sequence[Sequence[Any]]) -> None:  # Any: pyarrow has no types
        arrays = [
            self._arrow.array([column.read(row[at]) for row in rows], type=column.type)
            for at, column in enumerate(self._columns)
        ]
        writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema), row_group_size=len(rows))


class _Column:
    """The Arrow type of a field, and how a stored or an Entry's value becomes one of it."""

    def __init__(self, arrow: ModuleType, field: EntryField) -> None:
        self.type, self.read = _of(arrow, bare(field.annotation))


def _of(arrow: ModuleType, kind: Any) -> tuple[Any, Callable[[Any], object]]:  # Any: a type as the author wrote it
    if get_origin(kind) in (list, set, tuple, frozenset, Sequence):
        items, read = _of(arrow, bare((get_args(kind) or (str,))[0]))
        return arrow.list_(items), lambda value: None if value is None else [read(one) for one in _decoded(value)]
    if isinstance(kind, type) and not issubclass(kind, Enum):
        for python, type_ in (
            (bool, arrow.bool_()),
            (int, arrow.int64()),
            (float, arrow.float64()),
            (datetime, arrow.timestamp("us", tz="UTC")),
            (date, arrow.date32()),
        ):
            if issubclass(kind, python):
                return type_, _same
    return arrow.string(), _text


def _same(value: Any) -> object:
    return value


def _decoded(value: Any) -> Any:
    """A list of a JSON column is stored as its text."""
    return orjson.loads(bytes(value)) if isinstance(value, msgspec.Raw | bytes) else value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value if value is None else str(value)
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    if hasattr(value, "model_dump_json"):
        return str(value.model_dump_json(by_alias=True))
    if isinstance(value, Mapping | list | tuple):
        return orjson.dumps(value, default=str).decode()
    return str(value)


class _Sink:
    """A file that is only written to: what was written since the last look, and how much in all."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()
        self._at = 0

    def write(self, data: Any) -> int:  # Any: whatever pyarrow hands over that is bytes
        self._held += data
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        """There is nothing to close: what is held is still taken."""

    def taken(self) -> bytes:
        data = bytes(self._held)
        self._held.clear()
        return data
