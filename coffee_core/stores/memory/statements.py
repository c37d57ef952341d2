"""Shapes to functions over rows: the memory store's statement plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, assert_never, cast

from sqlalchemy import BigInteger, Column

from coffee_core.domain.errors import InputError
from coffee_core.rest.dao_provider import (
    AggregateShape,
    CountShape,
    DeleteShape,
    InsertShape,
    NodeShape,
    Row,
    SelectShape,
    Shape,
    UpdateShape,
    UpsertShape,
)
from coffee_core.stores.aggregates import check
from coffee_core.stores.memory.aggregates import aggregate
from coffee_core.stores.memory.model import MemoryModel
from coffee_core.stores.memory.predicates import Predicate, Where
from coffee_core.stores.memory.rows import Change, Rows
from coffee_core.stores.model import Stored, Upsert, refuse_twice
from coffee_core.stores.values import Reader, reader_of

Run: TypeAlias = Callable[[Rows, Sequence[object]], Sequence[Row]]
Filter: TypeAlias = Callable[[Rows, Sequence[Any]], list[Stored]]


class Statement(NamedTuple):
    """`run` answers rows; with `writes` it changes what it is given, all or nothing."""

    run: Run
    writes: bool
    locks: bool = False


def compile_shape(model: MemoryModel, id_column: str, shape: Shape) -> Statement:
    """The statement for a shape."""
    match shape:
        case SelectShape():
            return Statement(_select(model, id_column, shape), writes=False, locks=shape.for_update)
        case CountShape(where):
            readers: list[Reader] = []
            matching = _matching(model, where, readers)
            return Statement(lambda rows, values: [(len(matching(rows, _read(readers, values))),)], writes=False)
        case AggregateShape():
            return Statement(_aggregate(model, shape), writes=False)
        case InsertShape(columns, returning):
            return Statement(_insert(model, columns, returning), writes=True)
        case UpdateShape():
            return Statement(_update(model, shape), writes=True)
        case DeleteShape():
            return Statement(_delete(model, shape), writes=True)
        case UpsertShape():
            return Statement(_upsert(model, shape) if shape.key else _insert_many(model, shape), writes=True)
        case _:
            assert_never(shape)


def _read(readers: Sequence[Reader], values: Sequence[object]) -> list[Any]:
    return [read(value) for read, value in zip(readers, values, strict=True)]


def _matching(model: MemoryModel, where: NodeShape, readers: list[Reader]) -> Filter:
    holds: Predicate = Where(model, where, readers).holds
    return lambda rows, values: [row for row in rows.rows.values() if holds(row, values)]


# -- reads


def _select(model: MemoryModel, id_column: str, shape: SelectShape) -> Run:
    readers: list[Reader] = []
    matching = _matching(model, shape.where, readers)
    answer = model.answer(shape.columns)
    if shape.order is None:
        return lambda rows, values: [answer(row) for row in matching(rows, _read(readers, values))]
    name, descending = shape.order
    if name in model.json:
        raise InputError(f"{name!r} is a JSON document: rows cannot be sorted by it")
    if shape.after == "value":
        readers.append(model.readers[name])
    if shape.after != "none":
        readers.append(model.readers[id_column])
    count = reader_of(Column("limit", BigInteger()))
    readers.append(count)
    if shape.offset:
        readers.append(count)

    def run(rows: Rows, values: Sequence[object]) -> Sequence[Row]:
        read = _read(readers, values)
        skip = _not_negative(read.pop()) if shape.offset else 0
        limit = read.pop()
        found = in_order(matching(rows, read), name, id_column, descending=descending)
        if shape.after != "none":
            place = (read[-2] if shape.after == "value" else None, read[-1])
            found = [
                row for row in found
                if shape.backwards
                != (
                    _is_behind(row, place, name, id_column, descending=descending)
                    or (shape.before and place == (row[name], row[id_column]))
                )
            ]  # fmt: skip
            if shape.backwards:
                found.reverse()
        if shape.each and limit is not None:
            return [answer(row) for row in _first_of_each(found, shape.each, _not_negative(limit))]
        end = None if limit is None else skip + _not_negative(limit)
        return [answer(row) for row in found[skip:end]]

    return run


def _first_of_each(rows: Sequence[Stored], name: str, limit: int) -> list[Stored]:
    met = Counter[object]()
    found: list[Stored] = []
    for row in rows:
        met[row[name]] += 1
        if met[row[name]] <= limit:
            found.append(row)
    return found


def _not_negative(value: int) -> int:
    if value < 0:
        raise InputError("a page does not begin or end before the first row")
    return value


def in_order(rows: Sequence[Stored], name: str, id_column: str, *, descending: bool) -> list[Stored]:
    """Sorted by `name`, then by id in the same direction; NULLs last whichever way."""
    known = [row for row in rows if row[name] is not None]
    unknown = [row for row in rows if row[name] is None]
    known.sort(key=lambda row: (row[name], row[id_column]), reverse=descending)
    unknown.sort(key=lambda row: row[id_column], reverse=descending)
    return known + unknown


def _is_behind(row: Stored, place: tuple[Any, Any], name: str, id_column: str, *, descending: bool) -> bool:
    value, id_value = place
    if value is None or row[name] is None:
        if value is not None:
            return True  # NULLs come after every value
        here, there = (row[id_column],), (id_value,)
        return row[name] is None and (here < there if descending else here > there)
    pair = (row[name], row[id_column])
    return pair < (value, id_value) if descending else pair > (value, id_value)


def _aggregate(model: MemoryModel, shape: AggregateShape) -> Run:
    check(shape, model.columns)
    readers: list[Reader] = []
    matching, answer = _matching(model, shape.where, readers), aggregate(shape)
    readers += [reader_of(Column("limit", BigInteger()))] * 2

    def run(rows: Rows, values: Sequence[object]) -> Sequence[Row]:
        *read, limit, skip = _read(readers, values)
        return answer(matching(rows, read))[_not_negative(skip) : skip + _not_negative(limit)]

    return run


# -- writes


def _insert(model: MemoryModel, columns: tuple[str, ...], returning: tuple[str, ...]) -> Run:
    many = _insert_many(model, UpsertShape(columns, (), returning))
    return lambda rows, values: [row[:-1] for row in many(rows, [values])]


def _given(model: MemoryModel, columns: tuple[str, ...], values: Sequence[object]) -> list[Stored]:
    return [model.row(model.read(columns, cast("Sequence[object]", row))) for row in values]


def _insert_many(model: MemoryModel, shape: UpsertShape) -> Run:
    answer = model.answer(shape.returning)

    def run(rows: Rows, values: Sequence[object]) -> Sequence[Row]:
        new = _given(model, shape.columns, values)
        rows.apply([Change(None, row) for row in new])
        return [(*answer(row), True) for row in new]

    return run


def _update(model: MemoryModel, shape: UpdateShape) -> Run:
    readers: list[Reader] = [model.readers[name] for name in shape.columns]
    matching = _matching(model, shape.where, readers)
    answer = model.answer(shape.returning)

    def run(rows: Rows, values: Sequence[object]) -> Sequence[Row]:
        read = _read(readers, values)
        changed = dict(zip(shape.columns, read, strict=False))
        changes = [Change(row, model.written(row, changed)) for row in matching(rows, read)]
        rows.apply(changes)
        return [answer(change.new) for change in changes if change.new is not None]

    return run


def _delete(model: MemoryModel, shape: DeleteShape) -> Run:
    readers: list[Reader] = []
    matching = _matching(model, shape.where, readers)
    answer = model.answer(shape.returning)

    def run(rows: Rows, values: Sequence[object]) -> Sequence[Row]:
        gone = matching(rows, _read(readers, values))
        rows.apply([Change(row, None) for row in gone])
        return [answer(row) for row in gone]

    return run


def _upsert(model: MemoryModel, shape: UpsertShape) -> Run:
    key = next((one for one in model.keys if set(one.columns) == set(shape.key)), None)
    if key is None:
        raise LookupError(f"{model.table.name} has no unique key of {shape.key}: an upsert needs one")
    rule, answer = Upsert(model, shape), model.answer(shape.returning)

    def change_of(rows: Rows, new: Stored) -> Change:
        old = rows.holder(key, new)
        return Change(None, new) if old is None else Change(old, rule.change(old, new))

    def run(rows: Rows, values: Sequence[object]) -> Sequence[Row]:
        given = _given(model, shape.columns, values)
        refuse_twice(given, key.columns)
        changes = [change for row in given if (change := change_of(rows, row)).new is not None]
        rows.apply(changes)
        return [(*answer(new), old is None) for old, new in changes if new is not None]

    return run
