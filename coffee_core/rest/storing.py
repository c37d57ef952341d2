"""What a field's value becomes before it is stored: JSON as it looks on the wire, times in UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin

from pydantic import TypeAdapter
from sqlalchemy import DateTime, Table
from sqlalchemy.dialects.postgresql import JSONB

from coffee_core.rest.fields import EntryField
from coffee_core.rest.filters import in_utc

_JSON_SCALARS = (str, int, float, bool, NoneType)


class Storing:
    """For one Entry and its table; `mapped` are the fields that have a column."""

    def __init__(self, fields: Mapping[str, EntryField], table: Table, mapped: Sequence[str]) -> None:
        self._dumpers = {
            name: _dumper(TypeAdapter(fields[name].annotation))
            for name in mapped
            if isinstance(table.columns[name].type, JSONB) and not _is_json(fields[name].annotation)
        }
        self._moments = tuple(
            name for name in mapped if isinstance(table.columns[name].type, DateTime) and not fields[name].read_only
        )

    def stored(self, values: dict[str, object]) -> dict[str, object]:
        """The same mapping, its values as the Dao takes them."""
        for name in self._moments:
            moment = values.get(name)
            if isinstance(moment, datetime) and moment.tzinfo is None:
                values[name] = in_utc(moment)
        for name, dump in self._dumpers.items():
            if values.get(name) is not None:
                values[name] = dump(values[name])
        return values

    def column(self, name: str, values: Sequence[object]) -> Sequence[object]:
        """The values of one field of many records, as the Dao takes them."""
        if name in self._moments:
            return [
                in_utc(value) if isinstance(value, datetime) and value.tzinfo is None else value for value in values
            ]
        dump = self._dumpers.get(name)
        return values if dump is None else [None if value is None else dump(value) for value in values]

    def rows(self, names: Sequence[str], rows: Sequence[Sequence[object]]) -> Sequence[Sequence[object]]:
        """Many records by position, as the Dao takes them; those that are so already are answered as they are."""
        at = [place for place, name in enumerate(names) if name in self._moments or name in self._dumpers]
        if not at or not rows:
            return rows
        columns: list[Sequence[object]] = list(zip(*rows, strict=True))
        for place in at:
            columns[place] = self.column(names[place], columns[place])
        return list(zip(*columns, strict=True))


def _dumper(adapter: TypeAdapter[Any]) -> Callable[[Any], object]:  # Any: a value of whatever type the field has
    to_python = adapter.serializer.to_python

    def dump(value: Any) -> object:
        return cast("object", to_python(value, mode="json", by_alias=True))

    return dump


def _is_json(annotation: object) -> bool:
    """Whether valid values are lists, text-keyed objects, texts, numbers and booleans already: as JSON has them."""
    if annotation in _JSON_SCALARS:
        return True
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType) or origin is list:
        return all(_is_json(argument) for argument in arguments)
    return origin is dict and arguments[0] is str and _is_json(arguments[1])
