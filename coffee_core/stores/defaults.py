"""What a column holds when nobody gives a value: its server default, as PostgreSQL would fill it in."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ARRAY, JSON, Boolean, Column, DateTime, Float, Integer, Numeric
from sqlalchemy.schema import DefaultClause

LITERAL = re.compile(r"'((?:[^']|'')*)'(?:::[\w\[\] ]+)?|(-?\d+(?:\.\d+)?)|(true|false)", re.IGNORECASE)
NOW = ("now()", "current_timestamp")


def default_of(column: Column[Any], now: Callable[[], datetime]) -> Callable[[], object] | None:
    """Makes the default; None where the column has none. Ids that the database counts up are not among them."""
    clause = column.server_default
    if not isinstance(clause, DefaultClause):
        return None
    text = clause.arg if isinstance(clause.arg, str) else None
    if text is None:
        text = str(clause.arg).strip()
        if text.lower() in NOW:
            return now
        if text.lower() == "gen_random_uuid()":
            return uuid.uuid4
        found = LITERAL.fullmatch(text)
        if found is None:
            return _unknown(column, text)
        text = found[1].replace("''", "'") if found[1] is not None else found[0]
    elif isinstance(column.type, DateTime):
        return now if text.lower() == "now" else _unknown(column, text)
    return _parsed(column, text)


def _unknown(column: Column[Any], text: str) -> Callable[[], object]:
    def refuse() -> object:
        raise NotImplementedError(f"only PostgreSQL can evaluate the default {text!r} of {column}: give the value")

    return refuse


def _parsed(column: Column[Any], text: str) -> Callable[[], object]:
    kind = column.type
    if isinstance(kind, JSON):
        return lambda: orjson.loads(text)
    if isinstance(kind, ARRAY):
        return list if text == "{}" else _unknown(column, text)
    if isinstance(kind, Boolean):
        value: object = text.lower() in ("true", "t", "1", "on", "yes")
    elif isinstance(kind, Integer):
        value = int(text)
    elif isinstance(kind, Numeric | Float):
        value = kind.python_type(text)
    else:
        value = text
    return lambda: value
