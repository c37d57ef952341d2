"""How text is ordered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String
from sqlalchemy.sql import ColumnElement


def ordered(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Text compares by code point, whatever the database's own collation is."""
    if isinstance(column.type, String) and column.type.collation is None:
        return column.collate("C")
    return column
