"""Stores that break one promise each. Run by `test_dao_provider_contract`: every test collected here has to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from coffee_core.domain.aggregation import Unit
from coffee_core.domain.search import FilterType
from coffee_core.rest.container import Store
from coffee_core.rest.dao_provider import AggregateShape, ConditionShape, CountShape, GroupShape, NodeShape, UpdateShape
from coffee_core.stores import model, values
from coffee_core.stores.memory import aggregates, predicates, provider, rows, statements, transactions
from coffee_core.stores.memory.store import MemoryStore
from coffee_core.testing.dao_provider import DaoProviderContract

Patch = pytest.MonkeyPatch
ALWAYS = GroupShape("and", ())


def _relaxed(node: NodeShape, column: str) -> NodeShape:
    """The condition on `column` takes its value and always holds."""
    if isinstance(node, GroupShape):
        return GroupShape(node.op, tuple(_relaxed(part, column) for part in node.parts))
    if isinstance(node, ConditionShape) and node.column == column and not node.path:
        return GroupShape("or", (node, ALWAYS))
    return node


def _ignoring(column: str, only: type | None = None) -> Callable[[Patch], None]:
    def spoil(patch: Patch) -> None:
        compile_shape = statements.compile_shape

        def broken(table: Any, id_column: str, shape: Any) -> Any:
            if hasattr(shape, "where") and (only is None or isinstance(shape, only)):
                shape = shape._replace(where=_relaxed(shape.where, column))
            return compile_shape(table, id_column, shape)

        patch.setattr(provider, "compile_shape", broken)

    return spoil


def _with(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[Patch], None]:
    """Replaces `owner.name` by what `make` makes of it."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


def _comparing(type_: FilterType, compare: Callable[[Any, Any], bool]) -> Callable[[Patch], None]:
    return lambda patch: patch.setitem(predicates.COMPARISONS, type_, compare)  # type: ignore[arg-type]


def _nulls_first(in_order: Any) -> Any:
    def broken(found: Sequence[Any], name: str, id_column: str, *, descending: bool) -> list[Any]:
        right = in_order(found, name, id_column, descending=descending)
        return [row for row in right if row[name] is None] + [row for row in right if row[name] is not None]

    return broken


def _ties_ascending(in_order: Any) -> Any:
    def broken(found: Sequence[Any], name: str, id_column: str, *, descending: bool) -> list[Any]:
        by_id = in_order(found, id_column, id_column, descending=False)
        known = [row for row in by_id if row[name] is not None]
        known.sort(key=lambda row: row[name], reverse=descending)
        return known + [row for row in by_id if row[name] is None]

    return broken


def _including_its_row(is_behind: Any) -> Any:
    def broken(row: Any, place: Any, name: str, id_column: str, *, descending: bool) -> bool:
        return row[id_column] == place[1] or is_behind(row, place, name, id_column, descending=descending)

    return broken


def _without_nulls(is_behind: Any) -> Any:
    def broken(row: Any, place: Any, name: str, id_column: str, *, descending: bool) -> bool:
        return row[name] is not None and is_behind(row, place, name, id_column, descending=descending)

    return broken


def _keeping(*names: str) -> Callable[[Any], Any]:
    def make(written: Any) -> Any:
        return lambda self, row, changed: {**written(self, row, changed), **{name: row[name] for name in names}}

    return make


def _walking_arrays(at: Any) -> Any:
    def broken(document: Any, path: tuple[str, ...]) -> Any:
        for step in path:
            if isinstance(document, list) and step.lstrip("-").isdigit() and int(step) < len(document):
                document = document[int(step)]
            else:
                document = at(document, (step,))
        return document

    return broken


def _coercing(_: Any) -> Any:
    def broken(value: Any, kind: Any) -> Any:
        if kind == (int, float) and isinstance(value, str) and value.isdigit():
            return int(value)
        return value if isinstance(value, kind) else None

    return broken


def _any_word(_: Any) -> Any:
    def broken(self: Any, columns: tuple[str, ...]) -> Any:
        at = self._take(lambda text: str(text).lower().split())

        def holds(row: Any, given: Sequence[Any]) -> bool:
            texts = [row[column].lower() for column in columns if row[column] is not None]
            return any(word in text for text in texts for word in given[at]) or not given[at]

        return holds

    return broken


def _three_valued(_: Any) -> Any:
    original = predicates.Where._node

    def broken(self: Any, shape: Any) -> Any:
        if isinstance(shape, GroupShape) and shape.op == "not" and isinstance(shape.parts[0], ConditionShape):
            inner, column = original(self, shape.parts[0]), shape.parts[0].column
            return lambda row, given: row[column] is not None and not inner(row, given)
        return original(self, shape)

    return broken


