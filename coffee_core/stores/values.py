"""Checks that a value fits its column, for stores whose driver does not: what PostgreSQL refuses is refused alike."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import orjson
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Uuid,
)

from coffee_core.domain.errors import InputError

Reader = Callable[[object], object]
"""Gives the value in the one form the store keeps, or raises InputError; None passes."""


def reader_of(column: Column[Any]) -> Reader:
    """The check for values of `column`."""
    return reader_for(column.type, column.name)


def reader_for(type_: Any, name: str) -> Reader:
    """The check for values of a SQLAlchemy type (its type objects share no useful base: Any)."""
    read = _plain_reader(type_, name)
    return lambda value: None if value is None else read(value)


def list_reader(read: Reader, name: str) -> Reader:
    """For operators that take a list: each of its values is read."""

    def read_list(value: object) -> object:
        if value is None:
            return None
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise unfit(name, "a list")
        return [read(one) for one in value]

    return read_list


def unfit(name: str, expected: str) -> InputError:
    """The refusal; it does not repeat the value, which may be somebody's secret."""
    return InputError(f"a value does not fit {name!r}: expected {expected}")


def _plain_reader(type_: Any, name: str) -> Reader:
    if isinstance(type_, ARRAY):
        return list_reader(reader_for(type_.item_type, name), name)
    if isinstance(type_, JSON):
        return lambda value: read_json(value, name)
    if isinstance(type_, Boolean):
        return lambda value: _instance(value, bool, name)
    if isinstance(type_, Integer):
        bits = 16 if isinstance(type_, SmallInteger) else 64 if isinstance(type_, BigInteger) else 32
        return lambda value: _integer(value, bits, name)
    if isinstance(type_, Float):
        return lambda value: read_float(value, name)
    if isinstance(type_, Numeric):
        return lambda value: _decimal(value, name)
    if isinstance(type_, DateTime):
        return lambda value: _instant(value, name)
    if isinstance(type_, Date):
        return lambda value: _instance(value, date, name)
    if isinstance(type_, Uuid):
        return lambda value: _uuid(value, name)
    if isinstance(type_, String):
        limit = type_.length
        return lambda value: read_text(value, name, limit)
    raise TypeError(f"no store but PostgreSQL knows the type {type_!r} of {name!r}")


def _instance(value: object, kind: type, name: str) -> object:
    if not isinstance(value, kind):
        raise unfit(name, kind.__name__)
    return value


def _integer(value: object, bits: int, name: str) -> int:
    if not isinstance(value, int):
        raise unfit(name, "a whole number")
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise unfit(name, f"a whole number of {bits} bits")
    return int(value)


def read_float(value: object, name: str) -> float:
    """A 64-bit float; a whole number too large for one is refused."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unfit(name, "a number")
    try:
        return float(value)
    except OverflowError:
        raise unfit(name, "a number of 64 bits") from None


def _decimal(value: object, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise unfit(name, "a number")
    try:
        return Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        raise unfit(name, "a number") from None


def _instant(value: object, name: str) -> datetime:
    if not isinstance(value, datetime):
        raise unfit(name, "a time")
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise unfit(name, "a time between the years 1 and 9999") from None


def _uuid(value: object, name: str) -> uuid.UUID:
    if isinstance(value, uuid.UUID):
        return uuid.UUID(int=value.int)  # a subclass or look-alike becomes the standard one
    try:
        return uuid.UUID(cast("str", value))
    except (ValueError, AttributeError, TypeError):
        raise unfit(name, "a UUID") from None


def read_text(value: object, name: str, limit: int | None = None) -> str:
    """Text that every store can hold: no NUL, no lone surrogate."""
    if not isinstance(value, str):
        raise unfit(name, "a text")
    if "\0" in value:
        raise unfit(name, "a text without NUL")
    if limit is not None and len(value) > limit:
        raise unfit(name, f"a text of at most {limit} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise unfit(name, "a text in well-formed Unicode") from None
    return value


def read_json(value: object, name: str) -> object:
    """A JSON document as it comes back from the store: parsed anew, so that no caller shares it."""
    try:
        raw = orjson.dumps(value, default=str)
    except TypeError:
        raise unfit(name, "a JSON document with text keys and numbers of at most 64 bits") from None
    if b"\\u0000" in raw and _has_nul(value):
        raise unfit(name, "a JSON document without NUL in its texts")
    return cast("object", orjson.loads(raw))


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(one) for key, one in value.items())
    return isinstance(value, list | tuple) and any(_has_nul(one) for one in value)


def same_json(one: object, other: object) -> bool:
    """Whether two documents are equal as jsonb sees it: the order of keys does not count, 1 is 1.0, true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other


def fold(text: str) -> str:
    """Case-folded character by character, as ILIKE does: a letter whose lower case is longer stays as it is."""
    lowered = text.lower()
    if len(lowered) == len(text) and text.isascii():
        return lowered
    return "".join([low if len(low := char.lower()) == 1 else char for char in text])


def like_steps(pattern: object, name: str) -> list[tuple[bool, str]]:
    """A LIKE pattern taken apart: (wildcard, `%` or `_`) and (literal, character). A backslash escapes what follows."""
    text = read_text(pattern, name)
    steps: list[tuple[bool, str]] = []
    escaped = False
    for char in text:
        if escaped or char not in "\\%_":
            steps.append((False, char))
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            steps.append((True, char))
    if escaped:
        raise InputError("a LIKE pattern must not end with a single backslash")
    return steps
