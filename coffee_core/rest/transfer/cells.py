"""Values to CSV, column by column: what is the same for a whole column is asked once, not for each cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import repeat
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from pydantic import BaseModel

FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""A text that a spreadsheet would run, or one that looks as if it had been made harmless already."""


def _plain(value: Any) -> object:  # Any: what msgspec does not know
    """A nested record, as it looks on the wire."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"a {type(value).__name__} cannot be exported")


_json = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain).encode


def cell(value: Any) -> str:  # Any: a stored or an Entry's value, of whatever type
    """A value as CSV has it: the shortest decimal that is exact, JSON of lists and documents, and a quote before a text
    that a spreadsheet would take for a formula. The import takes exactly that quote off again."""
    kind = type(value)
    if kind is str:
        text = str(value)
        return "'" + text if FORMULA.match(text) else text
    if kind is float:
        return repr(value)
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):  # an enumeration of texts
        return cell(str(value))
    if isinstance(value, list | tuple | set | frozenset | Mapping):
        return _json(value).decode()
    if hasattr(value, "model_dump_json"):
        return str(value.model_dump_json(by_alias=True))
    return str(value)


Column: TypeAlias = Sequence[Any]  # stored or an Entry's values, of whatever type

_first = itemgetter(slice(0, 1))
_zone = attrgetter("tzinfo")
SUSPECT = frozenset("=+-@\t\r'")
"""A text that begins otherwise is no `FORMULA`."""
SPECIAL = re.compile(r'[",\r\n]')
"""What makes quotes necessary."""


def column(values: Column) -> Sequence[str]:
    """The cells of one column, with quotes where they are needed."""
    kinds = set(map(type, values))
    if NoneType in kinds:
        there = iter(column([value for value in values if value is not None]))
        return ["" if value is None else next(there) for value in values]
    if len(kinds) == 1:
        kind = kinds.pop()
        write = COLUMNS.get(kind) or (_strings if issubclass(kind, UUID) else None)  # a driver may have its own
        if write is not None:
            return write(values)
    return _quoted([cell(value) for value in values])


def _quoted(texts: Sequence[str]) -> Sequence[str]:
    if not SPECIAL.search("".join(texts)):
        return texts
    return ['"' + text.replace('"', '""') + '"' if SPECIAL.search(text) else text for text in texts]


def _texts(values: Column) -> Sequence[str]:
    return _quoted(values if SUSPECT.isdisjoint(map(_first, values)) else [cell(value) for value in values])


def _times(values: Column) -> Sequence[str]:
    if set(map(_zone, values)) == {UTC}:
        return list(msgspec.to_builtins(values))  # the same text, made in C
    return [cell(value) for value in values]


def _strings(values: Column) -> Sequence[str]:
    return list(map(str, values))


COLUMNS: Mapping[type, Callable[[Column], Sequence[str]]] = {
    str: _texts,
    int: _strings,
    float: lambda values: list(map(repr, values)),
    datetime: _times,
    msgspec.Raw: lambda values: _quoted(list(map(str, values, repeat("utf-8")))),
}
"""By the class that all values of a column have, how they are written together; as `cell` writes each."""


def csv_block(rows: Iterable[Sequence[Any]]) -> bytes:
    """Records in CSV (RFC 4180): CRLF, quotes where they are needed, UTF-8. All have as many values."""
    return csv_columns(list(zip(*rows, strict=True)))


def csv_columns(columns: Sequence[Column]) -> bytes:
    """The same, by column."""
    written = [column(values) for values in columns]
    if len(written) == 1:  # a line of its own for what is empty: an empty line is no record
        written = [[text or '""' for text in written[0]]]
    return "".join([line + "\r\n" for line in map(",".join, zip(*written, strict=True))]).encode()
