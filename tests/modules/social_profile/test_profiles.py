"""Shared rows: every partner reads what his plan includes, operators write, and others get the numbers."""

from typing import Any

import asyncpg
import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import ConflictError, ForbiddenError, PlanError
from coffee_core.domain.plan import Plan
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.fields import describe
from modules.profile_collection.needs import ProfileNumbers
from modules.social_profile.demo import load_demo
from modules.social_profile.entry import InstagramEntry, YoutubeEntry
from modules.social_profile.numbers import ProfileNumbersService
from tests.modules.social_profile.rig import Caller

PARTNER: dict[str, Any] = {"partner": 1, "plan": Plan.FREE}
LOCKED = {
    "email", "phone", "audienceGender", "audienceAge", "audienceLocation", "audienceLanguage", "estReach",
    "estPostPrice", "estImpressions",
}  # fmt: skip


@pytest.mark.parametrize("platform", ["instagram", "youtube"])
async def test_what_free_does_not_include_is_null_named_and_not_searchable(profiles: Caller, platform: str) -> None:
    await load_demo(profiles.container)
    free = await profiles.data("POST", f"{platform}/search?size=3", {}, **PARTNER)
    assert set(free["status"]["lockedFields"]) >= LOCKED
    for one in free["data"]:
        assert all(one[name] is None for name in free["status"]["lockedFields"])
    paid = await profiles.data("POST", f"{platform}/search?size=3", {}, partner=3, plan=Plan.SAAS)
    assert all(one["email"] and one["audienceGender"] and one["estReach"] for one in paid["data"])
    by_audience = {"filters": [{"filterType": "GTE", "field": "audience_gender.male_per", "value": 50}]}
    with pytest.raises(PlanError):
        await profiles.data("POST", f"{platform}/search", by_audience, **PARTNER)
    assert (await profiles.data("POST", f"{platform}/search", by_audience, partner=3, plan=Plan.SAAS))["count"] > 0
    with pytest.raises(PlanError):
        await profiles.data("POST", f"{platform}/search?sortBy=email", {}, **PARTNER)
    _, exported = await profiles.call("GET", f"{platform}/export", **PARTNER)
    header = exported.split(b"\r\n")[0].decode().split(",")
    assert not LOCKED & set(header)
    assert b"@example.com" not in exported


async def test_whoever_can_be_written_to_can_be_found_on_every_plan(profiles: Caller) -> None:
    """That there is a contact is no secret; what it is, is."""
    await load_demo(profiles.container)
    body = {"filters": [{"filterType": "EQ", "field": "flagContactInfoAvailable", "value": True}]}
    assert (await profiles.data("POST", "instagram/search", body, **PARTNER))["totalCount"] == 26


async def test_free_text_finds_names_categories_and_keywords(profiles: Caller) -> None:
    await load_demo(profiles.container)
    for words in ("saffron street", "SAFFRON", "café puerto", "gaming clock"):
        found = await profiles.data("POST", f"youtube/search?q={words.replace(' ', '%20')}", {}, **PARTNER)
        assert found["count"] == 1, words


async def test_only_operators_write(profiles: Caller) -> None:
    for method, path in (("POST", "youtube"), ("POST", "youtube/bulk"), ("POST", "youtube/import")):
        with pytest.raises(ForbiddenError):
            await profiles.call(method, path, {"channelId": "x", "title": "X"}, partner=2, plan=Plan.PAID)


async def test_a_natural_key_is_there_once(profiles: Caller) -> None:
    body = {"igId": "1", "handle": "one", "categories": ["Music"], "audienceGender": {"male_per": 1.5}}
    made = await profiles.data("POST", "instagram", body)
    assert (made["data"][0]["searchPhrase"], made["data"][0]["enabled"]) == ("one  music", True)
    with pytest.raises(ConflictError):
        await profiles.data("POST", "instagram", body)


async def test_others_get_the_numbers_of_many_profiles_at_once(profiles: Caller) -> None:
    rows = [
        {"igId": "111", "handle": "ann", "name": "Ann", "followers": 5, "engagementRate": 1.5, "thumbnail": "t"},
        {"igId": "222", "handle": "111", "followers": 9},
        {"igId": "333", "handle": "twice", "followers": 1},
        {"igId": "444", "handle": "twice", "followers": 2},
        {"igId": "555", "handle": "twice"},
    ]
    await profiles.data("POST", "instagram/bulk", {"create": rows})
    await profiles.data("POST", "youtube/bulk", {"upsert": [{"channelId": "UC1", "title": "One", "followers": 7}]})
    need: ProfileNumbers = ProfileNumbersService(profiles.container)
    async with acting_as(RequestContext(request_id="t", partner_id=8)):
        found = await need.numbers("INSTAGRAM", ["ann", "111", "222", "twice", "nobody", "ann"])
        assert {code: one.followers for code, one in found.items()} == {"ann": 5, "111": 9, "222": 9, "twice": 2}
        ann = found["ann"]
        assert (ann.code, ann.name, ann.thumbnail, ann.engagement_rate) == ("ann", "Ann", "t", 1.5)
        channels = await need.numbers("YOUTUBE", ["UC1", "UC2"])
        assert {code: one.name for code, one in channels.items()} == {"UC1": "One"}
        assert await need.numbers("TIKTOK", ["ann"]) == {}
        assert await need.numbers("YOUTUBE", []) == {}


@pytest.mark.parametrize("entry", [InstagramEntry, YoutubeEntry])
def test_a_grade_of_a_locked_number_is_locked(entry: type[InstagramEntry | YoutubeEntry]) -> None:
    fields = describe(entry)
    for name, field in fields.items():
        number = fields.get(name.removesuffix("_grade"))
        if number is not None:
            assert field.plan >= number.plan, name


@pytest.mark.parametrize(
    ("platform", "order", "where", "index"),
    [
        ("instagram", "followers DESC NULLS LAST, id DESC", "country = 'India'", "instagram_country_followers"),
        ("instagram", "engagement_rate DESC NULLS LAST, id DESC", "true", "instagram_engagement_rate"),
        ("youtube", "views_30d DESC NULLS LAST, id DESC", "true", "youtube_views_30d"),
        ("youtube", 'title COLLATE "C", id', "title > 'A'", "youtube_title"),
    ],
)
async def test_a_sorted_page_is_read_from_an_index(
    profiles: Caller, database_url: str, platform: str, order: str, where: str, index: str
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET enable_seqscan = off; SET enable_sort = off")
        sql = f"EXPLAIN SELECT * FROM social_profile.{platform} WHERE enabled AND {where} ORDER BY {order} LIMIT 50"
        plan = "\n".join(row[0] for row in await connection.fetch(sql))
    finally:
        await connection.close()
    assert index in plan
    assert "Sort" not in plan
