"""Conditions in ClickHouse's SQL, with the meaning they have in every store.

ClickHouse's AND and OR are three-valued as PostgreSQL's are; `not` is made two-valued, and a comparison with a list is
kept from being NULL where the list is empty.
"""

from __future__ import annotations

from typing import Any, assert_never

from sqlalchemy import ARRAY, String

from coffee_core.domain.errors import InputError
from coffee_core.domain.search import FilterType
from coffee_core.rest.dao_provider import ConditionShape, FlagShape, GroupShape, JsonKind, NodeShape, TextShape
from coffee_core.stores.clickhouse.binds import Binds
from coffee_core.stores.clickhouse.types import FLOAT, Form, form_of, identifier, literal
from coffee_core.stores.model import Model
from coffee_core.stores.values import Reader, like_steps, list_reader, read_float, read_text, unfit

OPERATORS = {
    FilterType.EQ: "=",
    FilterType.NE: "!=",
    FilterType.GT: ">",
    FilterType.GTE: ">=",
    FilterType.LT: "<",
    FilterType.LTE: "<=",
}
ARRAYS = (FilterType.ARRAY_CONTAINS, FilterType.ARRAY_OVERLAPS)
ORDERLESS = (FilterType.EQ, FilterType.NE)
TEXT, NUMBER, BOOLEAN = form_of(String()), FLOAT, Form("Bool", "UInt8", int)
JSON_NUMBERS = "('Int64', 'UInt64', 'Double')"
NO_NULL = (FilterType.NOT_IN, FilterType.ARRAY_CONTAINS)
"""Operators with a list that match nothing where NULL is in it."""


