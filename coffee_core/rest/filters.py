"""Filters as they come over the wire, read by the fields' types into the typed tree of `coffee_core.domain.search`."""

from __future__ import annotations

import math
import re
import types
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple, Union, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from coffee_core.domain.errors import FieldError, InputError
from coffee_core.domain.search import EVERYTHING, Condition, FilterType, Group, Node
from coffee_core.rest.fields import EntryField
from coffee_core.rest.settings import RestSettings

Kind = Literal["text", "ordered", "plain", "array", "json"]

COMMON = (FilterType.IS_NULL, FilterType.NOT_NULL)
EQUALITY = (FilterType.EQ, FilterType.NE, FilterType.IN, FilterType.NOT_IN)
ORDER = (FilterType.GT, FilterType.GTE, FilterType.LT, FilterType.LTE, FilterType.BETWEEN)
PATTERN = (FilterType.LIKE, FilterType.ILIKE)
ARRAY = (FilterType.ARRAY_CONTAINS, FilterType.ARRAY_OVERLAPS)
COMPARED = (FilterType.EQ, FilterType.NE, FilterType.GT, FilterType.GTE, FilterType.LT, FilterType.LTE)
"""Operators that take one value, whatever it is."""
TYPES: Mapping[str, FilterType] = {one.value: one for one in FilterType}
LISTS = frozenset({FilterType.IN, FilterType.NOT_IN, *ARRAY})
OPERATORS: Mapping[Kind, tuple[FilterType, ...]] = {
    "text": (*EQUALITY, *ORDER, *PATTERN, *COMMON),
    "ordered": (*EQUALITY, *ORDER, *COMMON),
    "plain": (*EQUALITY, *COMMON),
    "array": (*ARRAY, *COMMON),
    "json": (*EQUALITY, *ORDER, *PATTERN, *ARRAY, *COMMON),
}
NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
STEP = re.compile(r'(?:([A-Za-z0-9_\-:]{1,100})|"((?:[^"\\\x00-\x1f\ud800-\udfff]|\\["\\]){1,200})")(?:\.|$)')
STEPS_MAX = 8
PLAIN_STEP = re.compile(r"[A-Za-z0-9_\-:]{1,100}")
QUOTABLE = re.compile(r'["\\]')


def in_utc(moment: datetime) -> datetime:
    """A time that names no zone is UTC: a driver would take it for the zone of the process."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


class FilterField(NamedTuple):
    """How one field may be filtered, and how a value of it is read."""

    name: str
    wire: str
    kind: Kind
    read: Callable[[object], object]


def bare(annotation: Any) -> Any:  # an author's annotation can be anything
    """A type without Annotated and without None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
            continue
        if get_origin(annotation) in (Union, types.UnionType):
            parts = [a for a in get_args(annotation) if a is not type(None)]
            if len(parts) == 1:
                annotation = parts[0]
                continue
        return annotation


def _kind(type_: Any) -> Kind:
    origin = get_origin(type_)
    if origin in (list, set, tuple, Sequence, frozenset):
        return "array"
    if origin in (dict, Mapping) or type_ is dict or (isinstance(type_, type) and issubclass(type_, BaseModel)):
        return "json"
    if isinstance(type_, type):
        if issubclass(type_, bool):
            return "plain"
        if issubclass(type_, str):
            return "plain" if issubclass(type_, Enum) else "text"
        if issubclass(type_, int | float | Decimal | datetime | date | uuid.UUID):
            return "ordered"
    return "text" if origin is Literal else "plain"


MEMBERS = frozenset(("filterType", "field", "value"))
"""Of a condition."""


def _reader(type_: Any, kind: Kind) -> Callable[[object], object]:
    if kind == "array":
        items = get_args(type_)
        adapter: TypeAdapter[Any] = TypeAdapter(items[0] if items else str)
    elif kind == "json":
        return lambda value: value
    else:
        adapter = TypeAdapter(type_)
    validate = adapter.validator.validate_python
    if isinstance(type_, type) and issubclass(type_, datetime):
        return lambda value: in_utc(cast("datetime", validate(value, strict=False)))
    return partial(validate, strict=False)


