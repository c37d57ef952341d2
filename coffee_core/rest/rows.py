"""What a Dao reads and what it answers: columns by position, rows not decoded yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Generic

import msgspec

from coffee_core.domain.ids import EntityT
from coffee_core.domain.plan import Plan
from coffee_core.rest.dao_provider import Row


class Projection:
    """The columns that one kind of answer reads, under one plan; compared by identity, so it is a cheap key.

    `columns` are what is read, `hidden` of them (the last ones) are for the framework's own use.
    """

    __slots__ = ("columns", "hidden", "id_at", "plan", "version_at")

    def __init__(self, plan: Plan, columns: tuple[str, ...], hidden: int, id_column: str) -> None:
        self.plan = plan
        self.columns = columns
        self.hidden = hidden
        self.id_at = columns.index(id_column)
        self.version_at = columns.index("version") if "version" in columns else -1


def projected(
    plan: Plan, fields: Sequence[str], extra: Sequence[str], columns: Sequence[str], id_column: str
) -> Projection:
    """Those of `fields` that are `columns`; then, for the framework's own use, what it needs beside them."""
    visible = tuple(c for c in dict.fromkeys(fields) if c in columns and c != "version")
    hidden = [c for c in (id_column, *extra) if c not in visible]
    if "version" in columns:
        hidden.append("version")
    read = (*visible, *dict.fromkeys(hidden))
    return Projection(plan, read, len(read) - len(visible), id_column)


def picking(places: Sequence[int]) -> Callable[[Row], Row]:
    """What stands in these places of a row, in their order."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda row: [row[place] for place in places]


class Rows(msgspec.Struct, Generic[EntityT], frozen=True, eq=False):
    """Stored rows of EntityT, not decoded yet: `Dao.entities` makes objects of them, a Manager bytes."""

    projection: Projection
    rows: Sequence[Row]