class Conditions:
    """For one table."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def where(self, shape: NodeShape, binds: Binds) -> str:
        """The expression of a whole shape."""
        match shape:
            case GroupShape("not", (part,)):
                return f"NOT ifNull({self.where(part, binds)}, 0)"
            case GroupShape(op, parts):
                if not parts:
                    return "1" if op == "and" else "0"
                return "(" + f" {op.upper()} ".join([self.where(part, binds) for part in parts]) + ")"
            case FlagShape(column, value):
                return f"{identifier(column)} = {'true' if value else 'false'}"
            case TextShape(columns):
                return _words(columns, binds)
            case ConditionShape():
                return self._document(shape, binds) if shape.path else self._column(shape, binds)
            case _:
                assert_never(shape)

    def _column(self, shape: ConditionShape, binds: Binds) -> str:
        column = self._model.columns[shape.column]
        name = identifier(shape.column)
        if shape.type is FilterType.IS_NULL:
            return f"isNull({name})"
        if shape.type is FilterType.NOT_NULL:
            return f"isNotNull({name})"
        if shape.column in self._model.json:
            raise InputError(f"{shape.column!r} is a JSON document: search it by a path into it")
        if shape.type in ARRAYS:
            if not isinstance(column.type, ARRAY):
                raise InputError(f"{shape.column!r} is no array")
            return _array(shape.type, name, form_of(column.type.item_type), self._model.readers[shape.column], binds)
        return _compared(shape, name, form_of(column.type), self._model.readers[shape.column], binds)

    def _document(self, shape: ConditionShape, binds: Binds) -> str:
        name = identifier(shape.column)
        if self._model.columns[shape.column].nullable:
            name = f"ifNull({name}, 'null')"
        where = ", ".join([name, *map(literal, shape.path)])
        kind = f"JSONType({where})"
        match shape.type:
            case FilterType.IS_NULL:
                return f"{kind} = 'Null'"
            case FilterType.NOT_NULL:
                return f"{kind} != 'Null'"
            case FilterType.ARRAY_CONTAINS | FilterType.ARRAY_OVERLAPS:
                texts = f"arrayFilter(one -> JSONType(one) = 'String', JSONExtractArrayRaw({where}))"
                texts = f"arrayMap(one -> JSONExtractString(one), {texts})"
                matches = _array(shape.type, texts, TEXT, list_reader(_text_reader(shape.column), shape.column), binds)
                return f"({kind} = 'Array' AND {matches})"
            case _:
                pass
        match shape.kind or JsonKind.TEXT:
            case JsonKind.NUMBER:
                value, form = f"if({kind} IN {JSON_NUMBERS}, JSONExtractFloat({where}), NULL)", NUMBER
                read: Reader = _number_reader(shape.column)
            case JsonKind.BOOLEAN:
                value, form = f"if({kind} = 'Bool', JSONExtractBool({where}), NULL)", BOOLEAN
                read = _boolean_reader(shape.column)
            case _:
                value, form = f"if({kind} = 'String', JSONExtractString({where}), NULL)", TEXT
                read = _text_reader(shape.column)
        return _compared(shape, value, form, read, binds)


def _compared(shape: ConditionShape, expression: str, form: Form, read: Reader, binds: Binds) -> str:
    match shape.type:
        case FilterType.IN | FilterType.NOT_IN:
            return _listed(shape, expression, form, read, binds)
        case FilterType.BETWEEN:
            low, high = (form.bound.format(binds.scalar(read, form.sent_as, form.send)) for _ in range(2))
            here, low, high = (form.ordered.format(one) for one in (expression, low, high))
            return f"({here} >= {low} AND {here} <= {high})"
        case FilterType.LIKE | FilterType.ILIKE:
            name = shape.column
            pattern = binds.scalar(lambda value: None if value is None else _pattern(value, name), "String", _same)
            return f"{expression} {shape.type} {pattern}"
        case _:
            value = form.bound.format(binds.scalar(read, form.sent_as, form.send))
            if shape.type not in ORDERLESS:
                expression, value = form.ordered.format(expression), form.ordered.format(value)
            return f"{expression} {OPERATORS[shape.type]} {value}"


def _listed(shape: ConditionShape, expression: str, form: Form, read: Reader, binds: Binds) -> str:
    at = binds.value(list_reader(read, shape.column))
    values = binds.parameter(at, f"Array({form.sent_as})", lambda given: _without_null(given, form))
    within = form.within.format(column=expression, values=values)
    if shape.type is FilterType.IN:
        return f"(isNotNull({expression}) AND {within})"
    may = binds.parameter(at, "UInt8", _has_no_null)
    return f"({may} AND isNotNull({expression}) AND NOT {within})"


def _array(type_: FilterType, expression: str, form: Form, read: Reader, binds: Binds) -> str:
    at = binds.value(read)
    values = form.elements(binds.parameter(at, f"Array({form.sent_as})", lambda given: _without_null(given, form)))
    if type_ is FilterType.ARRAY_OVERLAPS:
        return f"hasAny({expression}, {values})"
    may = binds.parameter(at, "UInt8", _has_no_null)
    return f"({may} AND hasAll({expression}, {values}))"


def _words(columns: tuple[str, ...], binds: Binds) -> str:
    at = binds.value(lambda text: read_text(text, "text").split())
    words = binds.parameter(at, "Array(String)", _same)
    if not columns:
        return f"empty({words})"
    parts = ", ' ', ".join([f"ifNull({identifier(column)}, '')" for column in columns])
    text = f"concat({parts})" if len(columns) > 1 else parts
    return f"arrayAll(word -> positionCaseInsensitiveUTF8({text}, word) > 0, {words})"


def _same(value: Any) -> object:
    return value


def _without_null(values: Any, form: Form) -> list[object]:
    return [form.send(value) for value in values or () if value is not None]


def _has_no_null(values: Any) -> int:
    return int(values is not None and None not in values)


def _pattern(value: object, name: str) -> str:
    """In ClickHouse a backslash before anything but `%`, `_` and itself means itself: there it is dropped."""
    return "".join(
        [f"\\{char}" if not wildcard and char in "%_\\" else char for wildcard, char in like_steps(value, name)]
    )


def _text_reader(name: str) -> Reader:
    return lambda value: None if value is None else read_text(value, name)


def _number_reader(name: str) -> Reader:
    return lambda value: None if value is None else read_float(value, name)


def _boolean_reader(name: str) -> Reader:
    def read(value: object) -> object:
        if value is not None and not isinstance(value, bool):
            raise unfit(name, "a boolean")
        return value

    return read
