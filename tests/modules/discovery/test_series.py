"""Time series: days, weeks and months, and what changed between them, against plain Python."""

from __future__ import annotations

import secrets
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from coffee_core.domain.context import RequestContext
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.testing.api_client import ApiClient
from modules.discovery.buckets import METRICS, Period
from modules.discovery.entity import ProfileDayEntity
from modules.discovery.module import SNAPSHOT_KEY, content_manager, run, series_manager
from modules.discovery.rollup import Rollup
from tests.modules.discovery.conftest import World
from tests.modules.discovery.test_search import BASE

CAMEL = {"engagement_rate": "engagementRate"}
NUMBERS = st.fixed_dictionaries(
    {
        **{name: st.none() | st.integers(0, 10**6) for name in METRICS[:-1]},
        METRICS[-1]: st.none() | st.sampled_from([0.5, 1.25, 4.0]),
    }
)
YEAR_ENDS = st.sampled_from([date(2017, 12, 31), date(2019, 12, 31), date(2020, 2, 29), date(2020, 12, 31)])
HISTORIES = st.builds(
    lambda end, days: {end + timedelta(days=offset): numbers for offset, numbers in days.items()},
    YEAR_ENDS,
    st.dictionaries(st.integers(-70, 70), NUMBERS, min_size=1, max_size=12),
)


def first_of(day: date, period: str) -> date:
    if period == "WEEK":
        return date.fromisocalendar(day.isocalendar().year, day.isocalendar().week, 1)
    return date(day.year, day.month, 1) if period == "MONTH" else day


def by_hand(history: dict[date, dict[str, Any]], period: str, first: date, last: date) -> list[dict[str, Any]]:
    """Every day walked through: what was known at its end, and at the end of each period what has changed."""
    latest: dict[str, Any] = dict.fromkeys(METRICS)
    for day in sorted(history):
        if day < first:
            latest |= {name: value for name, value in history[day].items() if value is not None}
    points: list[dict[str, Any]] = []
    day = first
    while day <= last:
        start, within = first_of(day, period), dict.fromkeys(METRICS)
        while day <= last and first_of(day, period) == start:
            within |= {name: value for name, value in history.get(day, {}).items() if value is not None}
            day += timedelta(days=1)
        point: dict[str, Any] = {"start": start.isoformat()}
        for name in METRICS:
            wire, value, old = CAMEL.get(name, name), within[name], latest[name]
            point[wire] = value
            point[f"{wire}Change"] = None if value is None or old is None else value - old
            latest[name] = old if value is None else value
        points.append(point)
    return points


async def store(world: World, key: str, history: dict[date, dict[str, Any]]) -> None:
    dao = series_manager(world.container).dao
    rows = [{"platform": "YOUTUBE", "profile_key": key, "day": day, **numbers} for day, numbers in history.items()]

    async with acting_as(RequestContext(request_id="t", partner_id=0)):
        await dao.upsert(rows, SNAPSHOT_KEY)


