"""What a store without SQLAlchemy knows of a table: columns, checks, defaults, and what a write makes of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

import msgspec
import orjson
from sqlalchemy import ARRAY, JSON, Column, Table

from coffee_core.domain.errors import InputError
from coffee_core.rest.dao_provider import AggregateShape, CountShape, SelectShape, Shape, UpsertShape
from coffee_core.stores.defaults import default_of
from coffee_core.stores.values import reader_of, same_json

Stored: TypeAlias = Mapping[str, Any]  # a row by column; never changed, only replaced. Only the columns know the types
Output = Callable[[Any], object]  # takes a stored value of any column type

NOT_CHANGED = ("created_by", "partner_id", "version", "created_at", "updated_at")
"""What an upsert leaves alone in a row that is there."""

_decode_json = msgspec.json.Decoder().decode


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


class Model:
    """One table. `next_id` makes the ids that a database would count up."""

    def __init__(self, table: Table, now: Callable[[], datetime], next_id: Callable[[], int]) -> None:
        self.table = table
        self.now = now
        self.columns: Mapping[str, Column[Any]] = {column.name: column for column in table.columns}
        self.json = frozenset(name for name, column in self.columns.items() if isinstance(column.type, JSON))
        self.readers = {name: reader_of(column) for name, column in self.columns.items()}
        self.column_types: Mapping[str, type] = {
            name: dict if name in self.json else column.type.python_type for name, column in self.columns.items()
        }
        self._defaults = {
            name: default for name, column in self.columns.items() if (default := default_of(column, now)) is not None
        }
        counted = table.autoincrement_column
        if counted is not None and counted.name not in self._defaults:
            self._defaults[counted.name] = next_id

    def read(self, columns: Sequence[str], values: Sequence[object]) -> dict[str, Any]:
        """Values by column, each checked."""
        return {name: self.readers[name](value) for name, value in zip(columns, values, strict=True)}

    def row(self, given: Mapping[str, object]) -> Stored:
        """A whole row: what was given, with defaults for the rest. A missing value is `InputError`."""
        defaults = self._defaults
        return self._complete(
            {
                name: given[name] if name in given else defaults[name]() if name in defaults else None
                for name in self.columns
            }
        )

    def written(self, row: Stored, changed: Mapping[str, object]) -> Stored:
        """`row` with changes, counted up and dated."""
        new = {**row, **changed}
        if "version" in self.columns:
            new["version"] = row["version"] + 1
        if "updated_at" in self.columns:
            new["updated_at"] = self.now()
        return self._complete(new)

    def _complete(self, row: Stored) -> Stored:
        for name, column in self.columns.items():
            if row[name] is None and not column.nullable:
                raise InputError(f"a value is missing ({name})")
        return row

    def answer(self, columns: Sequence[str]) -> Callable[[Stored], tuple[object, ...]]:
        """Makes what is answered of a row: nothing in it is shared with what is stored."""
        outputs = [(name, self._output(name)) for name in columns]
        return lambda row: tuple([output(row[name]) for name, output in outputs])

    def _output(self, name: str) -> Output:
        if name in self.json:
            return lambda value: None if value is None else msgspec.Raw(orjson.dumps(value))
        if isinstance(self.columns[name].type, ARRAY):
            return lambda value: None if value is None else list(value)
        return lambda value: value

    def plain(self, column: str, value: Any) -> object:  # Any: a stored value of any column type
        """A stored value as Python has it: JSON decoded."""
        if value is not None and column in self.json:
            return _decode_json(value)
        return cast("object", value)


class Upsert:
    """What an upsert makes of each row it is given."""

    def __init__(self, model: Model, shape: UpsertShape) -> None:
        self._model = model
        self._scope = shape.scope
        self.changing = [name for name in shape.columns if name not in (*shape.key, *NOT_CHANGED)]
        self._compared = [name for name in self.changing if name != "updated_by"]

    def change(self, old: Stored, new: Stored) -> Stored | None:
        """The row to write in place of `old`; None if they are equal or `old` is out of scope."""
        if any(old[name] != new[name] for name in self._scope):
            return None
        if all(self._same(name, old[name], new[name]) for name in self._compared):
            return None
        return self._model.written(old, {name: new[name] for name in self.changing})

    def _same(self, name: str, old: object, new: object) -> bool:
        return same_json(old, new) if name in self._model.json else old == new


def key_of(row: Stored, columns: Sequence[str]) -> tuple[object, ...] | None:
    """The row's value of a key; None if one part is NULL: it then equals no other."""
    values = tuple([tuple(value) if isinstance(value := row[name], list) else value for name in columns])
    return None if None in values else values


def refuse_twice(rows: Sequence[Stored], columns: Sequence[str]) -> None:
    """A write that names one key twice does not say what it wants."""
    keys = [key for row in rows if (key := key_of(row, columns)) is not None]
    if len(keys) != len(set(keys)):
        raise InputError("the same key is given twice in one write")


def answered(shape: Shape) -> tuple[str, ...]:
    """What each row that a statement answers holds."""
    match shape:
        case SelectShape(columns):
            return columns
        case CountShape():
            return ("count",)
        case AggregateShape(by, measures):
            return (*[one.column for one in by], *[f"{one.function} {one.column}" for one in measures])
        case _:
            return shape.returning
