"""Export: everything that matches, from one snapshot, as CSV, NDJSON or Parquet, in flat memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Generic, Literal, TypeAlias

from msgspec.structs import replace

from coffee_core.domain.context import CURRENT, RequestContext
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.domain.search import SearchQuery
from coffee_core.rest.encoding import EntriesEncoder, lines_encoder
from coffee_core.rest.manager import Manager
from coffee_core.rest.transfer.cells import csv_block, csv_columns
from coffee_core.rest.transfer.importer import Format
from coffee_core.rest.transfer.parquet import ParquetWriter
from coffee_core.rest.written_rows import csv_of

ExportFormat: TypeAlias = Literal[Format, "parquet"]


class Exporter(Generic[EntryT, EntityT, IdT]):
    """Columns that the caller's plan locks are left out; with `fields` only those are written, in that order."""

    def __init__(self, manager: Manager[EntryT, EntityT, IdT], group_rows: int = 10_000) -> None:
        self.manager = manager
        self._group_rows = group_rows
        self._entries = EntriesEncoder(manager.entry)

    def fields(self, query: SearchQuery, context: RequestContext) -> tuple[str, ...]:
        """What is written, by Python name."""
        if query.fields is not None:
            return tuple(name for name in query.fields if self.manager.fields[name].plan <= context.plan)
        return tuple(
            name
            for name, field in self.manager.fields.items()
            if field.plan <= context.plan and (field.related is None or field.related.always)
        )

    async def blocks(
        self, query: SearchQuery, format: ExportFormat, context: RequestContext
    ) -> AsyncGenerator[bytes, None]:
        """The export in blocks. It runs in `context` wherever it is read from: the pipeline has returned by then."""
        names = self.fields(query, context)
        query = replace(query, fields=names)
        if format == "csv":
            yield csv_block([[self.manager.fields[name].wire for name in names]])
        if format == "parquet":
            batches = self._parquet(query, names)
        else:
            make = self._of_entries if self.manager.builds(names) else self._of_rows
            batches = make(query, names, format)
        async with aclosing(batches):
            while True:
                token = CURRENT.set(context)
                try:
                    block = await anext(batches)
                except StopAsyncIteration:
                    return
                finally:
                    CURRENT.reset(token)
                yield block

    async def _parquet(self, query: SearchQuery, names: tuple[str, ...]) -> AsyncGenerator[bytes, None]:
        """By the CSV of a store that writes it itself, where rows need no object made of them; else by their values."""
        manager = self.manager
        writer = ParquetWriter([manager.fields[name] for name in names], self._group_rows)
        blocks: AsyncGenerator[bytes, None] | None = None
        if not manager.builds(names):
            written = csv_of(manager.dao, query, manager.projection(names, query.sort_by))
            blocks = None if written is None else writer.write_csv(*written)
        async with aclosing(blocks or writer.write(self._values(query, names))) as file:
            async for block in file:
                yield block

    async def _values(self, query: SearchQuery, names: tuple[str, ...]) -> AsyncGenerator[list[list[Any]], None]:
        """The values of `names`, row by row, in batches. Any: of whatever types the fields have."""
        manager = self.manager
        projection = manager.projection(query.fields, query.sort_by)
        builds = manager.builds(names)
        at = [] if builds else [projection.columns.index(name) for name in names]
        async for found in manager.dao.stream(query, projection):
            if builds:
                yield [[vars(entry)[name] for name in names] for entry in await manager.entries(found, names)]
            else:
                yield [[row[place] for place in at] for row in found.rows]

    async def _of_rows(self, query: SearchQuery, names: tuple[str, ...], format: Format) -> AsyncGenerator[bytes, None]:
        """Stored rows become bytes directly."""
        manager = self.manager
        projection = manager.projection(query.fields, query.sort_by)
        if format == "csv":
            at = [projection.columns.index(name) for name in names]
            async for found in manager.dao.stream(query, projection):
                columns = list(zip(*found.rows, strict=True))
                yield csv_columns([columns[place] for place in at])
            return
        encode = lines_encoder(manager.entry.__name__, manager.fields, projection)
        async for found in manager.dao.stream(query, projection):
            yield encode(found.rows)

    async def _of_entries(
        self, query: SearchQuery, names: tuple[str, ...], format: Format
    ) -> AsyncGenerator[bytes, None]:
        """A manager that maps, enriches or masks has its say."""
        manager = self.manager
        projection = manager.projection(query.fields, query.sort_by)
        write: Callable[[Sequence[EntryT]], bytes] = (
            (lambda entries: csv_block([[vars(entry)[name] for name in names] for entry in entries]))
            if format == "csv"
            else (lambda entries: b"".join([self._entries.encode([entry], names)[1:-1] + b"\n" for entry in entries]))
        )
        async for found in manager.dao.stream(query, projection):
            yield write(await manager.entries(found, names))


async def primed(blocks: AsyncGenerator[bytes, None], count: int) -> AsyncGenerator[bytes, None]:
    """The same blocks, of which the first `count` are here already: what is wrong from the start is answered as a
    problem and not by a cut connection."""
    first: list[bytes] = []
    async for block in blocks:
        first.append(block)
        if len(first) == count:
            break
    return _chained(first, blocks)


async def _chained(first: Sequence[bytes], rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        for block in first:
            yield block
        async for block in rest:
            yield block
