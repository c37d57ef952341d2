"""Many writes in one request: all of them or none, or each on its own with a result for each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any, Generic, TypeAlias

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from coffee_core.domain.errors import (
    CoffeeError,
    FieldError,
    InputError,
    NotFoundError,
    RetryableError,
    TooLargeError,
    VersionRequiredError,
)
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.persistence.unit_of_work import begin_transaction, savepoint
from coffee_core.rest.body import EntryReader
from coffee_core.rest.manager import Manager
from coffee_core.rest.settings import RestSettings
from coffee_core.rest.transfer.results import PARTS, Part, Result, as_whole, place, placed, plain_id, refused
from coffee_core.rest.transfer.together import Together
from coffee_core.rest.transfer.upsert import Upserter


class BulkBody(BaseModel):
    """What to write; done in the order create, upsert, update, delete."""

    model_config = ConfigDict(extra="forbid")

    create: list[dict[str, Any]] = Field(default_factory=list, description="New records.")
    upsert: list[dict[str, Any]] = Field(
        default_factory=list, description="Records by their natural key; what one does not name stays as it is."
    )
    update: list[dict[str, Any]] = Field(
        default_factory=list, description="Changes: the record's id, and the fields to set (null clears)."
    )
    delete: list[int | str] = Field(default_factory=list, description="Ids.")


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The body, its records not looked into yet."""

    create: list[msgspec.Raw] = []
    upsert: list[msgspec.Raw] = []
    update: list[msgspec.Raw] = []
    delete: list[int | str] = []


class _Identified(msgspec.Struct):
    id: int | str


_decode = msgspec.json.Decoder(_Body).decode
_decode_id = msgspec.json.Decoder(_Identified).decode

