"""Bad values are the caller's mistake and say so; a store that does not answer is `UnavailableError`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from coffee_core.domain.errors import ConflictError, InputError, UnavailableError
from coffee_core.domain.search import Condition, FilterType
from coffee_core.testing.store_contract.bench import Bench

BAD_VALUES: list[tuple[str, Any]] = [
    ("title", "a\0b"),
    ("title", "\ud800"),
    ("title", 5),
    ("rank", 1 << 31),
    ("rank", -(1 << 31) - 1),
    ("rank", "1"),
    ("big", 1 << 63),
    ("big", 1 << 200),
    ("big", "x"),
    ("score", "1.0"),
    ("score", 10**400),
    ("active", 1),
    ("active", "true"),
    ("seen_at", "2024-01-01"),
    ("seen_at", 0),
    ("uid", "not-a-uuid"),
    ("uid", 7),
    ("tags", "x"),
    ("tags", [1]),
    ("tags", ["a\0"]),
]

BAD_DOCUMENTS: list[Any] = [{"a": "x\0y"}, {"x\0y": 1}, {"a": 1 << 200}, {1: 2}, {"a": "\ud800"}]


class FaultsContract:
    """See `DaoProviderContract`."""

    @pytest.mark.parametrize(("field", "value"), BAD_VALUES, ids=lambda one: ascii(one)[:40])
    async def test_a_value_that_does_not_fit_is_an_input_error(self, bench: Bench, field: str, value: Any) -> None:
        with pytest.raises(InputError):
            await bench.add("bad", **{field: value})
        if bench.features.updates:
            added = await bench.add("good")
            with pytest.raises(InputError):
                await bench.change(added.id, **{field: value})
        if field != "tags":
            with pytest.raises(InputError):
                await bench.codes(Condition(FilterType.EQ, field, value))
            with pytest.raises(InputError):
                await bench.codes(Condition(FilterType.IN, field, [value]))
        else:
            with pytest.raises(InputError):
                await bench.codes(Condition(FilterType.ARRAY_CONTAINS, field, value))
        assert await bench.codes() == (["good"] if bench.features.updates else [])

    @pytest.mark.parametrize("document", BAD_DOCUMENTS, ids=lambda one: ascii(one)[:40])
    async def test_a_document_that_is_no_json_is_an_input_error(self, bench: Bench, document: Any) -> None:
        with pytest.raises(InputError):
            await bench.add("bad", info=document)
        with pytest.raises(InputError):
            await bench.upsert([bench.values("bad", info=document)])
        assert await bench.count() == 0

    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            (FilterType.IN, 5),
            (FilterType.IN, "abc"),
            (FilterType.IN, [1, "a"]),
            (FilterType.BETWEEN, (1, "a")),
            (FilterType.BETWEEN, [1]),
            (FilterType.BETWEEN, [1, 2, 3]),
            (FilterType.BETWEEN, 5),
        ],
        ids=str,
    )
    async def test_an_operator_takes_its_own_kind_of_value(self, bench: Bench, type_: FilterType, value: Any) -> None:
        with pytest.raises(InputError):
            await bench.codes(Condition(type_, "rank", value))

    async def test_a_path_takes_values_of_one_kind(self, bench: Bench) -> None:
        for value in ([1, "a"], ["a", 1], [True, 1]):
            with pytest.raises(InputError):
                await bench.codes(Condition(FilterType.IN, "info", value, ("x",)))
        with pytest.raises(InputError):
            await bench.codes(Condition(FilterType.BETWEEN, "info", ("a", 2), ("x",)))
        with pytest.raises(InputError):
            await bench.codes(Condition(FilterType.EQ, "info", "a\0", ("x",)))

    async def test_a_pattern_that_ends_in_its_escape_is_an_input_error(self, bench: Bench) -> None:
        await bench.add("a", title="ab")
        with pytest.raises(InputError):
            await bench.codes(Condition(FilterType.LIKE, "title", "a\\"))

    async def test_a_negative_page_is_an_input_error(self, bench: Bench) -> None:
        with pytest.raises(InputError):
            await bench.codes(size=-1)
        with pytest.raises(InputError):
            await bench.codes(page=0)

    async def test_free_text_with_nul_is_an_input_error(self, bench: Bench) -> None:
        with pytest.raises(InputError):
            await bench.codes(text="a\0b")

    async def test_an_error_does_not_repeat_the_value(self, bench: Bench) -> None:
        with pytest.raises(InputError) as refused:
            await bench.add("a", rank="somebody's-own")
        assert "somebody" not in refused.value.detail
        added = await bench.add("somebody's-own")
        if bench.features.unique_keys:
            with pytest.raises(ConflictError) as conflict:
                await bench.add("somebody's-own", uid=added.uid)
            assert "somebody" not in conflict.value.detail

    async def test_the_store_answers_after_a_mistake(self, bench: Bench) -> None:
        for _ in range(30):
            with pytest.raises(InputError):
                await bench.add("bad", rank=1 << 40)
        assert (await bench.add("good", seen_at=datetime(2024, 1, 1).astimezone())).code == "good"  # made aware at once

    async def test_a_store_that_does_not_answer_is_unavailable(self, lost_bench: Bench) -> None:
        with pytest.raises(UnavailableError):
            await lost_bench.codes()
        with pytest.raises(UnavailableError):
            await lost_bench.add("a")
        with pytest.raises(UnavailableError):
            await lost_bench.streamed()
