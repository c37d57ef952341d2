"""Many writes in one request: all of them or none, or each on its own with a result for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeAlias

import msgspec

from coffee_core.domain.errors import (
    CoffeeError,
    FieldError,
    InputError,
    NotFoundError,
    RetryableError,
    VersionRequiredError,
)
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.persistence.unit_of_work import begin_transaction, savepoint
from coffee_core.rest.body import EntryReader
from coffee_core.rest.manager import Manager
from coffee_core.rest.settings import RestSettings
from coffee_core.rest.transfer.beside import Beside, Turn
from coffee_core.rest.transfer.bulk_body import RawBody, Reading, id_of, read_body
from coffee_core.rest.transfer.results import Part, Result, as_whole, place, placed, plain_id, plain_ids, refused
from coffee_core.rest.transfer.together import New, Together
from coffee_core.rest.transfer.upsert import Upserter

_Write: TypeAlias = Callable[[], Awaitable[Result]]
_Store: TypeAlias = Callable[[Turn], Awaitable[list[Result]]]
"""Writes some records when it is their turn, and tells what became of them."""
_Tell: TypeAlias = Callable[[], list[Result]]
_WriteAll: TypeAlias = Callable[[], Awaitable[_Tell]]


class Bulk(Generic[EntryT, EntityT, IdT]):
    """`parse_id` reads an id of the resource; `upserter` is None where the resource has no natural key."""

    def __init__(
        self,
        manager: Manager[EntryT, EntityT, IdT],
        upserter: Upserter[EntryT, EntityT, IdT] | None,
        parse_id: Callable[[str], IdT],
        settings: RestSettings,
        *,
        version_required: bool = False,
    ) -> None:
        self.manager = manager
        self.together = Together(manager)
        self.upserter = upserter
        self.reader = EntryReader(manager.entry, manager.dao.id_column)
        self.settings = settings
        self._parse_id = parse_id
        self._version_required = version_required
        self._stores_while_it_reads = self.together.alike and manager.dao.provider.features.transactions
        """Else a mistake that is found later could not undo what was done: a rule of a Manager may do anything."""

    async def run(self, raw: bytes, *, atomic: bool) -> list[Result]:
        """One result for each record, in the order of the request. If all or none are to be written, a mistake in one
        is told before whatever the store says of the others."""
        body = self._read(raw)
        begin_transaction()
        reading = Reading(self.reader)
        storing = _Storing()
        waiting: list[_Store] = []
        try:
            async for store in self._parts(body, reading, atomic=atomic):
                if not self._stores_while_it_reads:
                    waiting.append(store)
                elif not (atomic and reading.first):
                    await storing.add(store)
            await storing.end()
            if atomic and reading.first is not None:
                raise as_whole(reading.first, reading.mistakes)
            for store in waiting:
                await storing.add(store)
            await storing.end()
            storing.raise_failure()
        except BaseException:
            await storing.stop()
            raise
        return sorted(reading.results + storing.results, key=place) if reading.results else storing.results

    def _read(self, raw: bytes) -> RawBody:
        body = read_body(raw, self.settings.bulk_rows_max)
        if body.upsert and self.upserter is None:
            raise InputError("records of this resource have no natural key: send create or update")
        if self._version_required and (body.update or body.delete):
            raise VersionRequiredError("changes here must name the version they are based on: send them one by one")
        return body

    async def _parts(self, body: RawBody, reading: Reading[EntryT], *, atomic: bool) -> AsyncIterator[_Store]:
        """What is to be done, in its order, as it is read."""
        size = self.settings.import_batch
        if self.together.creates:
            async for entries in reading.entries("create", body.create, size):
                yield partial(self._many, "create", entries, atomic=atomic)
        else:
            yield partial(self._each, "create", reading.each("create", body.create, self._create), atomic=atomic)
        async for entries in reading.entries("upsert", body.upsert, size, self._require_keys):
            yield partial(self._many, "upsert", entries, atomic=atomic)
        yield partial(self._each, "update", reading.each("update", body.update, self._update), atomic=atomic)
        yield partial(self._each, "delete", reading.each("delete", body.delete, self._delete), atomic=atomic)

    def _require_keys(self, entries: Sequence[EntryT]) -> None:
        for name in () if self.upserter is None else self.upserter.fields:
            if any(vars(entry)[name] is None for entry in entries):
                wire = self.manager.fields[name].wire
                raise InputError(
                    f"/{wire} is needed: records are found by it", errors=[FieldError(f"/{wire}", "missing")]
                )

    def _create(self, index: int, raw: msgspec.Raw) -> _Write:
        entry = self.reader.whole(bytes(raw))

        async def write() -> Result:
            page = await self.manager.create(entry)
            id = vars(page.entries()[0]).get(self.manager.dao.id_column)
            return Result(operation="create", index=index, status="created", id=plain_id(id))

        return write

    def _update(self, index: int, raw: msgspec.Raw) -> _Write:
        given = id_of(raw)
        id = self._known_id(given)
        patch = self.reader.part(bytes(raw), id=id)
        patch.values.pop(self.manager.dao.id_column, None)

        async def write() -> Result:
            await self.manager.patch(id, patch, None)
            return Result(operation="update", index=index, status="updated", id=given)

        return write

    def _delete(self, index: int, given: int | str) -> _Write:
        id = self._known_id(given)

        async def write() -> Result:
            await self.manager.delete(id, None)
            return Result(operation="delete", index=index, status="deleted", id=given)

        return write

    def _known_id(self, given: int | str) -> IdT:
        try:
            return self._parse_id(str(given))
        except NotFoundError:
            raise NotFoundError(f"there is no {self.manager.dao.name} {str(given)[:100]}") from None

    async def _each(
        self, part: Part, writes: Sequence[tuple[int, _Write]], turn: Turn, *, atomic: bool
    ) -> list[Result]:
        async with turn:
            return [await self._write(part, index, write, atomic=atomic) for index, write in writes]

    async def _write(self, part: Part, index: int, write: _Write, *, atomic: bool) -> Result:
        if atomic:
            try:
                return await write()
            except CoffeeError as error:
                raise as_whole(error, placed(error, part, index)) from error
        try:
            async with savepoint():
                return await write()
        except CoffeeError as error:
            if isinstance(error, RetryableError):
                raise
            return refused(part, index, error)

    async def _many(self, part: Part, rows: Sequence[tuple[int, EntryT]], turn: Turn, *, atomic: bool) -> list[Result]:
        """What can be done before it is their turn, and after it, is done while others have theirs."""
        if not rows:
            return []
        write = self._writing(part, rows)
        async with turn:
            tell = await self._tried(part, rows, write, atomic=atomic)
        await asyncio.sleep(0)
        return tell()

    async def _tried(self, part: Part, rows: Sequence[tuple[int, EntryT]], write: _WriteAll, *, atomic: bool) -> _Tell:
        """Together; where the store refuses them, by halves until the bad one is found: it is named, and where each
        counts for itself the others are written."""
        try:
            async with savepoint():
                return await write()
        except CoffeeError as error:
            if isinstance(error, RetryableError):
                raise
            if len(rows) == 1:
                if atomic:
                    raise as_whole(error, placed(error, part, rows[0][0])) from error
                return partial(list, [refused(part, rows[0][0], error)])
            if atomic and part == "upsert":
                raise
            middle = len(rows) // 2
            halves = [
                await self._tried(part, half, self._writing(part, half), atomic=atomic)
                for half in (rows[:middle], rows[middle:])
            ]
            return lambda: [result for tell in halves for result in tell()]

    def _writing(self, part: Part, rows: Sequence[tuple[int, EntryT]]) -> _WriteAll:
        entries = [entry for _, entry in rows]
        if part == "create":
            return partial(self._create_all, rows, self.together.new(entries))
        return partial(self._upsert_all, rows, entries)

    async def _create_all(self, rows: Sequence[tuple[int, EntryT]], new: New[EntryT]) -> _Tell:
        ids = await self.together.create(new)
        return lambda: [
            Result("create", index, "created", id) for (index, _), id in zip(rows, plain_ids(ids), strict=True)
        ]

    async def _upsert_all(self, rows: Sequence[tuple[int, EntryT]], entries: Sequence[EntryT]) -> _Tell:
        assert self.upserter is not None  # without a natural key `_read` refuses upserts
        stored = await self.upserter.store(entries, with_ids=True)
        return lambda: [
            Result("upsert", index, one.outcome, plain_id(one.id)) for (index, _), one in zip(rows, stored, strict=True)
        ]


class _Storing:
    """Stores beside what is read, in turn. After a failure nothing more is stored: it waits for what reading says."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self._beside = Beside(most=2)
        self._turn = Turn()
        self._failed: CoffeeError | None = None

    async def add(self, store: _Store) -> None:
        await self._beside.add(partial(self._one, store))

    async def _one(self, store: _Store) -> None:
        try:
            self.results += await store(self._turn)
        except CoffeeError as error:
            self._failed = self._failed or error

    async def end(self) -> None:
        await self._beside.end()

    async def stop(self) -> None:
        await self._beside.stop()

    def raise_failure(self) -> None:
        if self._failed is not None:
            raise self._failed
