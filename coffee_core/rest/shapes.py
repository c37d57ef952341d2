"""Takes a search apart: its shape, compiled once, and its values, bound with each call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

from coffee_core.domain.errors import InputError
from coffee_core.domain.search import Condition, FilterType, Node
from coffee_core.rest.dao_provider import ConditionShape, GroupShape, JsonKind, NodeShape


def _json_kind(value: object) -> JsonKind:
    if isinstance(value, bool):
        return JsonKind.BOOLEAN
    if isinstance(value, int | float):
        return JsonKind.NUMBER
    return JsonKind.TEXT


_OF_OTHER_VALUES = frozenset(
    (FilterType.IS_NULL, FilterType.NOT_NULL, FilterType.BETWEEN, FilterType.IN, FilterType.NOT_IN)
)
"""Those that do not take the condition's value as their one value."""


_new: Final = tuple.__new__
"""Makes a NamedTuple without a call of Python: one is made of every condition."""


def _no_pair(field: str) -> NoReturn:
    raise InputError(f"BETWEEN on {field!r} takes a list of two values, the lower first")


def split(node: Node, values: list[object]) -> NodeShape:
    """The shape of `node`; its values are appended to `values` in the order the shape takes them."""
    if not isinstance(node, Condition):
        return _new(GroupShape, (node.op, tuple([split(part, values) for part in node.parts])))
    kind: JsonKind | None = None
    value = node.value
    if not node.path and node.type not in _OF_OTHER_VALUES:  # most conditions: one value of a column
        values.append(value)
        return _new(ConditionShape, (node.type, node.field, (), None))
    match node.type:
        case FilterType.IS_NULL | FilterType.NOT_NULL:
            if node.path:
                kind = JsonKind.TEXT
        case FilterType.BETWEEN:
            if not isinstance(value, Sequence) or len(value) != 2:
                _no_pair(node.field)
            values.extend(value)
            if node.path:
                kind = _json_kind(value[0])
        case FilterType.IN | FilterType.NOT_IN:
            values.append(value)
            if node.path:
                kind = _json_kind(value[0]) if isinstance(value, Sequence) and value else JsonKind.TEXT
        case _:
            values.append(value)
            if node.path:
                kind = _json_kind(value)
    return ConditionShape(node.type, node.field, node.path, kind)


def columns_of(shape: NodeShape) -> set[str]:
    """Every column a shape looks at."""
    match shape:
        case GroupShape(_, parts):
            return {column for part in parts for column in columns_of(part)}
        case ConditionShape(_, column):
            return {column}
        case _:
            return set()