@settings(
    max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@example(
    history={date(2017, 12, 30): dict.fromkeys(METRICS, 5), date(2018, 1, 15): dict.fromkeys(METRICS, 9)},
    cut=(0, 0),
)
@given(history=HISTORIES, cut=st.tuples(st.integers(0, 30), st.integers(0, 30)))
async def test_every_period_has_its_last_numbers_and_the_change_since_the_last_known(
    world: World, api: ApiClient, history: dict[date, dict[str, Any]], cut: tuple[int, int]
) -> None:
    key = f"UC{secrets.token_hex(8)}"
    await store(world, key, history)
    first, last = min(history) + timedelta(days=cut[0]), max(history) - timedelta(days=cut[1])
    for period in ("DAY", "WEEK", "month"):
        whole = (await api.post(f"{BASE}/youtube/{key}/timeseries", {"period": period})).data
        assert whole == by_hand(history, period.upper(), min(history), max(history))
        if first <= last:
            body = {"period": period, "from": first.isoformat(), "to": last.isoformat()}
            part = (await api.post(f"{BASE}/youtube/{key}/timeseries", body)).data
            assert part == by_hand(history, period.upper(), first, last)


def test_a_year_has_its_weeks_and_months_and_none_is_met_twice() -> None:
    for year in range(2014, 2030):
        for period in Period:
            starts = list(period.starts(date(year, 1, 1), date(year, 12, 31)))
            assert len(starts) == len(set(starts)) == period.how_many(date(year, 1, 1), date(year, 12, 31))
            assert starts == sorted({period.start(date(year, 1, 1) + timedelta(days=n)) for n in range(365)}
                                    | {period.start(date(year, 12, 31))})  # fmt: skip


async def test_what_cannot_be_drawn_is_refused(world: World, api: ApiClient) -> None:
    path = f"{BASE}/youtube/UCdemo000000000000000000/timeseries"
    for body, said in (
        ({"from": "2026-02-01", "to": "2026-01-01"}, "later than to"),
        ({"from": "1990-01-01"}, "at most 1100"),
        ({"period": "YEAR"}, "period"),
        ({"metrics": ["followers"]}, "metrics"),
    ):
        answer = await api.post(path, body)
        assert (answer.status, said in answer.body.decode()) == (400, True), answer.body
    assert (await api.post(f"{BASE}/youtube/nobody/timeseries")).status == 404


async def test_the_demos_channel_grows_over_the_turn_of_the_year(api: ApiClient) -> None:
    answer = await api.post(f"{BASE}/youtube/UCdemo000000000000000000/timeseries", {"period": "WEEK"})
    points = answer.data
    assert answer.json["totalCount"] == len(points)
    starts = [date.fromisoformat(one["start"]) for one in points]
    assert {one.weekday() for one in starts} == {0}
    assert date(2025, 12, 29) in starts
    known = [one["followers"] for one in points if one["followers"] is not None]
    changes = [one["followersChange"] for one in points if one["followersChange"] is not None]
    assert sum(changes) == known[-1] - known[0]


async def test_contents_are_summed_up_over_gaps_and_stated_numbers_stay(world: World, api: ApiClient) -> None:
    key = f"UC{secrets.token_hex(8)}"
    lines = ["platform,region,contentId,day,profileKey,views,likes,comments",
             f"YOUTUBE,IN,a,2019-12-30,{key},100,10,0", f"YOUTUBE,IN,b,2019-12-31,{key},50,,",
             f"YOUTUBE,IN,a,2020-01-03,{key},180,18,2", f"YOUTUBE,IN,a,2020-01-04,{key},,,",
             f"YOUTUBE,IN,b,2020-01-04,{key},45,5,0"]  # fmt: skip
    stated = f"platform,profileKey,day,views\nYOUTUBE,{key},2020-01-03,999\n"
    csv = {"content-type": "text/csv"}
    snapshot = "/discovery-service/api/snapshot/import"
    assert (await world.operator.post(snapshot, stated.encode(), headers=csv)).data[0]["created"] == 1
    feed = "/discovery-service/api/content/import"
    report = (await world.operator.post(feed, "\n".join(lines).encode(), headers=csv)).data[0]
    assert (report["created"], report["refused"]) == (5, 0)
    points = (await api.post(f"{BASE}/youtube/{key}/timeseries")).data
    seen = {one["start"][5:]: (one["views"], one["viewsChange"], one["uploads"]) for one in points}
    assert seen == {
        "12-30": (100, None, 1), "12-31": (150, 50, 2), "01-01": (None, None, None), "01-02": (None, None, None),
        "01-03": (999, 849, None), "01-04": (225, -774, 2),
    }  # fmt: skip
    assert points[-1]["engagementRate"] == round(25 * 100 / 225, 4)
    rollup = Rollup(content_manager(world.container).dao, series_manager(world.container).dao)

    async with acting_as(RequestContext(request_id="t", partner_id=0)):
        assert await rollup.run() == 0, "a second time nothing changes"
    await run(rollup)


def test_a_day_is_kept_once() -> None:
    assert ProfileDayEntity.__table__.info["clickhouse"].order_by == SNAPSHOT_KEY