async def _keep(self: Any) -> None:
    self._tables.replace(self._changed)
    self._end()


def _without_copy(_: Any) -> Any:
    return lambda self: self


def _lenient(name: str) -> Callable[[Any], Any]:
    """A check that lets one kind of value through."""

    def make(read: Any) -> Any:
        def broken(value: Any, *arguments: Any) -> Any:
            if name == "nul" and isinstance(value, str):
                return value
            if name == "large" and isinstance(value, int):
                return value
            return read(value, *arguments)

        return broken

    return make


def _changing_always(_: Any) -> Any:
    return lambda self, old, new: None if old["partner_id"] != new["partner_id"] else self._model.written(old, {})


def _changing_anybodys(_: Any) -> Any:
    return lambda self, old, new: self._model.written(old, {name: new[name] for name in self.changing})


async def _live(self: Any, plan: Any, given: Sequence[object]) -> Any:
    """A stream that looks again for each batch."""
    at = 0
    while batch := plan.statement.run(self._tables.rows(self._model), given)[at : at + 500]:
        at += len(batch)
        yield batch


def _one_more(select: Any) -> Any:
    def broken(table: Any, id_column: str, shape: Any) -> Any:
        run = select(table, id_column, shape)
        if not shape.offset:
            return run
        return lambda found, given: run(found, [*given[:-1], given[-1] + (1 if given[-1] else 0)])

    return broken


def _turned(turn: Callable[[Any], Any]) -> Callable[[Patch], None]:
    return _with(statements, "_select", lambda select: lambda model, key, shape: select(model, key, turn(shape)))


def _farthest_first(select: Any) -> Any:
    def broken(table: Any, id_column: str, shape: Any) -> Any:
        run = select(table, id_column, shape)
        if not shape.backwards:
            return run
        return lambda found, given: run(found, [*given[:-1], 1000])[-given[-1] :]

    return broken


class Broken(NamedTuple):
    """How a store is spoiled, and the test that has to notice."""

    spoil: Callable[[Patch], None]
    noticed_by: str


def _weeks_from_sunday(bucket: Any) -> Any:
    def broken(value: Any, unit: Any) -> Any:
        day = bucket(value, unit)
        return day if day is None or unit is not Unit.WEEK else day - timedelta(days=1)

    return broken


