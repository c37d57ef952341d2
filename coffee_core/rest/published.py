"""Rows that one module lets another read: some columns of its table, under names that are agreed upon.

The owner says what is published and what stays his own (`Published`); the reader declares an Entity of those columns
and works with it as with a table: filters, order, pages and totals are made where the rows are. Nothing can be written
through it, and no row that the owner hides is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.orm import InstrumentedAttribute

from coffee_core.domain.errors import InputError, RuleError
from coffee_core.domain.ids import EntityT, IdT
from coffee_core.rest.dao_provider import (
    AggregateShape,
    ConditionShape,
    CountShape,
    DaoProvider,
    Features,
    FlagShape,
    GroupShape,
    NodeShape,
    Row,
    SelectShape,
    Shape,
    StatementPlan,
    TextShape,
)

Rebuild = Callable[[Sequence[Row]], Sequence[Row]]


class Published:
    """`Published(provider, {"name": "title", "platform": ...})`, made by the owner; a `Store` for the reader.

    `columns`: published name -> the owner's. `fixed`: published name -> a value that every row has, None for what
    these rows do not know; nothing is searched or sorted by those. `enabled`: rows that are softly deleted stay away.
    """

    def __init__(
        self,
        source: DaoProvider[Any, Any],  # of the owner's Entity, which is no business of the reader's
        columns: Mapping[str, str],
        *,
        fixed: Mapping[str, object] | None = None,
        enabled: bool = False,
    ) -> None:
        self.source = source
        self.columns = dict(columns)
        self.fixed = dict(fixed or {})
        self.enabled = enabled

    def provider(self, entity: type[EntityT], id: InstrumentedAttribute[IdT]) -> PublishedProvider[EntityT, IdT]:
        """The rows as `entity` names them. An Entity of other columns is a `TypeError` that names them, and so is one
        that leaves out whose rows they are: its Dao would show everybody's."""
        names = [column.name for column in cast("Table", entity.__table__).columns]
        strangers = [name for name in names if name not in self.columns and name not in self.fixed]
        if strangers or id.key not in self.columns:
            raise TypeError(f"{entity.__name__} has {strangers or [id.key]}, which is not published")
        if "partner_id" in self.source.column_types and "partner_id" not in names:
            raise TypeError(f"{entity.__name__} has no partner_id, and the rows belong to partners")
        return PublishedProvider(self)


class PublishedPlan(StatementPlan[EntityT]):
    """The owner's statement, and what makes published rows of its answer."""

    __slots__ = ("inner", "rebuild")

    def __init__(
        self, shape: Shape, columns: tuple[str, ...], inner: StatementPlan[Any], rebuild: Rebuild | None
    ) -> None:
        super().__init__(shape, columns)
        self.inner = inner
        self.rebuild = rebuild


class PublishedProvider(DaoProvider[EntityT, IdT]):
    """Made by `Published.provider`: shapes in the reader's names become shapes in the owner's."""

    def __init__(self, published: Published) -> None:
        self._source = published.source
        self._names = published.columns
        self._fixed = published.fixed
        self._enabled = published.enabled

    @property
    def features(self) -> Features:
        """The owner's store's, without writing."""
        return self._source.features._replace(updates=False)

    @property
    def column_types(self) -> Mapping[str, type]:
        """Of what is published."""
        types = self._source.column_types
        fixed = {name: type(value) for name, value in self._fixed.items()}
        return fixed | {name: types[own] for name, own in self._names.items()}

    def key(self, id: IdT, /) -> object:
        """As the owner's store takes it."""
        return self._source.key(id)

    def plan(self, shape: Shape) -> PublishedPlan[EntityT]:
        """Rename and compile. A write is a `RuleError`."""
        match shape:
            case SelectShape():
                if shape.for_update:
                    raise RuleError("published rows are read, not locked")
                return self._select(shape)
            case CountShape():
                return PublishedPlan(
                    shape, ("count",), self._source.plan(shape._replace(where=self._where(shape.where))), None
                )
            case AggregateShape():
                by = tuple([part._replace(column=self._own(part.column)) for part in shape.by])
                measures = tuple(
                    [one._replace(column=self._if_any(one.column), by=self._if_any(one.by)) for one in shape.measures]
                )
                own = shape._replace(by=by, measures=measures, where=self._where(shape.where))
                return PublishedPlan(shape, (), self._source.plan(own), None)
            case _:
                raise RuleError("published rows are written by their owner alone")

    def _select(self, shape: SelectShape) -> PublishedPlan[EntityT]:
        read = [name for name in shape.columns if name not in self._fixed]
        own = shape._replace(
            columns=tuple([self._own(name) for name in read]),
            where=self._where(shape.where),
            order=None if shape.order is None else (self._own(shape.order[0]), shape.order[1]),
        )
        return PublishedPlan(shape, shape.columns, self._source.plan(own), self._rebuilding(shape.columns, read))

    def _rebuilding(self, columns: Sequence[str], read: Sequence[str]) -> Rebuild | None:
        if len(read) == len(columns):
            return None
        fixed = tuple(self._fixed.values())
        places = {name: at for at, name in enumerate([*read, *self._fixed])}
        order = [places[name] for name in columns]

        def rebuild(rows: Sequence[Row]) -> Sequence[Row]:
            whole = [(*row, *fixed) for row in rows]
            return [[row[at] for at in order] for row in whole]

        return rebuild

    async def run(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> Sequence[Row]:
        """By the owner's store."""
        published = cast("PublishedPlan[EntityT]", plan)
        rows = await self._source.run(published.inner, values)
        return rows if published.rebuild is None else published.rebuild(rows)

    async def stream(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> AsyncIterator[Sequence[Row]]:
        """By the owner's store, batch after batch."""
        published = cast("PublishedPlan[EntityT]", plan)
        async for rows in self._source.stream(published.inner, values):
            yield rows if published.rebuild is None else published.rebuild(rows)

    def plain(self, column: str, value: object) -> object:
        """As the owner's store has it."""
        return value if column in self._fixed else self._source.plain(self._names[column], value)

    # -- names

    def _own(self, name: str) -> str:
        own = self._names.get(name)
        if own is None:
            raise InputError(f"{name!r} is not kept here: nothing can be searched or sorted by it")
        return own

    def _if_any(self, name: str) -> str:
        return self._own(name) if name else ""

    def _where(self, shape: NodeShape) -> NodeShape:
        renamed = self._renamed(shape)
        return GroupShape("and", (FlagShape("enabled"), renamed)) if self._enabled else renamed

    def _renamed(self, shape: NodeShape) -> NodeShape:
        match shape:
            case GroupShape(op, parts):
                return GroupShape(op, tuple([self._renamed(part) for part in parts]))
            case ConditionShape():
                return shape._replace(column=self._own(shape.column))
            case FlagShape():
                return shape._replace(column=self._own(shape.column))
            case TextShape(columns):
                return TextShape(tuple([self._own(name) for name in columns]))
