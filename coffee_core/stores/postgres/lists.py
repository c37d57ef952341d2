"""Many rows in one statement, each column as a list in JSON: written in C, where arrays cost two Python calls a value.
Only for values of exactly the class that a column's type is for: for others there are arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, Float, Integer, SmallInteger, String, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import Dialect

from coffee_core.persistence.moments import moment_text
from coffee_core.stores.postgres.many import PLACE

_NULL = type(None)


class Kind(NamedTuple):
    """How the values of one type travel."""

    read: str
    """What makes a value of an element."""
    takes: frozenset[type] | None
    """Classes of Python, beside None; None: all."""


KINDS: Mapping[type, Kind] = {
    BigInteger: Kind("{}::bigint", frozenset((int, _NULL))),
    Integer: Kind("{}::integer", frozenset((int, _NULL))),
    SmallInteger: Kind("{}::smallint", frozenset((int, _NULL))),
    Boolean: Kind("{}::boolean", frozenset((bool, _NULL))),
    Double: Kind("{}::double precision", frozenset((float, int, _NULL))),
    Float: Kind("{}::double precision", frozenset((float, int, _NULL))),
    String: Kind("{}", frozenset((str, _NULL))),
    Text: Kind("{}", frozenset((str, _NULL))),
    Uuid: Kind("{}::uuid", frozenset((UUID, _NULL))),
}
"""By the exact class of a column's type."""
MOMENT = Kind("{}::timestamptz", frozenset((datetime, _NULL)))
DOCUMENT = Kind("NULLIF({}::text, 'null')::jsonb", None)
"""Its element is JSON; a document that is missing is NULL."""


class Lists:
    """How rows become the statement's parameters, one for each column."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.kinds = kinds

    def of(self, rows: Sequence[Sequence[object]]) -> Sequence[str] | None:
        """The columns of the rows; None where a value is not of the class that is expected, or cannot be written."""
        columns: list[Sequence[object]] = list(zip(*rows, strict=True))
        try:
            written = [_written(kind, column) for kind, column in zip(self.kinds, columns, strict=True)]
        except TypeError:  # a document or a text that is none: the other way says what is wrong
            return None
        lists = [one for one in written if one is not None]
        return lists if len(lists) == len(written) else None


def _written(kind: Kind, column: Sequence[object]) -> str | None:
    if kind.takes is not None and not kind.takes.issuperset(map(type, column)):
        return None
    if kind is MOMENT:
        column = [None if value is None else moment_text(value) for value in column]
    text = orjson.dumps(column, default=str)
    if kind.takes is not None and float in kind.takes and text.count(b"null") != column.count(None):
        return None  # JSON has neither infinity nor NaN
    return text.decode()


def lists_of(columns: Sequence[Column[Any]]) -> Lists | None:
    """None where there is a column of another type."""
    kinds = [_kind(column) for column in columns]
    known = [kind for kind in kinds if kind is not None]
    return Lists(known) if len(known) == len(kinds) else None


def listed_rows(columns: Sequence[Column[Any]], kinds: Sequence[Kind], dialect: Dialect, *, ordered: bool) -> str:
    """A SELECT of the rows, as `many_rows` has it."""
    quote: Callable[[str], str] = dialect.identifier_preparer.quote
    names = [quote(column.name) for column in columns]
    read = [kind.read.format(name) for kind, name in zip(kinds, names, strict=True)]
    functions = ["json_array_elements" + ("" if kind is DOCUMENT else "_text") for kind in kinds]
    source = ", ".join([f"{function}(${at}::json)" for at, function in enumerate(functions, 1)])
    rows = f"ROWS FROM ({source}) WITH ORDINALITY AS r({', '.join(names)}, {PLACE})"
    order = f" ORDER BY {PLACE}" if ordered else ""
    return f"SELECT {', '.join(read)} FROM {rows}{order}"  # noqa: S608  # quoted names of the Entity's columns


def _kind(column: Column[Any]) -> Kind | None:
    if isinstance(column.type, JSONB) and type(column.type) is JSONB:
        return DOCUMENT
    if isinstance(column.type, DateTime) and type(column.type) is DateTime:
        return MOMENT if column.type.timezone else None
    return KINDS.get(type(column.type))
