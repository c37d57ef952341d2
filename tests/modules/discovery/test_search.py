"""Searches: criteria and filters become SQL that finds, counts and pages where the profiles are."""

from __future__ import annotations

from typing import Any

import pytest

from coffee_core.domain.plan import Plan
from coffee_core.rest.fields import gates_of
from coffee_core.testing.api_client import ApiClient
from modules.discovery.entry import ProfileEntry
from modules.discovery.events import DiscoveryActivity
from modules.social_profile.entry import InstagramEntry, YoutubeEntry
from modules.social_profile.published import OF_INSTAGRAM, OF_YOUTUBE
from tests.modules.discovery.conftest import World

BASE = "/discovery-service/api/profile"


async def everything(api: ApiClient, platform: str = "instagram") -> list[dict[str, Any]]:
    return (await api.post(f"{BASE}/{platform}/search", query={"size": 100})).data


async def found(api: ApiClient, body: object, platform: str = "instagram", **query: str | int) -> list[dict[str, Any]]:
    answer = await api.post(f"{BASE}/{platform}/search", body, query={"size": 100, **query})
    rows = answer.data
    assert answer.json["totalCount"] == len(rows)
    return rows


CASES: list[tuple[dict[str, Any], Any]] = [
    ({"followers": {"min": 5_000_000, "max": 20_000_000}}, lambda p: 5_000_000 <= (p["followers"] or 0) <= 20_000_000),
    ({"followersGrowth30d": {"min": 1.5}}, lambda p: (p["followersGrowth30d"] or -99) >= 1.5),
    ({"engagementRate": {"max": 4}}, lambda p: p["engagementRate"] is not None and p["engagementRate"] <= 4),
    ({"avgViews": {"min": 1_000_000}}, lambda p: (p["avgViews"] or 0) >= 1_000_000),
    ({"price": {"min": 60_000, "max": 100_000}},
     lambda p: p["estPostPrice"] and p["estPostPrice"]["high"] >= 60_000 and p["estPostPrice"]["low"] <= 100_000),
    ({"categories": ["Comedy", "Fashion"]}, lambda p: {"Comedy", "Fashion"} & set(p["categories"])),
    ({"languages": ["ta"]}, lambda p: "ta" in p["languages"]),
    ({"locations": ["Maharashtra"]}, lambda p: "Maharashtra" in p["location"]),
    ({"gender": "FEMALE"}, lambda p: p["gender"] == "FEMALE"),
    ({"keywords": ["family"]}, lambda p: "family" in p["keywords"]),
    ({"isVerified": True}, lambda p: p["isVerified"]),
    ({"contactAvailable": True}, lambda p: p["email"] or p["phone"]),
    ({"audience": [{"gender": "FEMALE", "atLeast": 50}]},
     lambda p: (p["audienceGender"] or {}).get("female_per", 0) >= 50),
    ({"audience": [{"ageBand": "45+", "atLeast": 5}]}, lambda p: (p["audienceAge"] or {}).get("45+", 0) >= 5),
    ({"audience": [{"country": "India", "atLeast": 60}]},
     lambda p: ((p["audienceLocation"] or {}).get("country") or {}).get("India", 0) >= 60),
    ({"gender": "MALE", "audience": [{"gender": "MALE", "atLeast": 40}, {"country": "India", "atLeast": 30}]},
     lambda p: p["gender"] == "MALE" and (p["audienceGender"] or {}).get("male_per", 0) >= 40
     and ((p["audienceLocation"] or {}).get("country") or {}).get("India", 0) >= 30),
    ({"filters": [{"filterType": "GTE", "field": "audience_gender.male_per", "value": "50"}]},
     lambda p: (p["audienceGender"] or {}).get("male_per", 0) >= 50),
    ({"filters": [{"filterType": "GT", "field": 'audienceAge."45+"', "value": 1}], "isVerified": False},
     lambda p: (p["audienceAge"] or {}).get("45+", 0) > 1 and not p["isVerified"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "holds"), CASES, ids=lambda case: str(case)[:60])
async def test_a_criterion_finds_whom_it_describes_and_nobody_else(
    world: World, api: ApiClient, body: dict[str, Any], holds: Any
) -> None:
    for platform in ("instagram", "YOUTUBE"):
        every = await everything(world.partner(), platform)
        rows = await found(api, body, platform)
        assert [row["id"] for row in rows] == [row["id"] for row in every if holds(row)]
        assert {row["platform"] for row in rows} <= {platform.upper()}


async def test_free_text_finds_names_categories_and_keywords_whatever_the_case(api: ApiClient) -> None:
    rows = await found(api, {}, q="VERDEKAR aarav")
    assert [row["handle"] for row in rows] == ["aarav.verdekar"]


async def test_pages_and_cursors_are_one_list_in_the_order_that_is_asked_for(api: ApiClient) -> None:
    whole = await found(api, {"followers": {"min": 1}}, sortBy="followers", sortDir="DESC")
    assert [row["followers"] for row in whole] == sorted((row["followers"] for row in whole), reverse=True)
    query: dict[str, str | int] = {"sortBy": "followers", "sortDir": "DESC", "size": 7}
    body: dict[str, object] | None = {"followers": {"min": 1}}
    met: list[int] = []
    while True:
        answer = await api.post(f"{BASE}/instagram/search", body, query=query)
        met += [row["id"] for row in answer.data]
        cursor = answer.json["status"].get("nextCursor")
        if cursor is None:
            break
        query, body = {"cursor": cursor, "size": 7}, None
    assert met == [row["id"] for row in whole]


@pytest.mark.parametrize(
    "body",
    [
        {"price": {"min": 1}},
        {"audience": [{"gender": "MALE", "atLeast": 1}]},
        {"audience": [{"city": "Pune", "atLeast": 1}]},
        {"filters": [{"filterType": "NOT_NULL", "field": "email"}]},
        {"filters": [{"filterType": "GT", "field": "estReach.low", "value": 1}]},
    ],
    ids=str,
)
async def test_free_cannot_find_by_what_is_locked(api: ApiClient, body: dict[str, Any]) -> None:
    answer = await api.on_plan(Plan.FREE).post(f"{BASE}/instagram/search", body)
    assert answer.status == 402
    assert (await api.post(f"{BASE}/instagram/search", body)).status == 200


async def test_free_sees_null_and_is_told_what_is_locked(api: ApiClient) -> None:
    free = api.on_plan(Plan.FREE)
    answer = await free.post(f"{BASE}/instagram/search", {})
    locked = answer.json["status"]["lockedFields"]
    assert {"email", "phone", "audienceGender", "audienceLocation", "estPostPrice", "estReach"} <= set(locked)
    assert {row[name] for row in answer.data for name in locked} == {None}
    for name in ("audienceQualityScore", "email"):
        assert (await free.post(f"{BASE}/instagram/search", {}, query={"sortBy": name})).status == 402


def test_what_the_owner_locks_is_locked_here_too() -> None:
    here = gates_of(ProfileEntry)
    for entry, own in ((InstagramEntry, OF_INSTAGRAM), (YoutubeEntry, OF_YOUTUBE)):
        theirs = gates_of(entry)
        for name in ProfileEntry.model_fields:
            column = own.get(name, name)
            assert here.get(name, Plan.FREE) >= theirs.get(column, Plan.FREE), name


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"folowers": {"min": 1}}, "folowers"),
        ({"followers": {}}, "min, max or both"),
        ({"followers": {"min": 5, "max": 1}}, "larger than max"),
        ({"followers": {"min": "5"}}, "followers/min"),
        ({"audience": [{"atLeast": 5}]}, "one of gender, ageBand, city and country"),
        ({"audience": [{"city": "Pune", "country": "India", "atLeast": 5}]}, "one of gender"),
        ({"audience": [{"city": "Pune", "atLeast": 101}]}, "atLeast"),
        ({"filters": [{"filterType": "EQ", "field": "following.x", "value": 1}]}, "unknown field"),
        (b"[]", "JSON object"),
    ],
    ids=str,
)
async def test_what_is_not_understood_is_refused_and_named(api: ApiClient, body: object, said: str) -> None:
    answer = await api.post(f"{BASE}/instagram/search", body)
    assert (answer.status, said in answer.body.decode()) == (400, True), answer.body


