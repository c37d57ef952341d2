"""Meaning: mapping between Entry and Entity, rules, derived fields, masking, events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Generic, cast

from pydantic import ValidationError
from sqlalchemy import Table

from coffee_core.domain.context import current
from coffee_core.domain.errors import NotFoundError, PlanError
from coffee_core.domain.event import Delivery, Event, EventSink
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import SearchQuery
from coffee_core.rest.announcing import Announcements, Change
from coffee_core.rest.checks import check_gates, check_mapping
from coffee_core.rest.dao import Dao
from coffee_core.rest.encoding import EntriesEncoder, RowsEncoder, rows_encoder
from coffee_core.rest.fields import describe, has_own_serialization
from coffee_core.rest.page import Page
from coffee_core.rest.patch import Patch
from coffee_core.rest.relations import Relation, Relations
from coffee_core.rest.rows import Projection, Rows
from coffee_core.rest.storing import Storing
from coffee_core.rest.validation import refuse

HOOKS = ("on_create", "on_update", "on_delete", "created", "updated", "deleted", "to_entity")
"""A Manager that overrides one of these may touch more than one row: its writes run in a transaction."""


class Manager(Generic[EntryT, EntityT, IdT]):
    """Maps by field name. A subclass overrides what is its own and pays for that alone.

    Rules: `on_create`, `on_update`, `on_delete` run before the write and may refuse it (`RuleError`) or change it;
    `created`, `updated`, `deleted` run after it, in the same transaction. `announces` says what to tell of a record
    that was written, and costs no transaction. Derived fields: `to_entry` for one record, `enrich` for a page of them
    at once (so that what is looked up elsewhere is looked up once).
    """

    def __init__(
        self,
        entry: type[EntryT],
        dao: Dao[EntityT, IdT],
        *,
        events: EventSink | None = None,
        related: Mapping[str, Relation] | None = None,
    ) -> None:
        self.entry = entry
        self.dao = dao
        self.events = events
        self.fields = describe(entry)
        self.relations = Relations(entry, dao.entity, related)
        check_gates(entry, dao)
        self.mapped = tuple(name for name in self.fields if name in dao.columns)
        kind = type(self)
        self.general = (
            kind.to_entry is not Manager.to_entry
            or kind.enrich is not Manager.enrich
            or bool(self.relations.always)
            or has_own_serialization(entry, without=self.relations.declared)
        )
        """Whether answers are built as objects; else rows become bytes directly."""
        self.writes_more = any(getattr(kind, hook) is not getattr(Manager, hook) for hook in HOOKS)
        self._tells = kind.announces is not Manager.announces
        own = kind.raise_event is not Manager.raise_event  # then it has a say in how its events go out
        self._tell = Announcements(self.announces, self.raise_event, None if own else events)
        self.follows = self.writes_more or self._tells
        """Whether there is anything to do after a record is written: see `after_write`."""
        self.checks_whole = bool(entry.__pydantic_decorators__.model_validators)
        """Whether the Entry has validators over the whole record."""
        self._maps_in = kind.to_entity is not Manager.to_entity
        self._enriches = kind.enrich is not Manager.enrich
        if not self.general:
            check_mapping(entry, self.fields, dao, self.relations.declared)
        self.writable = tuple(n for n in self.mapped if not self.fields[n].read_only)
        self._locked = {p: tuple(f for f in self.fields.values() if f.plan > p) for p in Plan}
        self._locked_names = {p: frozenset(f.name for f in fields) for p, fields in self._locked.items()}
        self._defaults: dict[Plan, Projection] = {}
        self._encoders: dict[tuple[Projection, bool], RowsEncoder] = {}
        self._entries = EntriesEncoder(entry)
        self._mapped_set, self._names = set(self.mapped), tuple(self.fields)
        self._columns = frozenset(dao.columns)
        self.storing = Storing(self.fields, cast("Table", dao.entity.__table__), self.mapped)
        self._stored = self.storing.stored

    # -- what a module author overrides

    def to_entry(self, entity: EntityT) -> EntryT:
        """The Entry of a stored row: fields by name, not validated again (the row was valid when it was written)."""
        state = vars(entity)
        entry = self.entry.__new__(self.entry)
        put = object.__setattr__
        put(entry, "__dict__", {name: state.get(name) for name in self.fields})
        put(entry, "__pydantic_fields_set__", set(self._mapped_set))
        put(entry, "__pydantic_extra__", None)
        put(entry, "__pydantic_private__", None)
        return entry

    def to_entity(self, entry: EntryT) -> EntityT:
        """The row for an Entry: writable fields by name."""
        return self.dao.entity(**{name: getattr(entry, name) for name in self.writable})

    async def enrich(self, entries: Sequence[EntryT]) -> None:
        """Fill in what is not stored with the rows, for a whole page at once."""

    async def on_create(self, entry: EntryT) -> None:
        """Rules for a new record."""

    async def on_update(self, id: IdT, patch: Patch[EntryT]) -> None:
        """Rules for a change; `patch.values` may be altered."""

    async def on_delete(self, id: IdT) -> None:
        """Rules for a deletion."""

    async def created(self, entry: EntryT) -> None:
        """Runs after a record is stored; `entry` as it is now."""

    async def updated(self, entry: EntryT) -> None:
        """Runs after a record is changed; `entry` as it is now."""

    async def deleted(self, id: IdT) -> None:
        """Runs after a record is deleted."""

    def announces(self, change: Change, entry: EntryT) -> Event | None:
        """The event that tells of a record as it is stored, if any; it goes out after the commit, and may be made then.

        Nothing can be refused, read or raised here: the record may be stored already. What must be refused, or must not
        be lost (`Delivery.OUTBOX`), belongs into the rules.
        """

    def raise_event(self, event: Event, delivery: Delivery = Delivery.AFTER_COMMIT) -> None:
        """Announce something; it goes out with the commit, or not at all."""
        if self.events is None:
            raise TypeError(f"{type(self).__name__} announces {event.type}: give it events=container.events")
        self.events.raise_event(event, delivery)

    # -- answers

    def projection(self, fields: tuple[str, ...] | None = None, sort_by: str | None = None) -> Projection:
        """What to read for the current caller."""
        plan = current().plan
        if fields is None:
            found = self._defaults.get(plan)
            if found is None:
                readable = self.readable()
                found = self._defaults[plan] = self.dao.projection(
                    readable, self.relations.keys(self.relations.always, readable)
                )
            return found
        if self.builds(fields):  # a derived field may need any column
            stored = self.readable()
            extra = self.relations.keys(fields, stored)
        else:
            stored = tuple(f for f in fields if f in self._mapped_set)
            extra = ()
        if sort_by is not None and sort_by not in stored and sort_by not in extra:
            extra = (*extra, sort_by)
        return self.dao.projection(stored, extra)

    def readable(self) -> tuple[str, ...]:
        """The stored fields that the caller's plan includes."""
        plan = current().plan
        return tuple(name for name in self.mapped if self.fields[name].plan <= plan)

    def builds(self, fields: tuple[str, ...] | None) -> bool:
        """Whether an answer with `fields` is built as objects; else its rows become bytes directly."""
        return self.general or (fields is not None and any(name in self.relations.declared for name in fields))

    def locked(self, plan: Plan) -> tuple[str, ...]:
        """Wire names of the fields that `plan` hides."""
        return tuple(field.wire for field in self._locked[plan])

    def require_unlocked(self, names: Sequence[str]) -> None:
        """Refuse a write, filter or sort on a field that the caller's plan hides."""
        plan = current().plan
        if self._locked_names[plan].isdisjoint(names):
            return
        for name in names:
            field = self.fields[name]
            if field.plan > plan:
                raise PlanError(f"{field.wire} needs the plan {field.plan.name}; yours is {plan.name}")

    async def entries(self, rows: Rows[EntityT], fields: tuple[str, ...] | None = None) -> list[EntryT]:
        """The rows as Entries: mapped, related records filled in, enriched, then masked by the caller's plan."""
        entities = self.dao.entities(rows)
        entries = [self.to_entry(entity) for entity in entities]
        if entries:
            if self.relations.declared:
                names = self.relations.always if fields is None else fields
                await self.relations.fill(names, entities, entries)
            if self._enriches:
                await self.enrich(entries)
            self._mask(entries)
        return entries

    def _mask(self, entries: Sequence[EntryT]) -> None:
        hidden = self._locked[current().plan]
        for field in hidden:
            for entry in entries:
                vars(entry)[field.name] = None

    async def page(
        self,
        rows: Rows[EntityT],
        *,
        fields: tuple[str, ...] | None = None,
        query: SearchQuery | None = None,
        single: bool = False,
    ) -> Page[EntryT]:
        """What is answered for `rows`; with `query`, whether there may be more; of a `single` one, its version."""
        if not self.builds(fields):
            return self._page_of_rows(rows, fields, query, single=single)
        entries = await self.entries(rows, fields)
        return self._page(rows, lambda: entries, lambda: self._entries.encode(entries, fields), query, single=single)

    def _page_of_rows(
        self, rows: Rows[EntityT], fields: tuple[str, ...] | None, query: SearchQuery | None, *, single: bool
    ) -> Page[EntryT]:
        """Rows become bytes without an object between; objects are made for who asks."""
        wanted = (rows.projection, fields is None)
        encoder = self._encoders.get(wanted) or self._new_encoder(wanted)
        return self._page(rows, partial(self._objects, rows), partial(encoder, rows.rows), query, single=single)

    def _objects(self, rows: Rows[EntityT]) -> list[EntryT]:
        """What `to_entry` would make of the rows, where nobody overrides it: without their Entities."""
        entries: list[EntryT] = []
        put = object.__setattr__
        for values in self.dao.values(rows, self._names):
            entry = self.entry.__new__(self.entry)
            put(entry, "__dict__", values)
            put(entry, "__pydantic_fields_set__", set(self._mapped_set))
            put(entry, "__pydantic_extra__", None)
            put(entry, "__pydantic_private__", None)
            entries.append(entry)
        return entries

    def _page(
        self,
        rows: Rows[EntityT],
        entries: Callable[[], Sequence[EntryT]],
        encode: Callable[[], bytes],
        query: SearchQuery | None,
        *,
        single: bool,
    ) -> Page[EntryT]:
        projection, found = rows.projection, rows.rows
        page = Page(len(found), entries, encode)
        if single and found:
            page.key = found[0][projection.id_at]
            if projection.version_at >= 0:
                page.version = found[0][projection.version_at]
        elif query is not None and (query.after is not None or len(found) == query.size):
            page.lies_at(query, projection, found)
        return page

    def _new_encoder(self, key: tuple[Projection, bool]) -> RowsEncoder:
        if len(self._encoders) > 2000:
            self._encoders.clear()
        encoder = self._encoders[key] = rows_encoder(self.entry.__name__, self.fields, key[0], whole=key[1])
        return encoder

    # -- reads

    async def get(self, id: IdT, fields: tuple[str, ...] | None = None) -> Page[EntryT]:
        """One record; `NotFoundError` if this caller has none by that id."""
        rows = await self.dao.get(id, self.projection(fields))
        if not rows.rows:
            raise self.missing(id)
        if self.builds(fields):
            return await self.page(rows, fields=fields, single=True)
        return self._page_of_rows(rows, fields, None, single=True)

    async def get_many(self, ids: Sequence[IdT], fields: tuple[str, ...] | None = None) -> Page[EntryT]:
        """Those of the records that are there, by id."""
        return await self.page(await self.dao.get_many(ids, self.projection(fields)), fields=fields)

    async def search(self, query: SearchQuery) -> Page[EntryT]:
        """One page of what matches."""
        rows = await self.dao.search(query, self.projection(query.fields, query.sort_by))
        return await self.page(rows, fields=query.fields, query=query)

    async def count(self, query: SearchQuery) -> int:
        """How many match."""
        return await self.dao.count(query)

    async def stream(self, query: SearchQuery) -> AsyncIterator[Page[EntryT]]:
        """Everything that matches, page after page."""
        async for rows in self.dao.stream(query, self.projection(query.fields, query.sort_by)):
            yield await self.page(rows, fields=query.fields)

    def missing(self, id: IdT) -> NotFoundError:
        """The one sentence for what is not there and what is another partner's."""
        return NotFoundError(f"there is no {self.dao.name} {id}")

    # -- writes

    def values_of(self, entry: EntryT) -> dict[str, object]:
        """The columns to store for an Entry."""
        if self._maps_in:
            state = vars(self.to_entity(entry))
            return self._stored({c: state[c] for c in self.dao.columns if c in state})
        state = vars(entry)
        return self._stored({name: state[name] for name in self.writable})

    def _set_locked(self, names: Mapping[str, object] | set[str]) -> None:
        if self._locked[current().plan]:
            self.require_unlocked([name for name in names if name in self.fields])

    async def create(self, entry: EntryT) -> Page[EntryT]:
        """Store a new record."""
        self._set_locked(entry.model_fields_set)
        if self.writes_more:
            await self.on_create(entry)
        rows = await self.dao.insert(self.values_of(entry), self.projection())
        page = await self.page(rows, single=True) if self.general else self._page_of_rows(rows, None, None, single=True)
        if self.writes_more:
            await self.after_write("created", page.entries()[0])
        elif self._tells:
            self._tell.of_one("created", page)
        return page

    async def replace(self, id: IdT, entry: EntryT, version: int | None) -> Page[EntryT]:
        """Set every writable field (PUT)."""
        self._set_locked(entry.model_fields_set)
        unlocked = {f.name for f in self.fields.values() if f.plan <= current().plan}
        values = {name: value for name, value in vars(entry).items() if name in self.writable and name in unlocked}
        return await self.patch(id, Patch(self.entry, values), version)

    async def patch(self, id: IdT, patch: Patch[EntryT], version: int | None) -> Page[EntryT]:
        """Set the fields that are in the patch."""
        self._set_locked(patch.values)
        if self.writes_more:
            await self.on_update(id, patch)
        if self.checks_whole:
            await self._check_merged(id, patch)
        if not patch.values:
            return await self.get(id)
        given, columns = patch.values, self._columns
        values = given.copy() if columns.issuperset(given) else {n: v for n, v in given.items() if n in columns}
        values = self._stored(values)
        rows = await self.dao.update(id, values, version=version, projection=self.projection())
        if not rows.rows:
            raise self.missing(id)
        page = await self.page(rows, single=True) if self.general else self._page_of_rows(rows, None, None, single=True)
        if self.writes_more:
            await self.after_write("updated", page.entries()[0])
        elif self._tells:
            self._tell.of_one("updated", page)
        return page

    async def after_write(self, change: Change, entry: EntryT) -> None:
        """What follows a write; `entry` as it is stored now."""
        if self.writes_more:
            await (self.created(entry) if change == "created" else self.updated(entry))
        if self._tells:
            self._tell.of(change, entry)

    async def _check_merged(self, id: IdT, patch: Patch[EntryT]) -> None:
        """An Entry with rules over several fields is checked as a whole, with the change applied."""
        rows = await self.dao.get(id, self.projection(), for_update=True)
        if not rows.rows:
            raise self.missing(id)
        stored = self.to_entry(self.dao.entities(rows)[0])
        try:
            self.entry.model_validate({**vars(stored), **patch.values}, by_name=True, by_alias=False)
        except ValidationError as error:
            refuse(error)

    async def delete(self, id: IdT, version: int | None) -> None:
        """Delete (or hide) a record."""
        await self.on_delete(id)
        if not await self.dao.delete(id, version=version):
            raise self.missing(id)
        await self.deleted(id)

    async def restore(self, id: IdT) -> Page[EntryT]:
        """Bring back a record that was hidden; it counts as updated."""
        if not (await self.dao.restore(id)).rows:
            raise self.missing(id)
        page = await self.get(id)
        if self.follows:
            await self.after_write("updated", page.entries()[0])
        return page

    async def upsert(self, entries: Sequence[EntryT], key: Sequence[str]) -> tuple[Page[EntryT], list[bool]]:
        """Insert or update many by a unique key; the page holds what was written, the list whether it was created."""
        for entry in entries:
            self._set_locked(entry.model_fields_set)
            await self.on_create(entry)
        locked = self._locked_names[current().plan]
        values = [{n: v for n, v in self.values_of(entry).items() if n not in locked} for entry in entries]
        rows, created = await self.dao.upsert(values, key, self.projection())
        page = await self.page(rows)
        if self.follows:
            for entry, is_new in zip(page.entries(), created, strict=True):
                await self.after_write("created" if is_new else "updated", entry)
        return page, created
