"""The body of a bulk request: what it may hold, and its records, validated slice by slice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from coffee_core.domain.errors import CoffeeError, FieldError, InputError, RetryableError, TooLargeError
from coffee_core.domain.ids import EntryT
from coffee_core.rest.body import EntryReader
from coffee_core.rest.transfer.results import PARTS, Part, Result, placed, refused

AT_ONCE = 200
"""Records that are validated in one go; then whoever waits for the loop has his turn, the store among them."""

GivenT = TypeVar("GivenT")
MadeT = TypeVar("MadeT")


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


class RawBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body, its records not looked into yet."""

    create: list[msgspec.Raw] = []
    upsert: list[msgspec.Raw] = []
    update: list[msgspec.Raw] = []
    delete: list[int | str] = []


class _Identified(msgspec.Struct):
    id: int | str


_decode = msgspec.json.Decoder(RawBody).decode
_decode_id = msgspec.json.Decoder(_Identified).decode

Check: TypeAlias = Callable[[Sequence[EntryT]], None]
"""Refuses records (`InputError`) that are valid by themselves."""


def read_body(raw: bytes, rows_max: int) -> RawBody:
    """The parts of a body that holds anything, and not too much."""
    try:
        body = _decode(raw)
    except msgspec.DecodeError as error:
        raise InputError(f"the body is no bulk request: {error}") from None
    count = len(body.create) + len(body.upsert) + len(body.update) + len(body.delete)
    if not count:
        raise InputError(f"nothing to do: send {', '.join(PARTS)}, each a list")
    if count > rows_max:
        raise TooLargeError(f"{count} records in one request; at most {rows_max}")
    return body


def id_of(raw: msgspec.Raw) -> int | str:
    """The id that a change names."""
    try:
        return _decode_id(raw).id
    except msgspec.DecodeError:
        raise InputError(
            "/id is needed: the id of the record to change", errors=[FieldError("/id", "missing")]
        ) from None


class Reading(Generic[EntryT]):
    """Reads the records of one body, and keeps what is wrong with them."""

    def __init__(self, reader: EntryReader[EntryT]) -> None:
        self._reader = reader
        self.results: list[Result] = []
        """Of the records that were refused."""
        self.mistakes: list[FieldError] = []
        self.first: CoffeeError | None = None
        """The first mistake."""

    async def entries(
        self, part: Part, raws: Sequence[msgspec.Raw], size: int, check: Check[EntryT] | None = None
    ) -> AsyncIterator[list[tuple[int, EntryT]]]:
        """The good ones of a part as Entries, each with its index, in slices of `size`."""
        for start in range(0, len(raws), size):
            end = min(start + size, len(raws))
            good: list[tuple[int, EntryT]] = []
            for at in range(start, end, AT_ONCE):
                good += self._some(part, raws[at : min(at + AT_ONCE, end)], at, check)
                await asyncio.sleep(0)
            yield good

    def _some(
        self, part: Part, raws: Sequence[msgspec.Raw], start: int, check: Check[EntryT] | None
    ) -> list[tuple[int, EntryT]]:
        try:
            entries = self._reader.many([bytes(raw) for raw in raws])
            if check is not None:
                check(entries)
        except InputError:
            return self.each(part, raws, partial(self._one, check=check), start)
        return list(enumerate(entries, start))

    def _one(self, _: int, raw: msgspec.Raw, *, check: Check[EntryT] | None) -> EntryT:
        entry = self._reader.whole(bytes(raw))
        if check is not None:
            check([entry])
        return entry

    def each(
        self, part: Part, given: Sequence[GivenT], make: Callable[[int, GivenT], MadeT], start: int = 0
    ) -> list[tuple[int, MadeT]]:
        """What `make` makes of each of the records of a part, with its index; those that it refuses are kept."""
        made: list[tuple[int, MadeT]] = []
        for index, one in enumerate(given, start):
            try:
                made.append((index, make(index, one)))
            except CoffeeError as error:
                if isinstance(error, RetryableError):
                    raise
                self.first = self.first or error
                self.mistakes += placed(error, part, index)
                self.results.append(refused(part, index, error))
        return made
