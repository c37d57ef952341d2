"""What a caller looks for: a typed filter tree, an order, a page. The same in every store.

Rules that hold on every store: NULL matches only IS_NULL (and is never equal, unequal, in or not in anything); NULLs
sort last in both directions; text compares by code point; ties are broken by id in the direction of the sort;
times are compared as instants.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec
from sqlalchemy.orm import InstrumentedAttribute

T = TypeVar("T")


class FilterType(StrEnum):
    """The operators of a condition, by their names on the wire."""

    EQ = "EQ"
    NE = "NE"
    GT = "GT"
    GTE = "GTE"
    LT = "LT"
    LTE = "LTE"
    IN = "IN"
    NOT_IN = "NOT_IN"
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    BETWEEN = "BETWEEN"
    ARRAY_CONTAINS = "ARRAY_CONTAINS"
    ARRAY_OVERLAPS = "ARRAY_OVERLAPS"
    IS_NULL = "IS_NULL"
    NOT_NULL = "NOT_NULL"


class Condition(msgspec.Struct, frozen=True):
    """`field` is the Entity's name for it; `path` leads into a JSON column; `value` is already of the field's type.

    IN, NOT_IN, ARRAY_*: a list. BETWEEN: a pair, both ends included. IS_NULL, NOT_NULL: None.
    """

    type: FilterType
    field: str
    value: object = None
    path: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True):
    """All of, any of, or none of (`not` takes one part)."""

    op: Literal["and", "or", "not"]
    parts: tuple[Node, ...]


Node: TypeAlias = Condition | Group

EVERYTHING = Group("and", ())


class Path(Generic[T]):
    """A typed field of an Entity: `path(YoutubeEntity.followers).gte(1000)`; the value's type is the column's."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def eq(self, value: T) -> Condition:
        """Equal."""
        return Condition(FilterType.EQ, self.name, value)

    def ne(self, value: T) -> Condition:
        """Not equal, and not NULL."""
        return Condition(FilterType.NE, self.name, value)

    def gt(self, value: T) -> Condition:
        """Greater."""
        return Condition(FilterType.GT, self.name, value)

    def gte(self, value: T) -> Condition:
        """Greater or equal."""
        return Condition(FilterType.GTE, self.name, value)

    def lt(self, value: T) -> Condition:
        """Less."""
        return Condition(FilterType.LT, self.name, value)

    def lte(self, value: T) -> Condition:
        """Less or equal."""
        return Condition(FilterType.LTE, self.name, value)

    def within(self, values: Sequence[T]) -> Condition:
        """One of `values`."""
        return Condition(FilterType.IN, self.name, list(values))

    def between(self, low: T, high: T) -> Condition:
        """From `low` to `high`, both included."""
        return Condition(FilterType.BETWEEN, self.name, (low, high))

    def is_null(self) -> Condition:
        """Without a value."""
        return Condition(FilterType.IS_NULL, self.name)

    def not_null(self) -> Condition:
        """With a value."""
        return Condition(FilterType.NOT_NULL, self.name)


def path(attribute: InstrumentedAttribute[T]) -> Path[T]:
    """The typed field of a mapped attribute."""
    return Path(attribute.key)


def all_of(*parts: Node) -> Group:
    """Every part holds."""
    return Group("and", parts)


def any_of(*parts: Node) -> Group:
    """At least one part holds."""
    return Group("or", parts)


def none_of(part: Node) -> Group:
    """The part does not hold (NULL comparisons count as not holding)."""
    return Group("not", (part,))


def fields_of(node: Node) -> set[str]:
    """Every field that a filter looks at."""
    if isinstance(node, Condition):
        return {node.field}
    found: set[str] = set()
    for part in node.parts:
        if isinstance(part, Condition):
            found.add(part.field)
        else:
            found |= fields_of(part)
    return found


class CountMode(StrEnum):
    """How `totalCount` is found: counted, taken from the store's statistics, or not at all."""

    EXACT = "exact"
    ESTIMATED = "estimated"
    NONE = "none"


class Cursor(msgspec.Struct, frozen=True):
    """A place between two rows, and the way that is read from it: right behind the row of this sort value and id, or
    right `before` it, onwards or `backwards`. The row itself may be gone."""

    sort_value: object
    id: object
    before: bool = False
    backwards: bool = False


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of what matches `where`.

    With `after` the page starts at that place (keyset paging, right while rows are inserted), or ends there if it is
    read backwards; else it starts at (`page` - 1) * `size`. Its rows are in the order of the sort either way. `fields`
    narrows what is read; `text` is the free-text search.
    """

    where: Node = EVERYTHING
    sort_by: str = "id"
    descending: bool = False
    page: int = 1
    size: int = 50
    after: Cursor | None = None
    count: CountMode = CountMode.EXACT
    fields: tuple[str, ...] | None = None
    text: str | None = None
