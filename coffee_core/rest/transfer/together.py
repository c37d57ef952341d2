"""Records that are written together: by one statement, where nothing of its own happens to each of them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, itemgetter
from typing import Generic, NamedTuple

from coffee_core.domain.context import current
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager
from coffee_core.rest.rows import Projection, Rows

fields_set = attrgetter("__pydantic_fields_set__")
"""`model_fields_set`, without a call of Python for each record."""


class New(NamedTuple, Generic[EntryT]):
    """New records, and their columns."""

    entries: Sequence[EntryT]
    rows: Sequence[Sequence[object]]


class Together(Generic[EntryT, EntityT, IdT]):
    """What a Manager or a Dao of a module overrides is called here as it is for a single record."""

    def __init__(self, manager: Manager[EntryT, EntityT, IdT]) -> None:
        kind, dao = type(manager), type(manager.dao)
        self.manager = manager
        self.alike = not manager.writes_more and kind.values_of is Manager.values_of
        """Whether the columns of a record are its fields, and no rule looks at it alone."""
        self.creates = self.alike and kind.create is Manager.create and dao.insert is Dao.insert
        """Whether new records are written by one statement."""
        self._upserts = dao.upsert is Dao.upsert

    def require_writable(self, entries: Sequence[EntryT]) -> None:
        """Refuse records that name a field which the caller's plan hides."""
        manager = self.manager
        if manager.locked(current().plan):
            named = set[str]().union(*[entry.model_fields_set for entry in entries])
            manager.require_unlocked([name for name in named if name in manager.fields])

    def rows(self, entries: Sequence[EntryT], names: Sequence[str]) -> Sequence[Sequence[object]]:
        """What `Manager.values_of` answers for `names`, by position; only where records are `alike`."""
        storing = self.manager.storing
        if len(names) == 1:
            only = names[0]
            return storing.rows(names, [(vars(entry)[only],) for entry in entries])
        values = itemgetter(*names)
        return storing.rows(names, [values(vars(entry)) for entry in entries])

    def new(self, entries: Sequence[EntryT]) -> New[EntryT]:
        """What `create` takes. Only where it `creates`."""
        return New(entries, self.rows(entries, self.manager.writable))

    async def create(self, new: New[EntryT]) -> Sequence[object]:
        """Store new records; their ids in their order, None where the Entry tells none."""
        self.require_writable(new.entries)
        manager, dao = self.manager, self.manager.dao
        names, id_column = manager.writable, dao.id_column
        built = manager.general or manager.follows
        projection = manager.projection() if built else dao.projection(())
        found, _ = await dao.many.write(names, new.rows, (), projection, scoped=dao.scoped)
        if not built:
            if id_column not in manager.readable():
                return [None] * len(found.rows)
            return list(map(itemgetter(projection.id_at), found.rows))
        stored = await manager.entries(found)
        if manager.follows:
            for entry in stored:
                await manager.after_write("created", entry)
        return [vars(entry).get(id_column) for entry in stored]

    async def upsert(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], key: Sequence[str], projection: Projection
    ) -> tuple[Rows[EntityT], list[bool]]:
        """`Dao.upsert` for rows by position: `columns` says what each holds."""
        dao = self.manager.dao
        if self._upserts:
            return await dao.many.write(columns, rows, key, projection, scoped=dao.scoped)
        return await dao.upsert([dict(zip(columns, row, strict=True)) for row in rows], key, projection)
