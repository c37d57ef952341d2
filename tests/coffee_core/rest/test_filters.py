"""Filters are read by the fields' types, within bounds, or refused with their place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.errors import InputError
from coffee_core.domain.search import EVERYTHING, Condition, FilterType, Group
from coffee_core.rest.fields import describe
from coffee_core.rest.filters import FilterReader, path_steps, path_text
from coffee_core.rest.settings import RestSettings
from tests.coffee_core.rest.sample import BookEntity, BookEntry

STORED = tuple(column.name for column in BookEntity.__table__.columns)
READER = FilterReader(describe(BookEntry), STORED, RestSettings(filters_max=5, filter_depth_max=3, filter_values_max=4))


def one(type_: str, field: str, value: object = None) -> dict[str, object]:
    return {"filterType": type_, "field": field, **({} if value is None else {"value": value})}


@pytest.mark.parametrize(
    ("given_", "read"),
    [
        (one("GTE", "pages", "1000"), Condition(FilterType.GTE, "pages", 1000)),
        (one("GTE", "pages", 1000), Condition(FilterType.GTE, "pages", 1000)),
        (one("IN", "pages", ["1", 2]), Condition(FilterType.IN, "pages", [1, 2])),
        (one("BETWEEN", "price", [1, "2.5"]), Condition(FilterType.BETWEEN, "price", [1.0, 2.5])),
        (one("EQ", "createdAt", "2026-01-02T03:04:05+00:00"),
         Condition(FilterType.EQ, "created_at", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))),
        (one("EQ", "created_at", "2026-01-02T03:04:05Z"),
         Condition(FilterType.EQ, "created_at", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))),
        (one("ARRAY_CONTAINS", "tags", "a"), Condition(FilterType.ARRAY_CONTAINS, "tags", ["a"])),
        (one("IS_NULL", "pages"), Condition(FilterType.IS_NULL, "pages")),
        (one("GT", "audience.gender.male_per", 0.5), Condition(FilterType.GT, "audience", 0.5, ("gender", "male_per"))),
        (one("GTE", "audience.male_per", "50"), Condition(FilterType.GTE, "audience", 50.0, ("male_per",))),
        (one("BETWEEN", "audience.male", ["1", 2]), Condition(FilterType.BETWEEN, "audience", [1.0, 2], ("male",))),
        (one("GT", "audience.age", "18-24"), Condition(FilterType.GT, "audience", "18-24", ("age",))),
        (one("EQ", "audience.code", "50"), Condition(FilterType.EQ, "audience", "50", ("code",))),
        ({"not": one("EQ", "title", "x")}, Group("not", (Condition(FilterType.EQ, "title", "x"),))),
    ],
)  # fmt: skip
def test_a_value_is_read_by_its_fields_type(given_: object, read: object) -> None:
    assert READER.read([given_]) == read


def test_no_filters_match_everything_and_several_must_all_hold() -> None:
    assert READER.read([]) == EVERYTHING
    title = Condition(FilterType.EQ, "title", "x")
    assert READER.read([one("EQ", "title", "x")] * 2) == Group("and", (title, title))


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({}, "/filters must be a list"),
        ([1], "/filters/0 must be an object"),
        ([{"filterType": "EQ"}], "/filters/0/field must be a field's name"),
        ([one("EQ", "colour", 1)], "there are id, title"),
        ([one("LIKE", "pages", "1%")], "pages takes EQ, NE"),
        ([one("EQ", "audience", {})], "audience takes IS_NULL, NOT_NULL"),
        ([one("EQ", "tags", ["a"])], "tags takes ARRAY_CONTAINS"),
        ([one("SAME", "pages", 1)], "must be one of EQ, NE"),
        ([one("EQ", "pages", "many")], "/filters/0/value is not a value of pages"),
        ([{"filterType": "EQ", "field": "pages", "value": None}], "use IS_NULL"),
        ([one("IS_NULL", "pages", 1)], "takes no value"),
        ([one("IN", "pages", 1)], "takes a list"),
        ([one("IN", "pages", [1, 2, 3, 4, 5])], "at most 4"),
        ([one("BETWEEN", "pages", [1])], "list of two values"),
        ([one("EQ", "price", "nan")], "must be a finite number"),
        ([one("EQ", "title", "x")] * 6, "one condition too many: at most 5"),
        ([{"and": [{"or": [{"not": one("EQ", "title", "x")}]}]}], "nests deeper than 3"),
        ([{"and": []}], "/filters/0/and must be a list of at least one"),
        ([{"xor": []}], "must be {filterType"),
        ([{**one("EQ", "title", "x"), "case": 1}], "unknown members"),
        ([one("EQ", "audience.a b", 1)], "unknown field"),
        ([one("EQ", "audience.", 1)], "unknown field"),
        ([one("EQ", "pages.x", 1)], "unknown field"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(given_: object, says: str) -> None:
    with pytest.raises(InputError, match=says.replace("{", r"\{")):
        READER.read(given_)


WORDS = st.sampled_from(["pages", "EQ", "IN"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["pages", "EQ", "IN"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["filterType", "field", "value", "and", "or", "not", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(given_=JSON)
def test_any_document_is_read_or_refused_and_nothing_else(given_: Any) -> None:
    try:
        assert isinstance(READER.read(given_), Condition | Group)
    except InputError as error:
        assert error.errors  # noqa: PT017  # either outcome is right; each has its own promise


@given(
    st.lists(
        st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",)), min_size=1, max_size=20),
        min_size=1,
        max_size=8,
    )
)
def test_a_path_of_any_names_is_read_back_as_it_was_written(steps: list[str]) -> None:
    assert path_steps(path_text(steps)) == tuple(steps)


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b", '"a', '"a"b', "a b", '"a\0"', ".a", '""', "a.b.c.d.e.f.g.h.i"])
def test_what_is_no_path_has_no_steps(text: str) -> None:
    assert path_steps(text) == ()
