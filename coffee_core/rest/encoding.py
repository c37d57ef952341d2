"""Rows and Entries to JSON bytes, as fast as the Entry allows.

The fast path makes a msgspec Struct from the Entry once for each projection and fills it by position: no pydantic
instance is built. An Entry that writes itself (serializers, computed fields, nested models) goes through pydantic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Generic

import msgspec
from pydantic import TypeAdapter

from coffee_core.domain.ids import EntryT
from coffee_core.rest.dao_provider import Row
from coffee_core.rest.fields import EntryField, describe, has_own_serialization
from coffee_core.rest.page import Envelope, Page
from coffee_core.rest.rows import Projection

_encoder = msgspec.json.Encoder(decimal_format="number")
_encode = _encoder.encode
_encode_lines = _encoder.encode_lines

RowsEncoder = Callable[[Sequence[Row]], bytes]


def _struct(name: str, fields: Sequence[EntryField], absent: Sequence[EntryField]) -> Any:
    """A Struct with `fields` by position, then `absent` as null."""
    parts: list[Any] = [(f.name, Any, msgspec.field(name=f.wire)) for f in fields]
    parts += [(f.name, Any, msgspec.field(name=f.wire, default=None)) for f in absent]
    return msgspec.defstruct(name, parts, gc=False)


def rows_encoder(name: str, fields: Mapping[str, EntryField], projection: Projection, *, whole: bool) -> RowsEncoder:
    """For rows of `projection`; with `whole` the stored fields that it does not read are written as null, else left
    out. Related records are not made of rows."""
    visible = projection.columns[: len(projection.columns) - projection.hidden]
    absent = [f for f in fields.values() if f.name not in visible and f.related is None] if whole else []
    struct = _struct(name, [fields[c] for c in visible], absent)
    count = len(visible)
    if projection.hidden:
        return lambda rows: _encode([struct(*row[:count]) for row in rows])
    return lambda rows: _encode([struct(*row) for row in rows])


def lines_encoder(name: str, fields: Mapping[str, EntryField], projection: Projection) -> RowsEncoder:
    """For rows of `projection` as NDJSON, with the fields that it reads."""
    visible = projection.columns[: len(projection.columns) - projection.hidden]
    struct = _struct(name, [fields[c] for c in visible], ())
    count = len(visible)
    return lambda rows: _encode_lines([struct(*row[:count]) for row in rows])


class EntriesEncoder(Generic[EntryT]):
    """For Entries: those of a Manager that maps or enriches itself."""

    def __init__(self, entry: type[EntryT]) -> None:
        self.fields = describe(entry)
        self._default = tuple(n for n, f in self.fields.items() if f.related is None or f.related.always)
        self.by_pydantic = has_own_serialization(entry)
        self._adapter: TypeAdapter[list[EntryT]] = TypeAdapter(list[entry])  # type: ignore[valid-type]  # made at run time
        self._by_fields: dict[tuple[str, ...], Callable[[Sequence[EntryT]], bytes]] = {}

    def encode(self, entries: Sequence[EntryT], fields: tuple[str, ...] | None = None) -> bytes:
        """A JSON array; `fields` narrows each element, or names related records beside the others."""
        names = fields if fields is not None else self._default
        encoder = self._by_fields.get(names) or self._new(names)
        return encoder(entries)

    def envelope(self, *entries: EntryT) -> bytes:
        """An envelope of these, which are all there are."""
        count = len(entries)
        return Envelope(Page(count, lambda: entries, lambda: self.encode(entries)), total=count).encode()

    def _new(self, names: tuple[str, ...]) -> Callable[[Sequence[EntryT]], bytes]:
        encoder = self._with_pydantic(names) if self.by_pydantic else self._with_struct(names)
        if len(self._by_fields) > 1000:
            self._by_fields.clear()
        self._by_fields[names] = encoder
        return encoder

    def _with_pydantic(self, names: tuple[str, ...]) -> Callable[[Sequence[EntryT]], bytes]:
        adapter = self._adapter
        if len(names) == len(self.fields):
            return lambda entries: adapter.dump_json(list(entries), by_alias=True)
        only = {"__all__": set(names)}
        return lambda entries: adapter.dump_json(list(entries), by_alias=True, include=only)

    def _with_struct(self, names: tuple[str, ...]) -> Callable[[Sequence[EntryT]], bytes]:
        struct = _struct("Wire", [self.fields[n] for n in names], ())
        if len(names) == 1:
            only = names[0]
            return lambda entries: _encode([struct(vars(e)[only]) for e in entries])
        values = itemgetter(*names)
        return lambda entries: _encode([struct(*values(vars(e))) for e in entries])
