"""Records that belong to a page of other records: one statement for the whole page, however long it is.

An Entry marks the field (`Related()`), its Manager is told how to fill it:

    class ShelfEntry(Entry):
        book_count: Annotated[int | None, Related(always=True)] = None
        books: Annotated[list[BookEntry] | None, Related()] = None

    Manager(ShelfEntry, dao, related={
        "book_count": Counted(books.dao, of=ShelfEntity.id, by=BookEntity.shelf_id),
        "books": Listed(books, of=ShelfEntity.id, by=BookEntity.shelf_id, sort_by="title", limit=20),
    })

Related rows are read through their own Dao and Manager: the caller's partner, soft deletion, the plan and `enrich` hold
there as everywhere. Counts and pages of the base rows are untouched: nothing is joined.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy.orm import InstrumentedAttribute

from coffee_core.domain.aggregation import Aggregation, By, count
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.domain.search import EVERYTHING, Condition, FilterType, Group, Node, SearchQuery
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager

KeyT = TypeVar("KeyT", int, str, uuid.UUID)
"""Constrained, because mapped attributes are covariant: a bound would let a text be compared with a number."""

Key: TypeAlias = InstrumentedAttribute[KeyT] | InstrumentedAttribute[KeyT | None]


class Counted(Generic[EntityT]):
    """How many rows of another Entity point at each record, by one aggregation. `where` narrows which are counted."""

    def __init__(
        self,
        dao: Dao[EntityT, Any],  # Any: the id of what is counted plays no part
        *,
        of: InstrumentedAttribute[KeyT],
        by: Key[KeyT],
        where: Node = EVERYTHING,
    ) -> None:
        self.of: InstrumentedAttribute[Any] = of
        self._dao, self._by, self._where = dao, by.key, where

    async def load(self, keys: Sequence[object]) -> Mapping[object, object]:
        """The number for each key; 0 where there is none."""
        where = Group("and", (Condition(FilterType.IN, self._by, list(keys)), self._where))
        wanted = Aggregation(measures=(count(),), by=(By(self._by),), where=where, size=len(keys))
        found = {row[0]: row[1] for row in await self._dao.aggregate(wanted)}
        return {key: found.get(key, 0) for key in keys}


class Listed(Generic[EntryT, EntityT]):
    """The first `limit` records of another resource that point at each record, in the order of `sort_by`."""

    def __init__(
        self,
        manager: Manager[EntryT, EntityT, Any],  # Any: the id of what is listed plays no part
        *,
        of: InstrumentedAttribute[KeyT],
        by: Key[KeyT],
        sort_by: str | None = None,
        descending: bool = False,
        limit: int = 20,
        where: Node = EVERYTHING,
    ) -> None:
        self.of: InstrumentedAttribute[Any] = of
        self._manager, self._by = manager, by.key
        order = sort_by or manager.dao.id_column
        self._query = SearchQuery(where=where, sort_by=order, descending=descending, size=limit)

    async def load(self, keys: Sequence[object]) -> Mapping[object, object]:
        """The list for each key; an empty one where there is none."""
        manager, found = self._manager, defaultdict[object, list[EntryT]](list)
        projection = manager.dao.projection(manager.readable(), (self._by, self._query.sort_by))
        rows = await manager.dao.of_each(self._by, keys, self._query, projection)
        at = projection.columns.index(self._by)
        for row, entry in zip(rows.rows, await manager.entries(rows), strict=True):
            found[row[at]].append(entry)
        return {key: found[key] for key in keys}


class One(Generic[EntryT, EntityT, IdT]):
    """The one record of another resource that each record points at, or None."""

    def __init__(
        self,
        manager: Manager[EntryT, EntityT, IdT],
        *,
        of: InstrumentedAttribute[IdT] | InstrumentedAttribute[IdT | None],
    ) -> None:
        self.of: InstrumentedAttribute[Any] = of
        self._manager = manager

    async def load(self, keys: Sequence[Any]) -> Mapping[object, object]:  # Any: ids, by the type of `of`
        """The record for each key that leads to one."""
        manager = self._manager
        rows = await manager.dao.get_many(keys, manager.projection())
        at = rows.projection.id_at
        return {row[at]: entry for row, entry in zip(rows.rows, await manager.entries(rows), strict=True)}