async def test_what_a_platform_does_not_know_is_null_there_and_not_searched_by(api: ApiClient) -> None:
    (channel, *_) = await everything(api, "youtube")
    assert (channel["following"], channel["platform"]) == (None, "YOUTUBE")
    refused = await api.post(f"{BASE}/youtube/search", {}, query={"sortBy": "following"})
    assert (refused.status, "not kept here" in refused.body.decode()) == (400, True)
    assert (await api.post(f"{BASE}/tiktok/search", {})).status == 404


async def test_a_hidden_profile_is_not_found(world: World, api: ApiClient) -> None:
    body = {"igId": "hidden-1", "handle": "hidden.one", "categories": ["Hidden"]}
    made = (await world.operator.post("/social-profile-service/api/instagram", body)).data[0]
    assert len(await found(api, {"categories": ["Hidden"]})) == 1
    await world.operator.delete(f"/social-profile-service/api/instagram/{made['id']}")
    assert await found(api, {"categories": ["Hidden"]}) == []
    assert (await api.get(f"{BASE}/instagram/hidden-1")).status == 404


async def test_a_search_is_activity_and_reading_on_is_not(world: World, api: ApiClient) -> None:
    body = {"followers": {"min": 1}, "categories": ["Comedy"]}
    answer = await api.post(f"{BASE}/instagram/search", body, query={"q": "a", "size": 1})
    ((event, _),) = world.events.raised
    assert isinstance(event, DiscoveryActivity)
    assert (event.activity_type, event.platform, event.title) == ("DISCOVERY", "INSTAGRAM", "Instagram profiles: a")
    assert event.result_count == answer.json["totalCount"]
    assert event.params == {"sortBy": "id", "sortDir": "ASC", "q": "a"}
    again = await api.post(f"{BASE}/instagram/search", event.filters, query={"q": "a", "size": 1})
    assert again.data == answer.data, "what is kept finds the same again"
    world.events.raised.clear()
    await api.post(f"{BASE}/instagram/search", body, query={"q": "a", "size": 1, "page": 2})
    await api.post(f"{BASE}/instagram/search", query={"cursor": answer.json["status"]["nextCursor"]})
    assert world.events.raised == []


