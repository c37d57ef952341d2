"""An export as Apache Parquet: for analytics, typed, compressed, in row groups that never hold more than a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from coffee_core.rest.fields import EntryField
from coffee_core.rest.transfer.arrow import ArrowColumn, CsvReader, pyarrow

CODEC = "zstd"
REPEATED = 0.5
"""A column of which no more values than this part are different is written by a dictionary: of others it would only
be written twice. The first row group decides."""

BatchT = TypeVar("BatchT")


class ParquetWriter:
    """Columns of `fields`, in their order, by their wire names. Rows go in as they come; bytes come out by row group.

    Whole numbers are int64, floats double, times timestamps in UTC to the microsecond; lists are lists; documents,
    enumerations, decimals and ids that are no numbers are texts (a document is JSON).
    """

    def __init__(self, fields: Sequence[EntryField], group_rows: int) -> None:
        self._arrow = pyarrow()
        self._group_rows = group_rows
        self._columns = [ArrowColumn(self._arrow, field) for field in fields]
        named = zip(fields, self._columns, strict=True)
        self._schema = self._arrow.schema([(field.wire, column.type) for field, column in named])
        self._sink = _Sink()
        self._file: Any = None  # pyarrow's, which has no types
        self._held: Any = self._schema.empty_table()

    def write(self, batches: AsyncIterable[Sequence[Sequence[Any]]]) -> AsyncGenerator[bytes, None]:
        """The file in blocks, from the values of rows. What takes time is done beside the event loop."""
        return self._blocks(self._groups(batches), self._of_rows)

    def write_csv(
        self, blocks: AsyncIterable[bytes], columns: Sequence[str], stored: Mapping[str, type]
    ) -> AsyncGenerator[bytes, None] | None:
        """The same from CSV as `WritesCsv` has it: `columns` are its columns, `stored` the types that they have in the
        store. None, if it is not known what the cells of one of the fields become."""
        reader = CsvReader(self._arrow, self._columns, columns, stored)
        return self._blocks(blocks, reader.read) if reader.able else None

    async def _blocks(
        self, batches: AsyncIterable[BatchT], read: Callable[[BatchT], list[Any]]
    ) -> AsyncGenerator[bytes, None]:
        async for batch in batches:
            await asyncio.to_thread(self._add, read, batch)
            if data := self._sink.taken():
                yield data
        await asyncio.to_thread(self._end)
        yield self._sink.taken()

    async def _groups(
        self, batches: AsyncIterable[Sequence[Sequence[Any]]]
    ) -> AsyncGenerator[list[Sequence[Any]], None]:
        held: list[Sequence[Any]] = []
        async for batch in batches:
            held += batch
            if len(held) >= self._group_rows:
                yield held
                held = []
        if held:
            yield held

    def _of_rows(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        values = zip(*rows, strict=True)
        return [column.of_values(one) for column, one in zip(self._columns, values, strict=True)]

    def _add(self, read: Callable[[BatchT], list[Any]], batch: BatchT) -> None:
        arrow = self._arrow
        self._held = arrow.concat_tables([self._held, arrow.Table.from_arrays(read(batch), schema=self._schema)])
        if whole := len(self._held) // self._group_rows * self._group_rows:
            self._write(whole)

    def _write(self, rows: int) -> None:
        table, self._held = self._held.slice(0, rows), self._held.slice(rows)
        if self._file is None:
            self._file = self._arrow.parquet.ParquetWriter(
                self._arrow.PythonFile(self._sink, mode="w"),
                self._schema,
                compression=CODEC,
                use_dictionary=self._repeated(table),
            )
        self._file.write_table(table, row_group_size=self._group_rows)

    def _repeated(self, table: Any) -> list[str]:
        """The columns for which a dictionary is worth it, by their paths in the file."""
        repeated: list[str] = []
        for name, cells in zip(table.column_names, table.columns, strict=True):
            path, column = name, cells
            while self._arrow.types.is_list(column.type):
                path, column = f"{path}.list.element", column.combine_chunks().flatten()
            if self._arrow.compute.count_distinct(column).as_py() <= len(column) * REPEATED:
                repeated.append(path)
        return repeated

    def _end(self) -> None:
        if self._file is None or len(self._held):
            self._write(len(self._held))
        if self._file is not None:
            self._file.close()


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