class FilterReader:
    """For one Entry."""

    def __init__(self, fields: Mapping[str, EntryField], stored: Sequence[str], settings: RestSettings) -> None:
        self._settings = settings
        self.fields: dict[str, FilterField] = {}
        """By wire name and by Python name."""
        for field in fields.values():
            if field.name in stored:
                type_ = bare(field.annotation)
                kind = _kind(type_)
                known = FilterField(field.name, field.wire, kind, _reader(type_, kind))
                self.fields[field.wire] = self.fields[field.name] = known
        self._direct = {
            (type_.value, name): (type_, field)
            for name, field in self.fields.items()
            if field.kind not in ("json", "array")
            for type_ in COMPARED
            if type_ in OPERATORS[field.kind]
        }
        """By operator and field: most conditions compare a column with one value."""

    def wire_names(self) -> list[str]:
        """What may be filtered by."""
        return [name for name, field in self.fields.items() if name == field.wire]

    def read(self, given: object) -> Node:
        """The list under `filters`: all of them hold."""
        if not isinstance(given, list):
            raise _bad("/filters", "must be a list of filters")
        if not given:
            return EVERYTHING
        budget = [self._settings.filters_max]
        parts = tuple([self._node(one, f"/filters/{at}", 1, budget) for at, one in enumerate(given)])
        return parts[0] if len(parts) == 1 else Group("and", parts)

    def _node(self, given: object, pointer: str, depth: int, budget: list[int]) -> Node:
        if depth > self._settings.filter_depth_max:
            raise _bad(pointer, f"nests deeper than {self._settings.filter_depth_max}")
        if not isinstance(given, dict):
            raise _bad(pointer, "must be an object")
        raw: dict[str, object] = given
        if "filterType" in raw:
            budget[0] -= 1
            if budget[0] < 0:
                raise _bad(pointer, f"is one condition too many: at most {self._settings.filters_max}")
            return self._condition(raw, pointer)
        if len(raw) == 1:
            op, parts = next(iter(raw.items()))
            if op in ("and", "or"):
                if not isinstance(parts, list) or not parts:
                    raise _bad(f"{pointer}/{op}", "must be a list of at least one filter")
                nodes = tuple([self._node(p, f"{pointer}/{op}/{at}", depth + 1, budget) for at, p in enumerate(parts)])
                return Group("and" if op == "and" else "or", nodes)
            if op == "not":
                return Group("not", (self._node(parts, f"{pointer}/not", depth + 1, budget),))
        raise _bad(pointer, "must be {filterType, field, value}, {and: [...]}, {or: [...]} or {not: ...}")

    def _condition(self, raw: Mapping[str, object], pointer: str) -> Condition:
        asked, name, value = raw["filterType"], raw.get("field"), raw.get("value")
        if value is not None and len(raw) == 3 and isinstance(asked, str) and isinstance(name, str):  # and no others
            direct = self._direct.get((asked, name))
            if direct is not None:
                type_, field = direct
                return Condition(type_, field.name, self._one(field, value, f"{pointer}/value"))
        return self._other_condition(raw, pointer)

    def _other_condition(self, raw: Mapping[str, object], pointer: str) -> Condition:
        if not raw.keys() <= MEMBERS:
            unknown = raw.keys() - MEMBERS
            raise _bad(pointer, f"has unknown members {sorted(unknown)}; there are filterType, field, value")
        name = raw.get("field")
        if not isinstance(name, str):
            raise _bad(f"{pointer}/field", "must be a field's name")
        field, path = self._find(name, f"{pointer}/field")
        asked = raw["filterType"]
        type_ = TYPES.get(asked) if isinstance(asked, str) else None
        if type_ is None:
            raise _bad(f"{pointer}/filterType", f"must be one of {', '.join(FilterType)}")
        allowed = OPERATORS[field.kind] if field.kind != "json" or path else COMMON
        if type_ not in allowed:
            raise _bad(f"{pointer}/filterType", f"{field.wire} takes {', '.join(allowed)}")
        value = raw.get("value")
        if type_ in COMMON:
            if value is not None:
                raise _bad(f"{pointer}/value", f"{type_} takes no value")
            return Condition(type_, field.name, None, path)
        return Condition(type_, field.name, self._value(type_, field, value, f"{pointer}/value"), path)

    def _find(self, name: str, pointer: str) -> tuple[FilterField, tuple[str, ...]]:
        field = self.fields.get(name)
        if field is not None:
            return field, ()
        head, dot, rest = name.partition(".")
        field = self.fields.get(head)
        if field is not None and dot and field.kind == "json":
            steps = path_steps(rest)
            if steps:
                return field, steps
        raise _bad(pointer, f"unknown field {name[:100]!r}; there are {', '.join(self.wire_names())}")

    def _value(self, type_: FilterType, field: FilterField, value: object, pointer: str) -> object:
        if type_ in LISTS or type_ is FilterType.BETWEEN:
            if type_ in ARRAY and not isinstance(value, list):
                value = [value]
            if not isinstance(value, list):
                raise _bad(pointer, f"{type_} takes a list")
            if type_ is FilterType.BETWEEN and len(value) != 2:
                raise _bad(pointer, "BETWEEN takes a list of two values, the lower first")
            if len(value) > self._settings.filter_values_max:
                raise _bad(pointer, f"has {len(value)} values; at most {self._settings.filter_values_max}")
            if field.kind == "json" and type_ is FilterType.BETWEEN:
                value = [_number_or_same(one) for one in value]
            return [self._one(field, one, f"{pointer}/{at}") for at, one in enumerate(value)]
        if type_ in PATTERN and not isinstance(value, str):
            raise _bad(pointer, f"{type_} takes a text pattern")
        if field.kind == "json" and type_ in ORDER:
            value = _number_or_same(value)
        return self._one(field, value, pointer)

    def _one(self, field: FilterField, value: object, pointer: str) -> object:
        if value is None:
            raise _bad(pointer, "null matches nothing; use IS_NULL or NOT_NULL")
        if field.kind == "json" and not isinstance(value, str | int | float | bool):
            raise _bad(pointer, "must be a text, a number or a boolean")
        try:
            read = field.read(value)
        except ValidationError as error:
            raise _bad(pointer, f"is not a value of {field.wire}: {error.errors()[0]['msg']}") from None
        if isinstance(read, float) and not math.isfinite(read):
            raise _bad(pointer, "must be a finite number")
        return read


def path_steps(text: str) -> tuple[str, ...]:
    """`city.Pune` or `city."New York"`: a step of other characters stands in quotes, with a backslash before a quote
    or a backslash. What is no path has no steps."""
    steps: list[str] = []
    at = 0
    while at < len(text):
        found = STEP.match(text, at)
        if found is None or len(steps) == STEPS_MAX:
            return ()
        steps.append(found[1] or re.sub(r'\\(["\\])', r"\1", found[2]))
        at = found.end()
    return () if text.endswith(".") else tuple(steps)


def path_text(steps: Sequence[str]) -> str:
    """The steps as `path_steps` reads them."""
    return ".".join([one if PLAIN_STEP.fullmatch(one) else '"' + QUOTABLE.sub(r"\\\g<0>", one) + '"' for one in steps])


def _number_or_same(value: object) -> object:
    """Inside JSON no field says what a value is. What is compared by size and looks like a number is one, as it would
    be for a column: `"value": "50"` on `audience_gender.male_per`. Equality takes a text as the text it is."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    return value


def _bad(pointer: str, detail: str) -> InputError:
    return InputError(f"{pointer} {detail}", errors=[FieldError(pointer, detail)])
