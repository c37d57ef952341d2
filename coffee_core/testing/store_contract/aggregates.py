"""Groups and measures: the store answers what plain Python makes of the same rows."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.aggregation import (
    Aggregation,
    By,
    Function,
    Measure,
    Unit,
    average,
    count,
    distinct,
    group,
    last,
    least,
    most,
    total,
)
from coffee_core.domain.errors import InputError, PlanError
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import path
from coffee_core.rest.dao import Dao
from coffee_core.testing.store_contract.agreement import EXAMPLES, TAGS
from coffee_core.testing.store_contract.bench import Bench
from coffee_core.testing.store_contract.sample import Sample

YEAR_ENDS = [datetime(y, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) for y in (1969, 2017, 2018, 2020, 2023)]
TIMES = st.sampled_from(YEAR_ENDS).flatmap(
    lambda end: st.integers(-40, 40).map(lambda days: end + timedelta(days=days, microseconds=days % 2))
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "title": st.none() | st.sampled_from(["", "a", "B", "b", "\u00e9"]),
            "rank": st.none() | st.integers(-3, 3),
            "big": st.none() | st.sampled_from([-(1 << 60), -1, 0, 7, 1 << 60]),
            "score": st.none() | st.sampled_from([-1.5, 0.25, 8.0]),
            "active": st.none() | st.booleans(),
            "seen_at": st.none() | TIMES,
            "tags": TAGS,
        }
    ),
    max_size=12,
)
GROUPS = [
    (), (By("title"),), (By("rank"),), (By("active"),), (By("tags", Unit.EACH),), (By("seen_at", Unit.DAY),),
    (By("seen_at", Unit.WEEK),), (By("seen_at", Unit.MONTH),), (By("title"), By("seen_at", Unit.MONTH)),
    (By("rank"), By("tags", Unit.EACH)),
]  # fmt: skip
MEASURES = (
    count(), distinct(Sample.rank), total(Sample.rank), total(Sample.score), average(Sample.rank), least(Sample.title),
    most(Sample.seen_at), last(Sample.title, by=Sample.rank), last(Sample.big, by=Sample.seen_at), least(Sample.big),
)  # fmt: skip


def _bucket(value: Any, unit: Unit) -> list[Any]:
    if unit is Unit.EACH:
        return list(value)
    if value is None or unit is Unit.VALUE:
        return [value]
    day: date = value.date()
    if unit is Unit.WEEK:
        return [date.fromisocalendar(*day.isocalendar()[:2], 1)]
    return [date(day.year, day.month, 1) if unit is Unit.MONTH else day]


def _measured(measure: Measure, rows: list[dict[str, Any]]) -> Any:
    values = [row[measure.column] for row in rows if measure.column and row[measure.column] is not None]
    match measure.function:
        case Function.COUNT:
            return len(rows)
        case Function.DISTINCT:
            return len(set(values))
        case Function.LAST:
            there = [(row[measure.by], row[measure.column]) for row in rows if row[measure.column] is not None]
            there = [pair for pair in there if pair[0] is not None]
            return max(there)[1] if there else None
        case _ if not values:
            return None
        case Function.SUM:
            return sum(values)
        case Function.AVG:
            return pytest.approx(sum(values) / len(values))
        case Function.MIN:
            return min(values)
        case _:
            return max(values)


def expected(rows: list[dict[str, Any]], by: tuple[By, ...]) -> list[list[Any]]:
    """The rows of every group, by its parts upwards, NULLs last."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {} if by else {(): []}
    for row in rows:
        keys: list[tuple[Any, ...]] = [()]
        for part in by:
            keys = [(*key, one) for key in keys for one in _bucket(row[part.column], part.unit)]
        for key in keys:
            groups.setdefault(key, []).append(row)
    ordered = sorted(groups, key=lambda key: [(part is None, 0 if part is None else part) for part in key])
    return [[*key, *[_measured(measure, groups[key]) for measure in MEASURES]] for key in ordered]


async def answered(bench: Bench, wanted: Aggregation) -> list[list[Any]]:
    """The store's rows."""
    async with bench.acting():
        return [list(row) for row in await bench.dao.aggregate(wanted)]


