"""Many rows in one statement: as one array for each column, or as one JSON document where a column has no array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Float,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import Dialect

from coffee_core.domain.errors import InputError

ELEMENTS: Mapping[type, str] = {
    BigInteger: "bigint",
    Boolean: "boolean",
    Date: "date",
    Double: "double precision",
    Float: "double precision",
    Integer: "integer",
    JSONB: "text",  # a document travels as its text, and is read as one when it is written
    Numeric: "numeric",
    SmallInteger: "smallint",
    String: "text",  # without its length: a cast to it would cut what is too long, where the column refuses it
    Text: "text",
    Uuid: "uuid",
}
"""By the exact class of a column's type, as a subclass (an enumeration) may be kept in another way."""
INTEGERS = (BigInteger, Integer, SmallInteger)
PLACE = "coffee_place"
"""Where a row stands among those that were given."""


def to_json(value: object) -> bytes:
    """A document as it is sent; `InputError` if it is none."""
    try:
        return orjson.dumps(value, default=str)
    except TypeError:
        raise InputError("a JSON document has text keys, well-formed texts and numbers of at most 64 bits") from None


class Arrays(NamedTuple):
    """How rows become the statement's parameters, one for each column."""

    documents: tuple[int, ...]
    """Places of the columns that hold JSON."""

    def of(self, rows: Sequence[Sequence[object]]) -> Sequence[object]:
        """The columns of the rows."""
        columns: list[Sequence[object]] = list(zip(*rows, strict=True))
        for at in self.documents:
            columns[at] = [None if value is None else to_json(value).decode() for value in columns[at]]
        return columns


def arrays_of(columns: Sequence[Column[Any]]) -> Arrays | None:
    """None where a column has no array: its own type is an array, or one that is not known here."""
    if any(_element(column) is None for column in columns):
        return None
    return Arrays(tuple([at for at, column in enumerate(columns) if isinstance(column.type, JSONB)]))


def many_rows(columns: Sequence[Column[Any]], dialect: Dialect, *, ordered: bool) -> str:
    """A SELECT of the rows, as many as there are; `ordered`: in the order in which they were given, which is then the
    order in which they are written and answered."""
    quote: Callable[[str], str] = dialect.identifier_preparer.quote
    names = [quote(column.name) for column in columns]
    if arrays_of(columns) is None:
        typed = ", ".join(f"{name} {column.type.compile(dialect)}" for name, column in zip(names, columns, strict=True))
        # its rows are an array's elements, which come out in their order
        return f"SELECT {', '.join(names)} FROM jsonb_to_recordset($1) AS r({typed})"  # noqa: S608  # quoted names of the Entity's columns
    read = [f"{name}::jsonb" if isinstance(c.type, JSONB) else name for name, c in zip(names, columns, strict=True)]
    arrays = ", ".join(f"${at}::{_element(column)}[]" for at, column in enumerate(columns, 1))
    if not ordered:
        return f"SELECT {', '.join(read)} FROM unnest({arrays}) AS r({', '.join(names)})"  # noqa: S608  # as above
    numbered = f"unnest({arrays}) WITH ORDINALITY AS r({', '.join(names)}, {PLACE})"
    return f"SELECT {', '.join(read)} FROM {numbered} ORDER BY {PLACE}"  # noqa: S608  # as above


def _element(column: Column[Any]) -> str | None:
    if isinstance(column.type, DateTime) and type(column.type) is DateTime:
        return "timestamptz" if column.type.timezone else "timestamp"
    return ELEMENTS.get(type(column.type))