async def test_similar_accounts_have_a_category_in_common_and_about_as_many_followers(api: ApiClient) -> None:
    base = (await everything(api))[0]
    rows = (await api.post(f"{BASE}/instagram/{base['platformProfileId']}/similar_accounts", query={"size": 100})).data
    assert rows
    assert base["id"] not in [row["id"] for row in rows]
    for row in rows:
        assert set(row["categories"]) & set(base["categories"])
        assert base["followers"] / 4 - 1 <= row["followers"] <= base["followers"] * 4 + 1
    women = {"gender": "FEMALE"}
    narrow = await api.post(f"{BASE}/instagram/{base['platformProfileId']}/similar_accounts", women)
    assert [row["id"] for row in narrow.data] == [row["id"] for row in rows if row["gender"] == "FEMALE"]
    assert (await api.post(f"{BASE}/instagram/nobody/similar_accounts")).status == 404


async def test_locations_are_counted_over_both_platforms_the_most_common_first(api: ApiClient) -> None:
    profiles = [*await everything(api), *await everything(api, "youtube")]
    expected = sum(row["city"] == "Pune" for row in profiles)
    (pune, *_) = (await api.post(f"{BASE}/locations", {"text": "pUn", "types": ["CITY"]})).data
    assert pune == {"name": "Pune", "type": "CITY", "profiles": expected}
    every = (await api.post(f"{BASE}/locations")).data
    assert [row["profiles"] for row in every] == sorted((row["profiles"] for row in every), reverse=True)
    assert {row["type"] for row in every} == {"CITY", "STATE", "COUNTRY"}
    assert (await api.post(f"{BASE}/locations", {"text": "%"})).data == []
    assert (await api.post(f"{BASE}/locations", {"types": ["PLANET"]})).status == 400
