"""The port to one store: shapes go in once and come back as statement plans; values go in with each call.

A shape is everything about an operation but its values, hashable, so that a store compiles each shape once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from coffee_core.domain.aggregation import By, Measure
from coffee_core.domain.ids import EntityT, IdT_contra
from coffee_core.domain.search import FilterType

Row: TypeAlias = Sequence[Any]  # a stored row by position: only the columns know the types


class JsonKind(StrEnum):
    """What a condition on a JSON path compares."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"


class ConditionShape(NamedTuple):
    """A condition without its value. `kind` is set where `path` is."""

    type: FilterType
    column: str
    path: tuple[str, ...] = ()
    kind: JsonKind | None = None


class GroupShape(NamedTuple):
    """A group without its values."""

    op: Literal["and", "or", "not"]
    parts: tuple[NodeShape, ...]


class FlagShape(NamedTuple):
    """A boolean column that has a value fixed in the statement: takes no value, so that partial indexes serve it."""

    column: str
    value: bool = True


class TextShape(NamedTuple):
    """Free text over some columns: takes one value, the words."""

    columns: tuple[str, ...]


NodeShape: TypeAlias = ConditionShape | GroupShape | FlagShape | TextShape


class SelectShape(NamedTuple):
    """Values, in order: those of `where`, then (after "value") sort value and id or (after "null") id, then limit,
    then offset if `offset`. Without `order` no limit is taken: the statement finds rows by key."""

    columns: tuple[str, ...]
    where: NodeShape
    order: tuple[str, bool] | None = None
    """Sort column and whether descending; ties by id in the same direction, NULLs last."""
    after: Literal["none", "value", "null"] = "none"
    """The place to read from: right behind the row with that sort value ("null": without one) and id."""
    before: bool = False
    """The place is right before that row instead."""
    backwards: bool = False
    """Read from the place towards the first row: the nearest rows, answered the nearest first."""
    offset: bool = False
    for_update: bool = False
    each: str = ""
    """With it the limit is for the rows of each value of this column (one of `columns`), in the order of each."""


class CountShape(NamedTuple):
    """Answers one row with one number."""

    where: NodeShape
    estimated: bool = False


class AggregateShape(NamedTuple):
    """Values: those of `where`, then limit, then offset. Answers a row for each group: see `domain/aggregation.py`."""

    by: tuple[By, ...]
    measures: tuple[Measure, ...]
    where: NodeShape
    order: tuple[int, bool] | None = None
    """Position in the answered row and whether descending; ties by the groups upwards, NULLs last."""


class InsertShape(NamedTuple):
    """Values: one for each of `columns`. Answers the stored row."""

    columns: tuple[str, ...]
    returning: tuple[str, ...]


class UpdateShape(NamedTuple):
    """Values: one for each of `columns`, then those of `where`. Answers the stored rows.

    The store itself counts `version` up and sets `updated_at`, where the Entity has them.
    """

    columns: tuple[str, ...]
    where: NodeShape
    returning: tuple[str, ...]


class DeleteShape(NamedTuple):
    """Values: those of `where`. Answers the deleted rows' `returning`."""

    where: NodeShape
    returning: tuple[str, ...]


class UpsertShape(NamedTuple):
    """Many rows at once: insert, or update where `key` is taken and something differs.

    `key` empty: insert only, answered in the order of the rows. Values: a sequence of rows, each with one value for
    each of `columns`. Answers, for each row that was written and (with a `key`) in no order, its `returning` and then
    whether it was created (a boolean, last); a row that was there and is equal is not answered. `scope` columns must
    be equal for an update (another partner's row is never touched).
    """

    columns: tuple[str, ...]
    key: tuple[str, ...]
    returning: tuple[str, ...]
    scope: tuple[str, ...] = ()


Shape: TypeAlias = SelectShape | CountShape | AggregateShape | InsertShape | UpdateShape | DeleteShape | UpsertShape


class StatementPlan(Generic[EntityT]):
    """A shape that one store has compiled; compared by identity. Stores subclass it with what they need to run it."""

    __slots__ = ("columns", "shape")

    def __init__(self, shape: Shape, columns: tuple[str, ...]) -> None:
        self.shape = shape
        self.columns = columns
        """What each answered row holds, by position."""


class Features(NamedTuple):
    """What a store can do; the contract suite skips what it cannot, saying so."""

    transactions: bool = True
    unique_keys: bool = True
    updates: bool = True


class DaoProvider(Protocol[EntityT, IdT_contra]):
    """One Entity in one store. Errors come out as domain errors: ConflictError, InputError, UnavailableError ..."""

    @property
    def features(self) -> Features:
        """What this store can do."""
        ...

    @property
    def column_types(self) -> Mapping[str, type]:
        """Python type of each column, `list` for arrays and `dict` for JSON."""
        ...

    def key(self, id: IdT_contra, /) -> object:
        """The id as the store takes it."""
        ...

    def plan(self, shape: Shape) -> StatementPlan[EntityT]:
        """Compile; called once for each shape."""
        ...

    async def run(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> Sequence[Row]:
        """Run within the current unit of work, or alone (autocommit) where none is open."""
        ...

    def stream(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> AsyncIterator[Sequence[Row]]:
        """The rows of a select in batches, from one consistent read-only snapshot, with flat memory."""
        ...

    def plain(self, column: str, value: object) -> object:
        """A stored value as Python has it: JSON decoded. Values of other columns are so already."""
        ...


@runtime_checkable
class WritesCsv(Protocol):
    """What a DaoProvider may do beside: write the rows of a select as CSV in its store, so that no object is made of a
    value. Whoever asks it to must be able to do with the rows of `stream` as well."""

    def writes_csv(self, plan: StatementPlan[Any], /) -> bool:
        """Whether it can for this select."""
        ...

    def csv(self, plan: StatementPlan[Any], values: Sequence[object], /) -> AsyncIterator[bytes]:
        """What `stream` answers, as blocks of whole lines without a header; lines end with a line feed.

        An empty cell is NULL, an empty text has quotes. Booleans are `t` and `f`, times ISO 8601 in UTC, documents
        and lists JSON; what a number, an id or a text is like is as ever.
        """
        ...
