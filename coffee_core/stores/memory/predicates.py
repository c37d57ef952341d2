"""Conditions as Python: a shape becomes a function of a row and the values, with a check for each value.

Two-valued throughout: what is unknown (NULL, a missing path, a JSON value of another kind) does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from sqlalchemy import ARRAY

from coffee_core.domain.errors import InputError
from coffee_core.domain.search import FilterType
from coffee_core.rest.dao_provider import ConditionShape, FlagShape, GroupShape, JsonKind, NodeShape, TextShape
from coffee_core.stores.model import Model, Stored
from coffee_core.stores.values import Reader, fold, like_steps, list_reader, read_float, read_text, unfit

Predicate = Callable[[Stored, Sequence[Any]], bool]  # values of any column type
Found = Callable[[Stored], Any]  # a stored value of any type, or None

COMPARISONS: Mapping[FilterType, Callable[[Any, Any], bool]] = {
    FilterType.EQ: lambda found, value: found == value,
    FilterType.NE: lambda found, value: found != value,
    FilterType.GT: lambda found, value: found > value,
    FilterType.GTE: lambda found, value: found >= value,
    FilterType.LT: lambda found, value: found < value,
    FilterType.LTE: lambda found, value: found <= value,
    FilterType.IN: lambda found, values: found in values,
    FilterType.NOT_IN: lambda found, values: None not in values and found not in values,
    FilterType.LIKE: lambda found, pattern: pattern.fullmatch(found) is not None,
    FilterType.ILIKE: lambda found, pattern: pattern.fullmatch(fold(found)) is not None,
    FilterType.ARRAY_CONTAINS: lambda found, values: all(value is not None and value in found for value in values),
    FilterType.ARRAY_OVERLAPS: lambda found, values: any(value is not None and value in found for value in values),
}
LISTS = (FilterType.IN, FilterType.NOT_IN, FilterType.ARRAY_CONTAINS, FilterType.ARRAY_OVERLAPS)
KINDS: Mapping[JsonKind, type | tuple[type, ...]] = {
    JsonKind.NUMBER: (int, float),
    JsonKind.TEXT: str,
    JsonKind.BOOLEAN: bool,
}


class Where:
    """The predicate of a whole shape. `readers` collects, in order, the check of each value it takes."""

    def __init__(self, model: Model, shape: NodeShape, readers: list[Reader]) -> None:
        self._model = model
        self._readers = readers
        self.holds = self._node(shape)

    def _node(self, shape: NodeShape) -> Predicate:
        match shape:
            case GroupShape("not", (part,)):
                inner = self._node(part)
                return lambda row, values: not inner(row, values)
            case GroupShape(op, parts):
                each = [self._node(part) for part in parts]
                if op == "and":
                    return lambda row, values: all(part(row, values) for part in each)
                return lambda row, values: any(part(row, values) for part in each)
            case FlagShape(column, wanted):
                return lambda row, _: row[column] is wanted
            case TextShape(columns):
                return self._words(columns)
            case ConditionShape():
                return self._condition(shape)
            case _:
                assert_never(shape)

    def _take(self, read: Reader) -> int:
        self._readers.append(read)
        return len(self._readers) - 1

    def _words(self, columns: tuple[str, ...]) -> Predicate:
        at = self._take(lambda text: [fold(word) for word in read_text(text, "text").split()])

        def holds(row: Stored, values: Sequence[Any]) -> bool:
            texts = [fold(row[column]) for column in columns if row[column] is not None]
            return all(any(word in text for text in texts) for word in values[at])

        return holds

    def _condition(self, shape: ConditionShape) -> Predicate:
        found = self._found(shape)
        if shape.type is FilterType.IS_NULL:
            return lambda row, _: found(row) is None
        if shape.type is FilterType.NOT_NULL:
            return lambda row, _: found(row) is not None
        read = self._reader(shape)
        if shape.type is FilterType.BETWEEN:
            low, high = self._take(read), self._take(read)
            return lambda row, values: _between(found(row), values[low], values[high])
        at = self._take(list_reader(read, shape.column) if shape.type in LISTS else read)
        compare = COMPARISONS[shape.type]

        def holds(row: Stored, values: Sequence[Any]) -> bool:
            here, value = found(row), values[at]
            return here is not None and value is not None and compare(here, value)

        return holds

    def _found(self, shape: ConditionShape) -> Found:
        column, path = shape.column, shape.path
        if not path:
            return lambda row: row[column]
        if shape.type in (FilterType.IS_NULL, FilterType.NOT_NULL):
            return lambda row: _at(row[column], path)
        wanted = KINDS[shape.kind or JsonKind.TEXT]
        if shape.type in (FilterType.ARRAY_CONTAINS, FilterType.ARRAY_OVERLAPS):
            return lambda row: _of_kind(_at(row[column], path), list)
        return lambda row: _of_kind(_at(row[column], path), wanted)

    def _reader(self, shape: ConditionShape) -> Reader:
        name, type_ = shape.column, self._model.columns[shape.column].type
        if shape.type in (FilterType.LIKE, FilterType.ILIKE):
            folded = shape.type is FilterType.ILIKE
            return lambda value: None if value is None else _pattern(value, name, folded=folded)
        if shape.type in (FilterType.ARRAY_CONTAINS, FilterType.ARRAY_OVERLAPS) and not shape.path:
            if not isinstance(type_, ARRAY):
                raise InputError(f"{name!r} is no array")
            read = self._model.readers[name]
            return lambda value: _only(read([value]))
        if shape.path:
            return _json_reader(name, shape)
        if name in self._model.json:
            raise InputError(f"{name!r} is a JSON document: search it by a path into it")
        return self._model.readers[name]


def _only(values: Any) -> object:
    return values[0]


def _between(found: Any, low: Any, high: Any) -> bool:
    return found is not None and low is not None and high is not None and bool(low <= found <= high)


def _at(document: Any, path: tuple[str, ...]) -> Any:
    """The value at the end of a path of object members; None where there is none."""
    for step in path:
        if not isinstance(document, dict):
            return None
        document = document.get(step)
    return document


def _of_kind(value: Any, kind: type | tuple[type, ...]) -> Any:
    if isinstance(value, bool) and kind is not bool:
        return None
    return value if isinstance(value, kind) else None


def _json_reader(name: str, shape: ConditionShape) -> Reader:
    kind = shape.kind or JsonKind.TEXT
    if shape.type in (FilterType.ARRAY_CONTAINS, FilterType.ARRAY_OVERLAPS):
        kind = JsonKind.TEXT  # arrays inside documents are searched for texts

    def read(value: object) -> object:
        if value is None:
            return None
        if kind is JsonKind.NUMBER:
            return read_float(value, name)
        if kind is JsonKind.BOOLEAN:
            if not isinstance(value, bool):
                raise unfit(name, "a boolean")
            return value
        return read_text(value, name)

    return read


def _pattern(value: object, name: str, *, folded: bool) -> re.Pattern[str]:
    steps = like_steps(value, name)
    parts = [
        (".*" if char == "%" else ".") if wild else re.escape(fold(char) if folded else char) for wild, char in steps
    ]
    return re.compile("".join(parts), re.DOTALL)
