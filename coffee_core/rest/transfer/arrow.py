"""Columns of Arrow: the type of a field, and how stored values, or the cells of CSV from the store, become it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import ModuleType, NoneType
from typing import Any, get_args, get_origin

import msgspec
import orjson

from coffee_core.domain.errors import NotAcceptableError
from coffee_core.persistence.moments import read_moment
from coffee_core.rest.fields import EntryField
from coffee_core.rest.filters import bare

LISTS = (list, set, tuple, frozenset, Sequence)
INFINITE = {"infinity": date.max, "-infinity": date.min}


def require_pyarrow() -> None:
    """`NotAcceptableError` (406) that says what to install, where there is no pyarrow."""
    pyarrow()


def pyarrow() -> ModuleType:
    """The module, with those of its own that are used. It is an extra, imported where it is used."""
    try:
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError:
        raise NotAcceptableError(
            "format=parquet is not offered here: the server lacks pyarrow (pip install 'coffee-core[parquet]'); "
            "csv and ndjson are"
        ) from None
    found: ModuleType = pyarrow
    return found


class ArrowColumn:
    """One field. Any in its methods: pyarrow has no types."""

    def __init__(self, arrow: ModuleType, field: EntryField) -> None:
        self.name = field.name
        self.type, self._read = _of(arrow, bare(field.annotation))
        self._arrow = arrow
        self._listed = bool(arrow.types.is_list(self.type))

    def of_values(self, values: Sequence[Any]) -> Any:
        """Of stored or an Entry's values."""
        kinds = set(map(type, values))
        if self._read is _text:
            if not kinds <= {str, NoneType}:
                only = kinds.pop() if len(kinds) == 1 else NoneType
                values = list(map(str if issubclass(only, uuid.UUID) else _text, values))
        elif self._read is not _same:
            values = [self._read(value) for value in values]
        return self._arrow.array(values, type=self.type)

    def cell_type(self, stored: type) -> Any | None:
        """What its cells in a CSV are read as, where the column's values are `stored` ones; None: this is not known."""
        arrow = self._arrow
        if self._listed:
            return arrow.binary() if stored in (list, dict) else None
        known = {
            bool: arrow.bool_(),
            int: arrow.int64(),
            float: arrow.float64(),
            datetime: arrow.timestamp("us", tz="UTC"),
            date: arrow.date32(),
        }
        return self.type if known.get(stored, arrow.string()) == self.type else None

    def of_cells(self, cells: Any, stored: type) -> Any:
        """Of cells that were read as `cell_type`, or as texts."""
        if self._listed:  # many records have the same list: each is read once
            coded = cells.dictionary_encode()
            read = [None if text is None else self._read(text) for text in coded.dictionary.to_pylist()]
            return self._arrow.array(read, type=self.type).take(coded.indices)
        if stored is Decimal:  # small ones look different in PostgreSQL
            return self._arrow.array([None if text is None else str(Decimal(text)) for text in cells.to_pylist()])
        if cells.type != self.type:
            read = [None if text is None else _moment(text, stored) for text in cells.to_pylist()]
            return self._arrow.array(read, type=self.type)
        return cells


class CsvReader:
    """Reads blocks of CSV as `WritesCsv` describes them."""

    def __init__(
        self, arrow: ModuleType, columns: Sequence[ArrowColumn], written: Sequence[str], stored: Mapping[str, type]
    ) -> None:
        self._arrow = arrow
        self._columns = columns
        self._written = written
        self._stored = stored
        self._types = {column.name: column.cell_type(stored[column.name]) for column in columns}
        self.able = None not in self._types.values()
        """Whether every column is one of which it is known what its cells mean."""
        moments = [name for name in self._types if issubclass(stored[name], date)]
        self._as_texts = {**self._types, **dict.fromkeys(moments, arrow.string())}

    def read(self, block: bytes) -> list[Any]:
        """The columns of a block, in their order."""
        try:
            table = self._table(block, self._types)
        except self._arrow.ArrowInvalid:  # a time without end, or one that is no time at all
            table = self._table(block, self._as_texts)
        return [
            column.of_cells(table[column.name].combine_chunks(), self._stored[column.name]) for column in self._columns
        ]

    def _table(self, block: bytes, types: Mapping[str, Any]) -> Any:
        csv = self._arrow.csv
        return csv.read_csv(
            self._arrow.BufferReader(block),
            csv.ReadOptions(use_threads=False, column_names=self._written, block_size=len(block) + 1),
            csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )


def _of(arrow: ModuleType, kind: Any) -> tuple[Any, Callable[[Any], object]]:  # Any: a type as the author wrote it
    if get_origin(kind) in LISTS:
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


def _moment(text: str, stored: type) -> object:
    if stored is datetime:
        return read_moment(text)
    return INFINITE.get(text) or date.fromisoformat(text)


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
