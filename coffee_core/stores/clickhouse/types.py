"""Column types in ClickHouse, and how a value of each travels as a parameter of a statement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from struct import pack
from typing import Any, NamedTuple

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

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, BEHIND = datetime(1900, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
"""Times that DateTime64(6) holds."""

Sent = Callable[[Any], object]  # takes a checked value of the type

BARE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


def identifier(name: str) -> str:
    """A name, quoted. Only names of the Entity's columns and of tables come here."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def literal(text: str) -> str:
    """A text as a literal, for what is part of a statement's shape (steps of a JSON path): bytes, all but plain ones
    escaped, so that nothing in it means anything to ClickHouse or to its driver."""
    return "'" + "".join([chr(byte) if byte in BARE else f"\\x{byte:02x}" for byte in text.encode()]) + "'"


class Form(NamedTuple):
    """`name` is the column's type; a value is sent as a parameter of type `sent_as`, made by `send`.

    `bound` wraps that parameter where it meets the column, `ordered` both sides of a comparison by size and what rows
    are sorted by; `within` is the test whether `column` is one of a list of such parameters.
    """

    name: str
    sent_as: str
    send: Sent
    bound: str = "{}"
    ordered: str = "{}"
    within: str = "{column} IN {values}"

    def elements(self, values: str) -> str:
        """A list of parameters as the column's own type."""
        return values if self.bound == "{}" else f"arrayMap(sent -> {self.bound.format('sent')}, {values})"


FLOAT = Form(
    "Float64",
    "Int64",
    lambda value: int.from_bytes(pack(">d", value), "big", signed=True),
    bound="reinterpretAsFloat64({})",
    within="has(arrayMap(sent -> reinterpretAsFloat64(sent), {values}), {column})",
)
"""ClickHouse reads a float of a parameter's text only nearly right (of random ones, every fourth): its bits travel."""


def form_of(type_: Any) -> Form:
    """How values of a SQLAlchemy type are kept and sent (its type objects share no useful base: Any)."""
    if isinstance(type_, ARRAY):
        item = form_of(type_.item_type)
        return Form(f"Array({item.name})", f"Array({item.sent_as})", lambda values: [item.send(one) for one in values])
    if isinstance(type_, Boolean):
        return Form("Bool", "UInt8", int)
    if isinstance(type_, Integer):
        bits = 16 if isinstance(type_, SmallInteger) else 64 if isinstance(type_, BigInteger) else 32
        return Form(f"Int{bits}", f"Int{bits}", _same)
    if isinstance(type_, Float):
        return FLOAT
    if isinstance(type_, Numeric):
        name = f"Decimal({type_.precision or 38}, {10 if type_.scale is None else type_.scale})"
        return Form(name, name, _same)
    if isinstance(type_, DateTime):  # the driver cuts parameters to whole seconds: they travel as microseconds
        return Form(
            "DateTime64(6, 'UTC')",
            "Int64",
            microseconds,
            bound="fromUnixTimestamp64Micro({}, 'UTC')",
            within="toUnixTimestamp64Micro({column}) IN {values}",
        )
    if isinstance(type_, Date):
        return Form("Date32", "Date32", _same)
    if isinstance(type_, Uuid):  # ClickHouse sorts UUIDs by their second half first; their texts sort as they read
        return Form("UUID", "UUID", _same, ordered="toString({})")
    if isinstance(type_, String):
        return Form("String", "String", _same)
    raise TypeError(f"ClickHouse keeps no {type_!r}")


def column_type(column: Column[Any]) -> str:
    """The ClickHouse type of a column. Arrays are never NULL there; documents are kept as JSON text."""
    if isinstance(column.type, ARRAY) and column.nullable:
        raise TypeError(f"ClickHouse has no NULL arrays: declare {column} not nullable, with the default '{{}}'")
    name = "String" if isinstance(column.type, JSON) else form_of(column.type).name
    return f"Nullable({name})" if column.nullable else name


def _same(value: Any) -> object:
    return value


def in_range(value: datetime) -> datetime:
    """The time, if DateTime64(6) holds it."""
    if not FIRST <= value < BEHIND:
        raise InputError("ClickHouse keeps times of the years 1900 to 2261 only")
    return value


def microseconds(value: datetime) -> int:
    """Since 1970, exactly."""
    return (in_range(value) - EPOCH) // timedelta(microseconds=1)