class AggregatesContract:
    """See `DaoProviderContract`."""

    @EXAMPLES
    @given(rows=ROWS, by=st.sampled_from(GROUPS))
    async def test_any_groups_and_measures_are_what_the_rows_make_of_them(
        self, bench: Bench, rows: list[dict[str, Any]], by: tuple[By, ...]
    ) -> None:
        here = bench.of(bench.new_partner())
        await here.add_all([{"code": f"{at:02}", "uid": uuid.uuid4(), **row} for at, row in enumerate(rows)])
        assert await answered(here, Aggregation(by=by, measures=MEASURES)) == expected(rows, by)

    async def test_weeks_begin_on_monday_also_where_years_meet(self, bench: Bench) -> None:
        days = {"2017-12-31": "2017-12-25", "2018-01-01": "2018-01-01", "2020-12-31": "2020-12-28",
                "2021-01-03": "2020-12-28", "2021-01-04": "2021-01-04", "1969-12-31": "1969-12-29"}  # fmt: skip
        for day in days:
            await bench.add(seen_at=datetime.fromisoformat(f"{day}T23:59:59.999999+00:00"))
        found = await answered(bench, Aggregation(by=(group(Sample.seen_at, Unit.WEEK),), measures=(count(),)))
        assert [row[0] for row in found] == sorted({date.fromisoformat(monday) for monday in days.values()})

    async def test_groups_are_sorted_by_a_measure_with_ties_by_the_group_and_read_page_by_page(
        self, bench: Bench
    ) -> None:
        for title, times in {"b": 2, "a": 2, "c": 3, "d": 1}.items():
            for _ in range(times):
                await bench.add(title=title, rank=None if title == "d" else times)
        by = (group(Sample.title),)

        async def titles(**rest: Any) -> list[Any]:
            wanted = Aggregation(by=by, measures=(count(), most(Sample.rank)), **rest)
            return [row[0] for row in await answered(bench, wanted)]

        assert await titles(order=1, descending=True) == ["c", "a", "b", "d"]
        assert await titles(order=1) == ["d", "a", "b", "c"]
        assert await titles(order=2, descending=True) == ["c", "a", "b", "d"], "what has no measure comes last"
        assert await titles(order=2) == ["a", "b", "c", "d"]
        assert await titles(order=0, descending=True) == ["d", "c", "b", "a"]
        pages = [await titles(order=1, descending=True, size=3, page=page) for page in (1, 2, 3)]
        assert pages == [["c", "a", "b"], ["d"], []]

    async def test_only_matching_rows_of_the_caller_are_aggregated(self, bench: Bench) -> None:
        stranger = bench.of(bench.new_partner())
        await stranger.add(rank=5)
        for rank in (1, 5, 6):
            await bench.add(rank=rank)
        hidden = await bench.add(rank=9)
        bench.needs(updates=True)
        await bench.remove(hidden.id)
        wanted = Aggregation(measures=(count(), total(Sample.rank)), where=path(Sample.rank).gte(5))
        assert await answered(bench, wanted) == [[2, 11]]

    async def test_a_locked_column_is_refused_wherever_it_stands(self, bench: Bench) -> None:
        locked = Dao(Sample, Sample.id, bench.provider, gates={"rank": Plan.SAAS})
        for wanted in (
            Aggregation(by=(group(Sample.rank),), measures=(count(),)),
            Aggregation(measures=(total(Sample.rank),)),
            Aggregation(measures=(last(Sample.title, by=Sample.rank),)),
            Aggregation(measures=(count(),), where=path(Sample.rank).eq(1)),
        ):
            async with bench.acting():
                with pytest.raises(PlanError):
                    await locked.aggregate(wanted)

    @pytest.mark.parametrize(
        "wanted",
        [
            Aggregation(measures=(total(Sample.title),)),
            Aggregation(measures=(average(Sample.active),)),
            Aggregation(measures=(most(Sample.info),)),
            Aggregation(measures=(count(),), by=(group(Sample.tags),)),
            Aggregation(measures=(count(),), by=(group(Sample.title, Unit.EACH),)),
            Aggregation(measures=(count(),), by=(group(Sample.rank, Unit.WEEK),)),
            Aggregation(measures=(count(),), by=(group(Sample.rank),), order=2),
        ],
        ids=lambda wanted: f"{wanted.by} {wanted.measures} {wanted.order}",
    )
    async def test_what_makes_no_sense_is_refused_and_said(self, bench: Bench, wanted: Aggregation) -> None:
        with pytest.raises(InputError):
            await answered(bench, wanted)
