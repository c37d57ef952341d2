"""The rows of one table and the keys they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Index, PrimaryKeyConstraint, Table, UniqueConstraint

from coffee_core.domain.errors import ConflictError
from coffee_core.stores.model import Stored, key_of


class Change(NamedTuple):
    """From `old` (None: was not there) to `new` (None: is gone)."""

    old: Stored | None
    new: Stored | None


class UniqueKey(NamedTuple):
    """Columns whose values no two rows share; a row with NULL in one of them shares nothing."""

    name: str
    columns: tuple[str, ...]

    def of(self, row: Stored) -> tuple[object, ...] | None:
        """The row's value, or None if it takes none."""
        return key_of(row, self.columns)


def unique_keys(table: Table) -> tuple[UniqueKey, ...]:
    """The primary key first, then the unique constraints and indexes. Partial and expression indexes are not held."""
    keys = [UniqueKey("primary key", tuple(c.name for c in table.primary_key.columns))]
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint) and not isinstance(constraint, PrimaryKeyConstraint):
            columns = tuple(c.name for c in constraint.columns)
            keys.append(UniqueKey(str(constraint.name or ", ".join(columns)), columns))
    keys += [_key_of(index) for index in table.indexes if index.unique and not _is_partial(index)]
    return tuple(sorted(set(keys), key=lambda key: (key.name != "primary key", key)))


def _key_of(index: Index) -> UniqueKey:
    return UniqueKey(str(index.name), tuple(c.name for c in index.columns))


def _is_partial(index: Index) -> bool:
    plain = len(index.columns) == len(index.expressions)
    return not plain or index.dialect_options["postgresql"].get("where") is not None


class Rows:
    """Rows by primary key, in the order in which they came."""

    def __init__(self, keys: tuple[UniqueKey, ...]) -> None:
        self.keys = keys
        self.rows: dict[tuple[object, ...], Stored] = {}
        self._taken: dict[UniqueKey, dict[tuple[object, ...], Stored]] = {key: {} for key in keys}

    def copy(self) -> Rows:
        """An independent copy; the rows themselves are shared, they never change."""
        copied = Rows(self.keys)
        copied.rows = dict(self.rows)
        copied._taken = {key: dict(taken) for key, taken in self._taken.items()}
        return copied

    def holder(self, key: UniqueKey, row: Stored) -> Stored | None:
        """The row that has the same `key` as `row`."""
        value = key.of(row)
        return None if value is None else self._taken[key].get(value)

    def apply(self, changes: Sequence[Change]) -> None:
        """All of the changes or, where one would take a key that is taken, `ConflictError` and none of them."""
        freed = {(key, key.of(change.old)) for change in changes if change.old is not None for key in self.keys}
        added: set[tuple[UniqueKey, tuple[object, ...]]] = set()
        for change in changes:
            for key in self.keys if change.new is not None else ():
                value = key.of(change.new or {})
                if value is None:
                    continue
                if (key, value) in added or (value in self._taken[key] and (key, value) not in freed):
                    raise ConflictError(f"there is such a row already ({key.name})")
                added.add((key, value))
        for change in changes:
            self._drop(change)
        for change in changes:
            self._put(change)

    def _drop(self, change: Change) -> None:
        if change.old is None:
            return
        for key in self.keys:
            value = key.of(change.old)
            if value is not None:
                del self._taken[key][value]
        moved = change.new is None or self.keys[0].of(change.new) != self.keys[0].of(change.old)
        if moved:
            del self.rows[self._primary(change.old)]

    def _put(self, change: Change) -> None:
        if change.new is None:
            return
        for key in self.keys:
            value = key.of(change.new)
            if value is not None:
                self._taken[key][value] = change.new
        self.rows[self._primary(change.new)] = change.new

    def _primary(self, row: Stored) -> tuple[object, ...]:
        value = self.keys[0].of(row)
        assert value is not None, "a primary key is never NULL"
        return value
