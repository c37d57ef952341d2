"""Import: a stream of bytes into rows, in one transaction, with flat memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import NoneType
from typing import Generic, Literal, TypeAlias

from coffee_core.domain.errors import ConflictError, InputError, RuleError, TooLargeError
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.persistence.unit_of_work import begin_transaction, savepoint
from coffee_core.rest.manager import Manager
from coffee_core.rest.settings import RestSettings
from coffee_core.rest.transfer.beside import Beside, Turn
from coffee_core.rest.transfer.columns import Columns, Refused
from coffee_core.rest.transfer.csv_rows import CsvRows
from coffee_core.rest.transfer.decode import Decoder
from coffee_core.rest.transfer.mapping import ImportMapping
from coffee_core.rest.transfer.ndjson_rows import NdjsonRows
from coffee_core.rest.transfer.report import ImportReport
from coffee_core.rest.transfer.seen_keys import SeenKeys
from coffee_core.rest.transfer.upsert import Upserter

Format = Literal["csv", "ndjson"]
Progress: TypeAlias = Callable[[ImportReport], None]
BLOCK_BYTES = 16_384
"""Chunks are gathered to blocks of this size and cut to them: a client who sends single bytes costs nothing extra, and
nobody waits longer than for one block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How a file is to be read."""

    format: Format = "csv"
    encoding: str = "utf-8"
    mapping: ImportMapping | None = None
    """Without one the columns are the fields' names."""
    dry_run: bool = False
    """Do everything, then roll back."""


_Row: TypeAlias = tuple[int, EntryT]
"""A record and its line."""


class Importer(Generic[EntryT, EntityT, IdT]):
    """Good records are stored together when the file has been read to its end; bad ones are reported, each with its
    line. A file whose encoding or structure is broken is refused as a whole (`InputError`) and stores nothing: for a
    store without transactions its records wait in memory until the file has been read.

    A record whose key was there before in the same file is refused, and both lines are named: so the outcome does not
    hang on the order of lines, and importing the file again changes nothing.
    """

    def __init__(
        self, manager: Manager[EntryT, EntityT, IdT], key: tuple[str, ...], settings: RestSettings | None = None
    ) -> None:
        self.manager = manager
        self.settings = settings or RestSettings()
        self.upserter = Upserter(manager, key)

    async def run(
        self, chunks: AsyncIterable[bytes], options: ImportOptions, progress: Progress | None = None
    ) -> ImportReport:
        """Read all of it. Who runs this commits: the pipeline of a request, or `acting_as` of a command."""
        settings = self.settings
        report = ImportReport(refusals_max=settings.import_refusals_max, dry_run=options.dry_run)
        columns = Columns(self.manager, self.upserter.fields, settings)
        batch: list[_Row[EntryT]] = []
        undoes = self.manager.dao.provider.features.transactions
        if options.dry_run and not undoes:
            raise InputError(f"{self.manager.dao.name} is kept where nothing can be tried out: leave dryRun out")
        work = begin_transaction()
        storing, turn = Beside(most=2), Turn()

        async def store(rows: list[_Row[EntryT]]) -> None:
            async with turn:
                await self._store(rows, report)
            if progress is not None:
                progress(report)

        try:
            async with SeenKeys(settings.import_keys_kept) as seen:
                async for lines, made in self._rows(chunks, options, columns):
                    batch += await self._taken(lines, made, columns, seen, report)
                    if len(seen) > settings.import_rows_max:
                        most = settings.import_rows_max
                        raise TooLargeError(f"more than {most} records in one import: split the file")
                    while undoes and len(batch) >= settings.import_batch:
                        await storing.add(partial(store, batch[: settings.import_batch]))
                        del batch[: settings.import_batch]
            for start in range(0, len(batch), settings.import_batch):
                await storing.add(partial(store, batch[start : start + settings.import_batch]))
            await storing.end()
            if options.dry_run and not work.rehearsing:
                await work.rehearse()
        except BaseException:
            await storing.stop()
            if options.dry_run:
                await work.rollback()
            raise
        report.ignored_columns = columns.ignored
        if progress is not None:
            progress(report)
        return report

    async def _taken(
        self,
        lines: list[int],
        made: Sequence[EntryT | Refused],
        columns: Columns[EntryT],
        seen: SeenKeys,
        report: ImportReport,
    ) -> list[_Row[EntryT]]:
        """The records to store; the others are reported."""
        entries = [one for one in made if not isinstance(one, Refused)]
        keys = columns.keys_of(entries)
        whole, of_whole = keys, lines
        if len(entries) != len(made) or any(NoneType in map(type, parts) for parts in zip(*keys, strict=True)):
            whole = [key for key in keys if None not in key]
            each = iter(keys)
            of_whole = [n for n, one in zip(lines, made, strict=True)
                        if not isinstance(one, Refused) and None not in next(each)]  # fmt: skip
        first_lines = await seen.first_lines(whole, of_whole)
        if len(of_whole) == len(made) and first_lines == of_whole:
            return list(zip(lines, entries, strict=True))  # nearly always
        next_key, next_first = iter(keys).__next__, iter(first_lines).__next__
        rows: list[_Row[EntryT]] = []
        for line, one in zip(lines, made, strict=True):
            if isinstance(one, Refused):
                report.refuse(line, one.reason)
            elif None in (key := next_key()):
                report.refuse(line, columns.no_key(key))
            elif (first := next_first()) != line:
                named = ", ".join([self.manager.fields[name].wire for name in self.upserter.fields])
                report.refuse(line, f"has the same {named} as line {first}")
            else:
                rows.append((line, one))
        return rows

    async def _rows(
        self, chunks: AsyncIterable[bytes], options: ImportOptions, columns: Columns[EntryT]
    ) -> AsyncIterator[_Read[EntryT]]:
        decoder = Decoder(options.encoding)
        read = _ndjson_reader if options.format == "ndjson" else _csv_reader
        source = read(columns, options, self.settings.import_record_max)
        async for data, final in _blocks(chunks):
            yield source(decoder.feed(data, final=final), final)
            await asyncio.sleep(0)  # what others wait for, the store among them, has its turn after each block

    async def _store(self, rows: list[_Row[EntryT]], report: ImportReport) -> None:
        """All of them, or (where the store refuses one) each half on its own, until the bad one is found."""
        if not rows:
            return
        try:
            async with savepoint():
                counts = await self.upserter.counts([entry for _, entry in rows])
        except (InputError, ConflictError, RuleError) as error:
            if len(rows) == 1:
                report.refuse(rows[0][0], error.detail)
                return
            middle = len(rows) // 2
            await self._store(rows[:middle], report)
            await self._store(rows[middle:], report)
            return
        report.created += counts["created"]
        report.updated += counts["updated"]
        report.unchanged += counts["unchanged"]