F = FilterType
BROKEN = {
    "begins weeks on Sunday": Broken(
        _with(aggregates, "_bucket", _weeks_from_sunday), "test_weeks_begin_on_monday_also_where_years_meet"
    ),
    "has one limit for all groups": Broken(
        _with(statements, "_first_of_each", lambda _: lambda found, name, limit: found[:limit]),
        "test_each_group_has_its_own_first_rows",
    ),
    "aggregates what does not match": Broken(
        _ignoring("rank", AggregateShape), "test_only_matching_rows_of_the_caller_are_aggregated"
    ),
    "reads other partners' rows": Broken(_ignoring("partner_id"), "test_another_partners_row_does_not_exist"),
    "writes other partners' rows": Broken(
        _ignoring("partner_id", UpdateShape), "test_another_partners_row_does_not_exist"
    ),
    "counts other partners' rows": Broken(
        _ignoring("partner_id", CountShape), "test_another_partners_row_does_not_exist"
    ),
    "ignores the version": Broken(_ignoring("version"), "test_a_write_to_an_old_version_is_refused"),
    "ignores a filter": Broken(_ignoring("rank"), "test_rows_are_deleted_by_what_they_hold"),
    "sorts NULLs first": Broken(
        _with(statements, "in_order", _nulls_first), "test_rows_are_sorted_with_nulls_last_in_both_directions"
    ),
    "breaks ties upwards": Broken(
        _with(statements, "in_order", _ties_ascending), "test_ties_are_broken_by_id_in_the_direction_of_the_sort"
    ),
    "skips a row between pages": Broken(_with(statements, "_select", _one_more), "test_pages_together_equal_the_whole"),
    "repeats a row behind a cursor": Broken(
        _with(statements, "_is_behind", _including_its_row), "test_pages_together_equal_the_whole"
    ),
    "loses NULLs behind a cursor": Broken(
        _with(statements, "_is_behind", _without_nulls), "test_a_cursor_stays_right_while_rows_come_and_go"
    ),
    "takes a place before a row for one behind it": Broken(
        _turned(lambda shape: shape._replace(before=False)),
        "test_a_place_is_before_or_behind_its_row_and_read_from_both_ways",
    ),
    "reads onwards only": Broken(
        _turned(lambda shape: shape._replace(backwards=False)), "test_on_the_way_back_too_rows_come_and_go"
    ),
    "goes back to the first page at once": Broken(
        _with(statements, "_select", _farthest_first), "test_pages_together_equal_the_whole"
    ),
    "does not count versions": Broken(
        _with(model.Model, "written", _keeping("version")), "test_an_update_counts_the_version_and_dates_the_row"
    ),
    "does not date updates": Broken(
        _with(model.Model, "written", _keeping("updated_at")), "test_an_update_counts_the_version_and_dates_the_row"
    ),
    "holds no unique key": Broken(
        lambda patch: patch.setattr(rows.UniqueKey, "of", lambda self, row: (row["id"],)),
        "test_a_taken_key_is_a_conflict",
    ),
    "has a case-blind LIKE": Broken(
        _comparing(F.LIKE, lambda found, pattern: bool(pattern.fullmatch(found.lower()))),
        "test_patterns_escape_with_a_backslash",
    ),
    "has a case-bound ILIKE": Broken(
        _comparing(F.ILIKE, lambda found, pattern: bool(pattern.fullmatch(found))),
        "test_patterns_escape_with_a_backslash",
    ),
    "knows no escapes": Broken(
        _with(predicates, "like_steps", lambda _: lambda pattern, __: [(char in "%_", char) for char in pattern]),
        "test_patterns_escape_with_a_backslash",
    ),
    "finds nothing in NOT_IN ()": Broken(
        _comparing(F.NOT_IN, lambda found, given: bool(given) and found not in given),
        "test_an_operator_matches_what_it_says",
    ),
    "finds all in IN ()": Broken(
        _comparing(F.IN, lambda found, given: not given or found in given), "test_an_operator_matches_what_it_says"
    ),
    "has an open BETWEEN": Broken(
        _with(predicates, "_between", lambda _: lambda found, low, high: found is not None and low < found < high),
        "test_an_operator_matches_what_it_says",
    ),
    "overlaps as it contains": Broken(
        _comparing(F.ARRAY_OVERLAPS, lambda found, given: all(one in found for one in given)),
        "test_an_operator_matches_what_it_says",
    ),
    "has a three-valued NOT": Broken(_with(predicates.Where, "_node", _three_valued), "test_groups_are_two_valued"),
    "walks into arrays": Broken(_with(predicates, "_at", _walking_arrays), "test_a_path_matches_by_kind"),
    "takes '1' for 1": Broken(_with(predicates, "_of_kind", _coercing), "test_a_path_matches_by_kind"),
    "finds any word": Broken(
        _with(predicates.Where, "_words", _any_word), "test_free_text_finds_every_word_in_any_of_the_columns"
    ),
    "keeps what was rolled back": Broken(
        _with(transactions.MemoryTransaction, "rollback", lambda _: _keep), "test_a_rollback_leaves_nothing"
    ),
    "stores what had failed": Broken(
        _with(transactions.MemoryTransaction, "commit", lambda _: _keep),
        "test_an_error_that_is_swallowed_stores_nothing",
    ),
    "shows what is not committed": Broken(
        _with(rows.Rows, "copy", _without_copy), "test_the_unit_of_work_sees_its_own_writes_and_others_do_not"
    ),
    "upserts what is equal": Broken(
        _with(model.Upsert, "change", _changing_always),
        "test_created_and_changed_are_answered_and_unchanged_is_not",
    ),
    "upserts another partner's row": Broken(
        _with(model.Upsert, "change", _changing_anybodys), "test_another_partners_row_is_never_touched"
    ),
    "takes NUL": Broken(
        _with(values, "read_text", _lenient("nul")), "test_a_value_that_does_not_fit_is_an_input_error"
    ),
    "takes numbers that are too large": Broken(
        _with(values, "_integer", _lenient("large")), "test_a_value_that_does_not_fit_is_an_input_error"
    ),
    "streams what comes in meanwhile": Broken(
        _with(provider.MemoryDaoProvider, "stream", lambda _: _live),
        "test_a_stream_comes_in_batches_of_one_snapshot",
    ),
}


class BrokenStoreContract(DaoProviderContract):
    """Collected only where a store is run with the test that has to notice it: see `pytest_collection_modifyitems`."""

    @pytest.fixture(autouse=True, params=BROKEN)
    def broken(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        BROKEN[request.param].spoil(monkeypatch)

    async def make(self) -> Store:
        return MemoryStore()

    async def make_lost(self) -> Store | None:
        return None
