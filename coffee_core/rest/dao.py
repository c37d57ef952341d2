"""Access to one Entity: tenant scope, soft delete, version check, gates; searches compiled to statement plans."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from typing import Generic, cast

from sqlalchemy import Table
from sqlalchemy.orm import InstrumentedAttribute

from coffee_core.domain.aggregation import Aggregation
from coffee_core.domain.context import RequestContext, current
from coffee_core.domain.errors import NotFoundError, PlanError, VersionMismatchError
from coffee_core.domain.ids import EntityT, IdT
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import EVERYTHING, Condition, CountMode, FilterType, Group, Node, SearchQuery
from coffee_core.rest.dao_provider import (
    AggregateShape,
    ConditionShape,
    CountShape,
    DaoProvider,
    DeleteShape,
    FlagShape,
    GroupShape,
    InsertShape,
    NodeShape,
    Row,
    SelectShape,
    Shape,
    StatementPlan,
    TextShape,
    UpdateShape,
)
from coffee_core.rest.many_rows import PLANS_KEPT, ManyRows
from coffee_core.rest.objects import Objects
from coffee_core.rest.ownership import Ownership
from coffee_core.rest.rows import Projection, Rows, projected
from coffee_core.rest.shapes import columns_of, split


class Dao(Generic[EntityT, IdT]):
    """`Dao(ItemEntity, ItemEntity.id, provider)` infers both type arguments; a wrong id column is a type error.

    `gates`: the plan each gated column needs; `searchable`: the columns of the free-text search.
    """

    def __init__(
        self,
        entity: type[EntityT],
        id: InstrumentedAttribute[IdT],
        provider: DaoProvider[EntityT, IdT],
        *,
        gates: Mapping[str, Plan] | None = None,
        searchable: Sequence[str] = (),
    ) -> None:
        self.entity = entity
        self.provider = provider
        self.id_column = id.key
        self.gates: Mapping[str, Plan] = dict(gates or {})
        self._largest_gate = max(self.gates.values(), default=Plan.FREE)
        self.searchable = tuple(searchable)
        table = cast("Table", entity.__table__)
        self.name = table.name
        self.columns = tuple(column.name for column in table.columns)
        self.nullable = frozenset(column.name for column in table.columns if column.nullable)
        self._ownership = Ownership(self.columns)
        self.many = ManyRows(provider, self._ownership)
        self.tenant = "partner_id" in self.columns
        self.soft = "enabled" in self.columns
        self.versioned = "version" in self.columns
        self.scoped = self.tenant
        self.hides_disabled = self.soft
        self._plans: dict[Hashable, StatementPlan[EntityT]] = {}
        self._projections: dict[Hashable, Projection] = {}
        self._objects = Objects(entity, provider)

    def across_partners(self) -> Dao[EntityT, IdT]:
        """A view of the same rows without the tenant scope: for jobs and for what is public by its nature.

        Each use must be able to say why another partner's rows may be seen or written here.
        """
        return self._view(scoped=False)

    def with_disabled(self) -> Dao[EntityT, IdT]:
        """A view that also sees rows that were softly deleted."""
        return self._view(hides_disabled=False)

    def _view(self, **changes: bool) -> Dao[EntityT, IdT]:
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__, _plans={}, **changes)
        return view

    # -- what is read

    def projection(self, fields: tuple[str, ...] | None = None, extra: tuple[str, ...] = ()) -> Projection:
        """The columns to read for the current caller: `fields` (or all that the plan includes), the id and the version.

        A locked column is left out of "all" and refused with `PlanError` when asked for by name.
        """
        plan = current().plan
        found = self._projections.get((plan, fields, extra))
        return found or self._new_projection(plan, fields, extra)

    def _new_projection(self, plan: Plan, fields: tuple[str, ...] | None, extra: tuple[str, ...]) -> Projection:
        if fields is None:
            fields = tuple(c for c in self.columns if self.gates.get(c, Plan.FREE) <= plan)
        else:
            self.refuse_locked({c for c in (*fields, *extra) if c in self.columns}, plan)
        projection = projected(plan, fields, extra, self.columns, self.id_column)
        if len(self._projections) >= PLANS_KEPT:
            self._projections.clear()
        self._projections[plan, fields, extra] = projection
        return projection

    def refuse_locked(self, columns: set[str], plan: Plan) -> None:
        """A filter, a sort or a named field on a locked column would tell what it hides: `PlanError`."""
        for column in sorted(columns & self.gates.keys()):
            if (needed := self.gates[column]) > plan:
                raise PlanError(f"{column!r} needs the plan {needed.name}; yours is {plan.name}")

    # -- statement plans

    def _plan(self, key: Hashable, shape: Shape) -> StatementPlan[EntityT]:
        if len(self._plans) >= PLANS_KEPT:
            self._plans.clear()
        plan = self._plans[key] = self.provider.plan(shape)
        return plan

    def _within(self, where: NodeShape, *, by_id: bool = False, version: bool = False) -> NodeShape:
        """`where` inside the scope. Values, in order: id, partner, version, then those of `where`."""
        parts: list[NodeShape] = []
        if by_id:
            parts.append(ConditionShape(FilterType.EQ, self.id_column))
        if self.scoped:
            parts.append(ConditionShape(FilterType.EQ, "partner_id"))
        if version:
            parts.append(ConditionShape(FilterType.EQ, "version"))
        if self.soft and self.hides_disabled:
            parts.append(FlagShape("enabled"))
        if where != GroupShape("and", ()):
            parts.append(where)
        return parts[0] if len(parts) == 1 else GroupShape("and", tuple(parts))

    def _scope(self, context: RequestContext) -> list[object]:
        return [context.partner()] if self.scoped else []

    # -- reads

    async def get(self, id: IdT, projection: Projection | None = None, *, for_update: bool = False) -> Rows[EntityT]:
        """The row, or none. `for_update` locks it until the unit of work ends."""
        context = current()
        projection = projection or self.projection()
        key = ("get", projection, for_update)
        plan = self._plans.get(key) or self._plan(
            key,
            SelectShape(projection.columns, self._within(GroupShape("and", ()), by_id=True), for_update=for_update),
        )
        values = [self.provider.key(id), *self._scope(context)]
        return Rows(projection, await self.provider.run(plan, values))

    async def get_many(self, ids: Sequence[IdT], projection: Projection | None = None) -> Rows[EntityT]:
        """Those of the rows that are there, in order of id."""
        projection = projection or self.projection()
        key = ("get_many", projection)
        plan = self._plans.get(key) or self._plan(
            key,
            SelectShape(
                projection.columns, self._within(ConditionShape(FilterType.IN, self.id_column)), (self.id_column, False)
            ),
        )
        keys = [self.provider.key(one) for one in ids]
        values = [*self._scope(current()), keys, max(1, len(keys))]
        return Rows(projection, await self.provider.run(plan, values))

    async def of_each(
        self, by: str, keys: Sequence[object], query: SearchQuery, projection: Projection
    ) -> Rows[EntityT]:
        """For each of `keys` the first `query.size` rows that have it in the column `by`, in one statement."""
        values = self._scope(current())
        where = split(Group("and", (Condition(FilterType.IN, by, list(keys)), query.where)), values)
        key = ("of_each", by, where, query.sort_by, query.descending, projection)
        self.refuse_locked({*columns_of(where), query.sort_by, by}, projection.plan)
        order = (query.sort_by, query.descending)
        plan = self._plans.get(key) or self._plan(
            key, SelectShape(projection.columns, self._within(where), order, each=by)
        )
        return Rows(projection, await self.provider.run(plan, [*values, query.size]))

    async def search(self, query: SearchQuery, projection: Projection | None = None) -> Rows[EntityT]:
        """One page of what matches, in the order of the query."""
        context = current()
        if projection is None:
            extra = () if query.fields is None or query.sort_by in query.fields else (query.sort_by,)
            projection = self.projection(query.fields, extra)
        plan, values = self._search_plan(query, projection, context)
        rows = await self.provider.run(plan, values)
        if query.after is not None and query.after.backwards:
            rows = rows[::-1]
        return Rows(projection, rows)

    def _search_plan(
        self, query: SearchQuery, projection: Projection, context: RequestContext
    ) -> tuple[StatementPlan[EntityT], list[object]]:
        values = self._scope(context)
        text = query.text is not None
        where = split(query.where, values)
        cursor = query.after
        place = None if cursor is None else (cursor.sort_value is None, cursor.before, cursor.backwards)
        key = ("search", where, query.sort_by, query.descending, place, projection, text)
        plan = self._plans.get(key)
        if plan is None:
            self.refuse_locked({*columns_of(where), query.sort_by}, context.plan)
            plan = self._plan(
                key,
                SelectShape(
                    projection.columns,
                    self._within(self._with_text(where, context.plan) if text else where),
                    (query.sort_by, query.descending),
                    "none" if cursor is None else "null" if cursor.sort_value is None else "value",
                    before=cursor is not None and cursor.before,
                    backwards=cursor is not None and cursor.backwards,
                    offset=cursor is None,
                ),
            )
        if text:
            values.append(query.text)
        if cursor is not None:
            if cursor.sort_value is not None:
                values.append(cursor.sort_value)
            values.append(cursor.id)
        values.append(query.size)
        if cursor is None:
            values.append((query.page - 1) * query.size)
        return plan, values

    def _with_text(self, where: NodeShape, plan: Plan) -> NodeShape:
        columns = tuple(c for c in self.searchable if self.gates.get(c, Plan.FREE) <= plan)
        return GroupShape("and", (where, TextShape(columns)))

    async def count(self, query: SearchQuery) -> int:
        """How many rows match, whatever the page."""
        values = self._scope(context := current())
        where = split(query.where, values)
        text = query.text is not None
        # the store's statistics are of all partners' rows and hidden values: who may not see all gets a count
        estimated = query.count is CountMode.ESTIMATED and not self.scoped and self._largest_gate <= context.plan
        key = ("count", where, estimated, context.plan, text)
        plan = self._plans.get(key)
        if plan is None:
            self.refuse_locked(columns_of(where), context.plan)
            plan = self._plan(
                key, CountShape(self._within(self._with_text(where, context.plan) if text else where), estimated)
            )
        if text:
            values.append(query.text)
        return cast("int", (await self.provider.run(plan, values))[0][0])

    async def aggregate(self, wanted: Aggregation) -> Sequence[Row]:
        """A row for each group of what matches. A locked column in it, in whatever place, is `PlanError`."""
        context = current()
        values = self._scope(context)
        where = split(wanted.where, values)
        order = None if wanted.order is None else (wanted.order, wanted.descending)
        key = ("aggregate", wanted.by, wanted.measures, where, order, context.plan)
        plan = self._plans.get(key)
        if plan is None:
            self.refuse_locked(columns_of(where) | wanted.columns(), context.plan)
            plan = self._plan(key, AggregateShape(wanted.by, wanted.measures, self._within(where), order))
        return await self.provider.run(plan, [*values, wanted.size, (wanted.page - 1) * wanted.size])

    def everything(self, query: SearchQuery, projection: Projection) -> tuple[StatementPlan[EntityT], list[object]]:
        """The statement that finds all that matches, and its values; `page` and `size` are not looked at."""
        context = current()
        values = self._scope(context)
        where = split(query.where, values)
        self.refuse_locked({*columns_of(where), query.sort_by}, context.plan)
        if query.text is not None:
            where = self._with_text(where, context.plan)
            values.append(query.text)
        order = (query.sort_by, query.descending)
        key = ("stream", where, order, projection)
        plan = self._plans.get(key) or self._plan(key, SelectShape(projection.columns, self._within(where), order))
        return plan, [*values, None]

    async def stream(self, query: SearchQuery, projection: Projection | None = None) -> AsyncIterator[Rows[EntityT]]:
        """Everything that matches, in batches of rows, from one snapshot."""
        projection = projection or self.projection(query.fields)
        async for batch in self.provider.stream(*self.everything(query, projection)):
            yield Rows(projection, batch)

    # -- writes

    async def insert(self, values: Mapping[str, object], projection: Projection | None = None) -> Rows[EntityT]:
        """Store a row; a unique key that is taken is a `ConflictError`."""
        projection = projection or self.projection()
        owned = self._ownership.created(values, current(), scoped=self.scoped)
        columns = tuple(owned)
        key = ("insert", columns, projection)
        plan = self._plans.get(key) or self._plan(key, InsertShape(columns, projection.columns))
        return Rows(projection, await self.provider.run(plan, list(owned.values())))

    async def update(
        self, id: IdT, values: Mapping[str, object], *, version: int | None = None, projection: Projection | None = None
    ) -> Rows[EntityT]:
        """Change the row, or nothing if there is none; a row no longer at `version` is `VersionMismatchError`."""
        projection = projection or self.projection()
        context = current()
        owned = self._ownership.updated(values, context)
        columns = tuple(owned)
        matched = version is not None and self.versioned
        key = ("update", columns, matched, projection)
        plan = self._plans.get(key) or self._plan(
            key,
            UpdateShape(columns, self._within(GroupShape("and", ()), by_id=True, version=matched), projection.columns),
        )
        args = [*owned.values(), self.provider.key(id), *self._scope(context)]
        if matched:
            args.append(version)
        rows = await self.provider.run(plan, args)
        if not rows and matched:
            await self._refuse_version(id, version)
        return Rows(projection, rows)

    async def _refuse_version(self, id: IdT, version: int | None) -> None:
        if (await self.get(id)).rows:
            raise VersionMismatchError(f"{self.name} {id} is no longer at version {version}: read it again")

    async def delete(self, id: IdT, *, version: int | None = None) -> bool:
        """Delete the row (hide it, where the Entity has `enabled`); False if there is none."""
        if self.soft:
            narrow = self.projection((self.id_column,))
            return bool((await self.update(id, {"enabled": False}, version=version, projection=narrow)).rows)
        matched = version is not None and self.versioned
        key = ("delete", matched)
        plan = self._plans.get(key) or self._plan(
            key, DeleteShape(self._within(GroupShape("and", ()), by_id=True, version=matched), (self.id_column,))
        )
        args = [self.provider.key(id), *self._scope(current())]
        if matched:
            args.append(version)
        rows = await self.provider.run(plan, args)
        if not rows and matched:
            await self._refuse_version(id, version)
        return bool(rows)

    async def delete_where(self, where: Node) -> int:
        """Delete for good all rows that match, within the scope; answers how many."""
        values = self._scope(current())
        shape = self._within(split(where, values))
        key = ("delete_where", shape)
        plan = self._plans.get(key) or self._plan(key, DeleteShape(shape, (self.id_column,)))
        return len(await self.provider.run(plan, values))

    async def restore(self, id: IdT) -> Rows[EntityT]:
        """Bring back a row that was softly deleted; no row if there is none."""
        if not self.soft:
            raise NotFoundError(f"{self.name} rows are deleted for good")
        return await self.with_disabled().update(id, {"enabled": True})

    async def upsert(
        self, rows: Sequence[Mapping[str, object]], key: Sequence[str], projection: Projection | None = None
    ) -> tuple[Rows[EntityT], list[bool]]:
        """Insert or update many rows by a unique `key`; all rows name the same columns, in any order.

        One statement, in which neither `insert` nor `update` is called: who overrides those overrides this too.
        Answers the rows that were written and whether each was created; rows that were there and equal are left out.
        """
        projection = projection or self.projection()
        if not rows:
            return Rows(projection, ()), []
        columns = tuple(rows[0])
        named = rows[0].keys()
        if any(row.keys() != named for row in rows):
            raise TypeError(f"{self.name}: all rows of one upsert name the same columns")
        by_position = [[row[column] for column in columns] for row in rows]
        return await self.many.write(columns, by_position, key, projection, scoped=self.scoped)

    # -- objects

    def entities(self, found: Rows[EntityT]) -> list[EntityT]:
        """Detached mapped instances; what the plan locks, or was not asked for, is None."""
        return self._objects.of(found)

    def values(self, found: Rows[EntityT], names: tuple[str, ...]) -> list[dict[str, object]]:
        """Of each row what `entities` would have under these names, None where they have nothing; without them."""
        return self._objects.values(found, names)

    async def all_entities(self, where: Node = EVERYTHING, *, limit: int = 1000) -> list[EntityT]:
        """The first `limit` matching rows as objects, by id."""
        return self.entities(await self.search(SearchQuery(where=where, sort_by=self.id_column, size=limit)))
