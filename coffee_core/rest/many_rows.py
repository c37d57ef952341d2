"""Many rows of a table, by position, written by one statement."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic

from coffee_core.domain.context import current
from coffee_core.domain.ids import EntityT, IdT
from coffee_core.rest.dao_provider import DaoProvider, StatementPlan, UpsertShape
from coffee_core.rest.ownership import Ownership
from coffee_core.rest.rows import Projection, Rows

PLANS_KEPT = 2000
"""Statement plans that are kept; past that all are dropped and compiled anew as they are needed."""


class ManyRows(Generic[EntityT, IdT]):
    """For one table; a Dao and its views share it."""

    def __init__(self, provider: DaoProvider[EntityT, IdT], ownership: Ownership) -> None:
        self._provider = provider
        self._ownership = ownership
        self._plans: dict[Hashable, StatementPlan[EntityT]] = {}

    async def write(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        key: Sequence[str],
        projection: Projection,
        *,
        scoped: bool,
    ) -> tuple[Rows[EntityT], list[bool]]:
        """Insert or update by the unique `key`; `columns` says what each row holds. With no `key` all are inserted, and
        answered in their order. With `scoped` they belong to the caller's partner, and no other's row is touched.

        Answers the rows that were written and whether each was created; rows that were there and equal are left out.
        """
        ours = self._ownership.created({}, current(), scoped=scoped)
        if not ours.keys().isdisjoint(columns):
            kept = [at for at, name in enumerate(columns) if name not in ours]
            columns, rows = [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]
        if ours:
            tail = tuple(ours.values())
            columns, rows = (*columns, *ours), [(*row, *tail) for row in rows]
        scope = ("partner_id",) if scoped else ()
        plan = self._plan(UpsertShape(tuple(columns), tuple(key), projection.columns, scope))
        written = await self._provider.run(plan, rows)
        return Rows(projection, [row[:-1] for row in written]), [bool(row[-1]) for row in written]

    def _plan(self, shape: UpsertShape) -> StatementPlan[EntityT]:
        plan = self._plans.get(shape)
        if plan is None:
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
            plan = self._plans[shape] = self._provider.plan(shape)
        return plan