_Write: TypeAlias = Callable[[], Awaitable[Result]]


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

    async def run(self, raw: bytes, *, atomic: bool) -> list[Result]:
        """One result for each record, in the order of the request."""
        body = self._read(raw)
        begin_transaction()
        results: list[Result] = []
        mistakes: list[FieldError] = []
        first: CoffeeError | None = None
        read = self._at_once(body)
        for part, index, make in self._records(body, read.keys()):
            try:
                read.setdefault(part, []).append((index, make()))
            except CoffeeError as error:
                if isinstance(error, RetryableError):
                    raise
                first = first or error
                mistakes += placed(error, part, index)
                results.append(refused(part, index, error))
        if atomic and first is not None:
            raise as_whole(first, mistakes)
        for part in PARTS:
            results += await self._part(part, read.get(part, []), atomic=atomic)
        return sorted(results, key=place)

    def _at_once(self, body: _Body) -> dict[Part, list[tuple[int, EntryT | _Write]]]:
        """Records of the parts that are validated in one go; a part that holds a mistake is left for `_records`."""
        read: dict[Part, list[tuple[int, EntryT | _Write]]] = {}
        parts: list[tuple[Part, Sequence[msgspec.Raw]]] = [("upsert", body.upsert)]
        if self.together.creates:
            parts.append(("create", body.create))
        for part, raws in parts:
            try:
                entries = self.reader.many([bytes(raw) for raw in raws])
                if part == "upsert":
                    self._require_keys(entries)
            except InputError:
                continue
            read[part] = list(enumerate(entries))
        return read

    async def _part(self, part: Part, records: Sequence[tuple[int, EntryT | _Write]], *, atomic: bool) -> list[Result]:
        """In the order of the request; runs of what is written by one statement together."""
        results: list[Result] = []
        alike: list[tuple[int, EntryT]] = []
        for index, one in records:
            if callable(one):
                results.append(await self._write(part, index, one, atomic=atomic))
            else:
                alike.append((index, one))
        return results + await self._many(part, alike, atomic=atomic)

    def _read(self, raw: bytes) -> _Body:
        try:
            body = _decode(raw)
        except msgspec.DecodeError as error:
            raise InputError(f"the body is no bulk request: {error}") from None
        count = len(body.create) + len(body.upsert) + len(body.update) + len(body.delete)
        if not count:
            raise InputError(f"nothing to do: send {', '.join(PARTS)}, each a list")
        if count > self.settings.bulk_rows_max:
            raise TooLargeError(f"{count} records in one request; at most {self.settings.bulk_rows_max}")
        if body.upsert and self.upserter is None:
            raise InputError("records of this resource have no natural key: send create or update")
        if self._version_required and (body.update or body.delete):
            raise VersionRequiredError("changes here must name the version they are based on: send them one by one")
        return body

    def _records(self, body: _Body, done: Collection[Part]) -> list[tuple[Part, int, Callable[[], EntryT | _Write]]]:
        """What is to be done, not validated yet, but for the parts that are `done`."""
        creates = () if "create" in done else body.create
        upserts = () if "upsert" in done else body.upsert
        alike = self.together.creates
        return [
            *[
                ("create", at, partial(self._whole, raw) if alike else partial(self._create, at, raw))
                for at, raw in enumerate(creates)
            ],
            *[("upsert", at, partial(self._keyed, raw)) for at, raw in enumerate(upserts)],
            *[("update", at, partial(self._update, at, raw)) for at, raw in enumerate(body.update)],
            *[("delete", at, partial(self._delete, at, given)) for at, given in enumerate(body.delete)],
        ]

    def _whole(self, raw: msgspec.Raw) -> EntryT:
        return self.reader.whole(bytes(raw))

    def _keyed(self, raw: msgspec.Raw) -> EntryT:
        entry = self._whole(raw)
        self._require_keys([entry])
        return entry

    def _require_keys(self, entries: Sequence[EntryT]) -> None:
        for name in () if self.upserter is None else self.upserter.fields:
            if any(vars(entry)[name] is None for entry in entries):
                wire = self.manager.fields[name].wire
                raise InputError(
                    f"/{wire} is needed: records are found by it", errors=[FieldError(f"/{wire}", "missing")]
                )

    def _create(self, index: int, raw: msgspec.Raw) -> _Write:
        entry = self._whole(raw)

        async def write() -> Result:
            page = await self.manager.create(entry)
            id = vars(page.entries()[0]).get(self.manager.dao.id_column)
            return Result(operation="create", index=index, status="created", id=plain_id(id))

        return write

    def _update(self, index: int, raw: msgspec.Raw) -> _Write:
        try:
            given = _decode_id(raw).id
        except msgspec.DecodeError:
            raise InputError(
                "/id is needed: the id of the record to change", errors=[FieldError("/id", "missing")]
            ) from None
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

    async def _many(self, part: Part, rows: Sequence[tuple[int, EntryT]], *, atomic: bool) -> list[Result]:
        """In batches; where the store refuses one, by halves until the bad one is found: it is named, and where each
        counts for itself the others are written."""
        size = self.settings.import_batch
        if len(rows) > size:
            batches = [rows[start : start + size] for start in range(0, len(rows), size)]
            return [result for batch in batches for result in await self._many(part, batch, atomic=atomic)]
        if not rows:
            return []
        try:
            async with savepoint():
                return await (self._created(rows) if part == "create" else self._upserted(rows))
        except CoffeeError as error:
            if isinstance(error, RetryableError):
                raise
            if len(rows) == 1:
                if atomic:
                    raise as_whole(error, placed(error, part, rows[0][0])) from error
                return [refused(part, rows[0][0], error)]
            if atomic and part == "upsert":
                raise
            middle = len(rows) // 2
            return [
                *await self._many(part, rows[:middle], atomic=atomic),
                *await self._many(part, rows[middle:], atomic=atomic),
            ]

    async def _created(self, rows: Sequence[tuple[int, EntryT]]) -> list[Result]:
        ids = await self.together.create([entry for _, entry in rows])
        return [Result("create", index, "created", plain_id(id)) for (index, _), id in zip(rows, ids, strict=True)]

    async def _upserted(self, rows: Sequence[tuple[int, EntryT]]) -> list[Result]:
        assert self.upserter is not None  # without a natural key `_read` refuses upserts
        stored = await self.upserter.store([entry for _, entry in rows], with_ids=True)
        return [
            Result("upsert", index, one.outcome, plain_id(one.id)) for (index, _), one in zip(rows, stored, strict=True)
        ]
