"""Records into the store by their natural key, many in one statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Generic, Literal, NamedTuple

from coffee_core.domain.errors import ConflictError
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.domain.search import Condition, FilterType, Group, Node, SearchQuery
from coffee_core.rest.announcing import Change
from coffee_core.rest.manager import Manager
from coffee_core.rest.rows import Rows
from coffee_core.rest.transfer.together import Together, fields_set

Outcome = Literal["created", "updated", "unchanged"]


_place = itemgetter(0)


class Stored(NamedTuple):
    """What happened to one record, and the id of its row where it was asked for."""

    outcome: Outcome
    id: object = None


class Upserter(Generic[EntryT, EntityT, IdT]):
    """Fields that a record does not name stay as they are in a row that exists; a row that DELETE hid is shown again.

    `key` is the natural key: the columns of one unique index. The key of a tenant's rows includes `partner_id`, or
    one partner's row would stand in another's way; the caller never names that column himself.
    """

    def __init__(self, manager: Manager[EntryT, EntityT, IdT], key: Sequence[str]) -> None:
        dao = manager.dao
        if dao.scoped and "partner_id" not in key:
            raise TypeError(f"the natural key of {dao.name} must include partner_id: its rows belong to partners")
        strangers = [name for name in key if name != "partner_id" and name not in manager.writable]
        if strangers:
            raise TypeError(f"{manager.entry.__name__} cannot be written by {strangers}: no writable fields")
        self.manager = manager
        self.together = Together(manager)
        self.key = tuple(key)
        self.fields = tuple(name for name in key if name != "partner_id")
        """The part of the key that callers name."""

    async def store(self, entries: Sequence[EntryT], *, with_ids: bool = False) -> list[Stored]:
        """One outcome for each record, in order. A key that is there twice is a `ConflictError`."""
        manager, dao = self.manager, self.manager.dao
        self.together.require_writable(entries)
        if manager.writes_more:
            for entry in entries:
                await manager.on_create(entry)
        keys = [tuple([vars(entry)[name] for name in self.fields]) for entry in entries]
        places = {key: at for at, key in enumerate(keys)}
        if len(places) != len(keys):
            raise ConflictError(f"two records have the same {', '.join(self.fields)}")
        outcomes: dict[tuple[object, ...], Stored] = {}
        followed: list[tuple[int, Change, EntryT]] = []
        projection = manager.projection() if manager.follows else dao.projection((*self.fields,))
        for columns, rows in self._alike(entries).items():
            found, created = await self.together.upsert(columns, rows, self.key, projection)
            stored = self._stored(found, created)
            outcomes.update(stored)
            if manager.follows:
                at = [places.get(key, len(keys)) for key, _ in stored]
                changes: list[Change] = ["created" if is_new else "updated" for is_new in created]
                followed += zip(at, changes, await manager.entries(found), strict=True)
        for _, change, entry in sorted(followed, key=_place):
            await manager.after_write(change, entry)
        if with_ids:
            await self._find_ids([key for key in keys if key not in outcomes], outcomes)
        return [outcomes.get(key) or Stored("unchanged") for key in keys]

    def _stored(self, found: Rows[EntityT], created: Sequence[bool]) -> list[tuple[tuple[object, ...], Stored]]:
        """What was written: the key of each row, and what happened to it."""
        projection = found.projection
        at = [projection.columns.index(name) for name in self.fields]
        return [
            (tuple([row[place] for place in at]), Stored("created" if is_new else "updated", row[projection.id_at]))
            for row, is_new in zip(found.rows, created, strict=True)
        ]

    async def counts(self, entries: Sequence[EntryT]) -> dict[Outcome, int]:
        """The same, answered as numbers: what an import needs, which has seen to it that no key is there twice."""
        manager = self.manager
        if manager.follows or not self.together.alike:
            outcomes: list[Outcome] = [stored.outcome for stored in await self.store(entries)]
            return Counter(outcomes)
        self.together.require_writable(entries)
        projection = manager.dao.projection(())
        found: Counter[Outcome] = Counter({"unchanged": len(entries)})
        for columns, rows in self._alike(entries).items():
            _, created = await self.together.upsert(columns, rows, self.key, projection)
            new = sum(created)
            found.update({"created": new, "updated": len(created) - new, "unchanged": -len(created)})
        return found

    def _alike(self, entries: Sequence[EntryT]) -> dict[tuple[str, ...], Sequence[Sequence[object]]]:
        """The rows by the columns they name: one statement for each such set."""
        if not self.together.alike:
            return self._one_by_one(entries)
        shown_again = ("enabled",) if self.manager.dao.soft else ()
        groups: dict[frozenset[str], list[EntryT]] = {}
        first = entries[0].model_fields_set if entries else set()
        if all(map(first.__eq__, map(fields_set, entries))):
            groups[frozenset(first)] = list(entries)
        else:
            for entry in entries:
                groups.setdefault(frozenset(entry.model_fields_set), []).append(entry)
        written: dict[tuple[str, ...], Sequence[Sequence[object]]] = {}
        for given, group in groups.items():
            named = tuple(
                [c for c in self.manager.writable if (c in given or c in self.fields) and c not in shown_again]
            )
            rows = self.together.rows(group, named)
            written[*named, *shown_again] = [(*row, True) for row in rows] if shown_again else rows
        return written

    def _one_by_one(self, entries: Sequence[EntryT]) -> dict[tuple[str, ...], Sequence[Sequence[object]]]:
        """Where a Manager maps a record itself, or its rules set what may differ from record to record."""
        manager, groups = self.manager, dict[tuple[str, ...], list[list[object]]]()
        shown_again = (True,) if manager.dao.soft else ()
        for entry in entries:
            values = manager.values_of(entry)
            given = entry.model_fields_set
            named = tuple([c for c in values if c in given or c not in manager.fields or c in self.fields])
            named = tuple([c for c in named if c != "enabled" or not shown_again])
            groups.setdefault(named, []).append([*[values[column] for column in named], *shown_again])
        return {(*named, "enabled") if shown_again else named: rows for named, rows in groups.items()}

    async def _find_ids(self, keys: Sequence[tuple[object, ...]], outcomes: dict[tuple[object, ...], Stored]) -> None:
        dao = self.manager.dao
        projection = dao.projection((*self.fields,))
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            query = SearchQuery(where=self._any_of(some), sort_by=dao.id_column, size=len(some))
            found = await dao.search(query, projection)
            at = [projection.columns.index(name) for name in self.fields]
            for row in found.rows:
                outcomes[tuple([row[place] for place in at])] = Stored("unchanged", row[projection.id_at])

    def _any_of(self, keys: Sequence[tuple[object, ...]]) -> Node:
        if len(self.fields) == 1:
            return Condition(FilterType.IN, self.fields[0], [key[0] for key in keys])
        each = [
            Group("and", tuple([Condition(FilterType.EQ, n, v) for n, v in zip(self.fields, key, strict=True)]))
            for key in keys
        ]
        return Group("or", tuple(each))