_Read: TypeAlias = tuple[list[int], Sequence[EntryT | Refused]]
"""Records: their lines, and what each is."""
_Source: TypeAlias = Callable[[str, bool], _Read[EntryT]]
"""The records that a text completes."""


def _csv_reader(columns: Columns[EntryT], options: ImportOptions, record_max: int) -> _Source[EntryT]:
    rows = CsvRows(record_max)
    headed = False

    def read(text: str, final: bool) -> _Read[EntryT]:
        nonlocal headed
        lines, cells = rows.feed(text, final=final)
        if lines and not headed:
            columns.header(lines.pop(0), cells.pop(0), options.mapping)
            headed = True
        if final and not headed:
            raise InputError("the file is empty: its first line must name the columns")
        return lines, columns.records(cells)

    return read


def _ndjson_reader(columns: Columns[EntryT], options: ImportOptions, record_max: int) -> _Source[EntryT]:
    if options.mapping is not None:
        raise InputError(f"the mapping {options.mapping.name} reads CSV columns: leave it out, or send CSV")
    rows = NdjsonRows(record_max)
    some = False

    def read(text: str, final: bool) -> _Read[EntryT]:
        nonlocal some
        lines, texts = rows.feed(text, final=final)
        some = some or bool(lines)
        if final and not some:
            raise InputError("the file is empty: one JSON object a line is expected")
        return lines, columns.json_objects(texts)

    return read


async def _blocks(chunks: AsyncIterable[bytes]) -> AsyncIterator[tuple[bytes, bool]]:
    """The stream in blocks, and whether a block is the last."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= BLOCK_BYTES:
            yield bytes(held[:BLOCK_BYTES]), False
            del held[:BLOCK_BYTES]
    yield bytes(held), True
