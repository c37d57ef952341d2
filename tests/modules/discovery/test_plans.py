"""What PostgreSQL does with searches by audience: it uses the indexes, and finds what a scan finds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from coffee_core.domain.search import SearchQuery
from coffee_core.rest.dao_provider import CountShape, FlagShape, GroupShape
from coffee_core.rest.fields import describe
from coffee_core.rest.filters import FilterReader
from coffee_core.rest.shapes import split
from modules.discovery.criteria import SearchBody
from modules.discovery.entry import ProfileEntry
from modules.social_profile.entity import InstagramEntity
from tests.modules.discovery.conftest import World

MANY = """
INSERT INTO social_profile.instagram (ig_id, handle, followers, audience_gender, audience_age, audience_location)
SELECT 'many-' || n, 'many.' || n, n,
    jsonb_build_object('male_per', n % 1000 / 10.0, 'female_per', 100 - n % 1000 / 10.0),
    jsonb_build_object('18-24', n % 500 / 5.0, '45+', n % 997 / 10.0),
    jsonb_build_object('city', jsonb_build_object('Town ' || n % 700, n % 100),
                       'country', jsonb_build_object('Land ' || n % 90, n % 100))
FROM generate_series(1, 20000) AS n
"""
CASES: list[tuple[dict[str, Any], str, int]] = [
    ({"gender": "MALE", "atLeast": 99.5}, "instagram_audience_gender_0", 100),
    ({"gender": "FEMALE", "atLeast": 99.9}, "instagram_audience_gender_1", 40),
    ({"ageBand": "45+", "atLeast": 99.5}, "instagram_audience_age_4", 40),
    ({"city": "Town 33", "atLeast": 30}, "instagram_audience_city", -1),
    ({"country": "Land 7", "atLeast": 97}, "instagram_audience_country", -1),
]


@pytest.fixture(scope="module")
async def connection(world: World) -> AsyncIterator[asyncpg.Connection]:
    taken = await world.store.pool.take()
    transaction = taken.raw.transaction()
    await transaction.start()
    await taken.raw.execute(MANY)
    for place in ("city", "country"):  # rows that wait to be sorted in make an index look dear
        await taken.raw.execute(f"SELECT gin_clean_pending_list('social_profile.instagram_audience_{place}')")
    await taken.raw.execute("ANALYZE social_profile.instagram")
    yield taken.raw
    await transaction.rollback()
    world.store.pool.give(taken)


@pytest.mark.parametrize(("share", "index", "count"), CASES, ids=lambda one: str(one)[:40])
async def test_an_audience_share_is_found_through_its_index(
    world: World, connection: asyncpg.Connection, share: dict[str, Any], index: str, count: int
) -> None:
    filters = SearchBody.model_validate({"audience": [share]}).as_filters()
    where = FilterReader(describe(ProfileEntry), list(ProfileEntry.model_fields), world.container.rest).read(filters)
    values: list[object] = []
    shape = GroupShape("and", (FlagShape("enabled"), split(SearchQuery(where=where).where, values)))
    plan: Any = world.store.provider(InstagramEntity, InstagramEntity.id).plan(CountShape(shape))
    arguments = plan.arguments(values)
    explained = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {plan.sql}", *arguments))
    assert index in json.dumps(explained), json.dumps(explained, indent=1)
    found = await connection.fetchval(plan.sql, *arguments)
    await connection.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
    scanned = await connection.fetchval(plan.sql, *arguments)
    await connection.execute("SET LOCAL enable_indexscan = on; SET LOCAL enable_bitmapscan = on")
    assert scanned == found > 0
    assert count in (found, -1)
