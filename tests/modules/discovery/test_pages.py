"""Profile pages and audiences: who is shown, what is counted, what stays locked."""

from __future__ import annotations

from typing import Any

import pytest

from coffee_core.domain.plan import Plan
from coffee_core.testing.api_client import Answer, ApiClient
from tests.modules.discovery.conftest import World
from tests.modules.discovery.test_search import BASE, everything


def cost(answer: Answer) -> tuple[int, int]:
    return int(answer.headers["usage-cost"]), int(answer.headers["usage-remaining"])


async def test_a_page_is_found_by_the_platforms_own_id_by_its_number_and_by_the_person(api: ApiClient) -> None:
    profile = (await everything(api))[2]
    for path in (f"instagram/{profile['platformProfileId']}", f"INSTAGRAM/{profile['id']}", profile["profileId"]):
        assert (await api.get(f"{BASE}/{path}")).data == [profile], path
    for path in (
        "instagram/nobody",
        "instagram/0",
        "tiktok/1",
        "IA_99999999",
        "youtube/" + profile["platformProfileId"],
    ):
        assert (await api.get(f"{BASE}/{path}")).status == 404, path


async def test_a_persons_page_has_the_profiles_of_all_platforms(world: World, api: ApiClient) -> None:
    ours = {"profileId": "person-1"}
    await world.operator.post("/social-profile-service/api/instagram", {"igId": "p1", "handle": "p.one", **ours})
    await world.operator.post("/social-profile-service/api/youtube", {"channelId": "UCp1", "title": "P One", **ours})
    answer = await api.get(f"{BASE}/person-1")
    assert [(row["platform"], row["name"] or row["handle"]) for row in answer.data] == [
        ("INSTAGRAM", "p.one"), ("YOUTUBE", "P One"),
    ]  # fmt: skip
    assert cost(answer)[0] == 1, "one person, one page"
    assert cost(await api.get(f"{BASE}/youtube/UCp1"))[0] == 0


async def test_an_id_of_the_platform_goes_before_the_number_of_another_row(world: World, api: ApiClient) -> None:
    first = (await everything(api))[0]
    body = {"igId": str(first["id"]), "handle": "all.digits"}
    made = (await world.operator.post("/social-profile-service/api/instagram", body)).data[0]
    assert (await api.get(f"{BASE}/instagram/{first['id']}")).data[0]["id"] == made["id"]
    await world.operator.delete(f"/social-profile-service/api/instagram/{made['id']}")
    assert (await api.get(f"{BASE}/instagram/{first['id']}")).data[0]["id"] == first["id"]


async def test_a_search_costs_one_use_and_finding_nothing_is_free(api: ApiClient) -> None:
    first = await api.post(f"{BASE}/instagram/search", {})
    assert cost(first)[0] == 1
    told = await api.post(f"{BASE}/instagram/search", {}, query={"dryRun": "cost"})
    assert told.data[0]["cost"] == 1
    nothing = await api.post(f"{BASE}/instagram/search", {"categories": ["No such thing"]})
    assert cost(nothing) == (0, cost(first)[1])
    refused = await api.post(f"{BASE}/instagram/search", {"nonsense": 1})
    assert refused.status == 400
    similar = await api.post(f"{BASE}/instagram/{first.data[0]['id']}/similar_accounts")
    assert cost(similar) == (1, cost(first)[1] - 1)


async def test_a_profiles_page_costs_once_whoever_asks_for_it_in_whatever_words(world: World, api: ApiClient) -> None:
    profile, other = (await everything(world.partner()))[:2]
    first = await api.get(f"{BASE}/instagram/{profile['id']}")
    assert cost(first)[0] == 1
    for path in (f"instagram/{profile['platformProfileId']}", profile["profileId"]):
        assert cost(await api.get(f"{BASE}/{path}")) == (0, cost(first)[1])
    assert cost(await api.get(f"{BASE}/instagram/{other['id']}")) == (1, cost(first)[1] - 1)
    told = await api.get(f"{BASE}/instagram/{other['id']}", query={"dryRun": "cost"})
    assert told.data[0]["cost"] == 0
    assert cost(await world.partner().get(f"{BASE}/instagram/{profile['id']}"))[0] == 1, "another partner pays himself"
    assert (await api.get(f"{BASE}/instagram/nobody")).status == 404


async def test_over_the_limit_is_429_and_what_was_seen_stays_free(world: World, api: ApiClient) -> None:
    first, second = (await everything(world.partner()))[:2]
    assert cost(await api.get(f"{BASE}/instagram/{first['id']}"))[0] == 1
    world.limits["PROFILE_PAGE"] = 1
    try:
        refused = await api.get(f"{BASE}/instagram/{second['id']}")
        assert (refused.status, refused.headers["usage-remaining"]) == (429, "0")
        assert (await api.get(f"{BASE}/instagram/{first['id']}")).status == 200
    finally:
        world.limits["PROFILE_PAGE"] = 100_000


async def test_an_audience_is_split_by_every_trait_the_largest_share_first(world: World, api: ApiClient) -> None:
    body: dict[str, Any] = {
        "igId": "audience-1", "handle": "audience.one", "audienceGender": {"male_per": 30.5, "female_per": 69.5},
        "audienceAge": {"13-17": 8, "18-24": 50.5, "45+": 2, "note": "x"},
        "audienceAgeGender": {"18-24": {"male": 20, "female": 30.5}, "25-34": {"female": 9}},
        "audienceLocation": {"country": {"India": 70, "Nepal": 4}, "city": {"New York": 3, "Pune": 12.5}},
        "audienceLanguage": {"en": 60, "hi": 40}, "audienceQualityScore": 71.5, "audienceQualityGrade": "Good",
        "engagementRate": 3.2, "erGrade": "Good", "commentRatePercentage": 0.4, "likesSpreadPercentage": 33,
    }  # fmt: skip
    await world.operator.post("/social-profile-service/api/instagram", body)
    (audience,) = (await api.get(f"{BASE}/instagram/audience-1/audience")).data
    assert audience["audienceGender"] == [{"name": "FEMALE", "percent": 69.5}, {"name": "MALE", "percent": 30.5}]
    assert [one["name"] for one in audience["audienceAge"]] == ["18-24", "13-17", "45+"]
    assert audience["audienceAgeGender"][0] == {"age": "18-24", "gender": "FEMALE", "percent": 30.5}
    assert len(audience["audienceAgeGender"]) == 3
    assert [one["name"] for one in audience["audienceCities"]] == ["Pune", "New York"]
    assert audience["audienceCountries"][0] == {"name": "India", "percent": 70.0}
    assert [one["name"] for one in audience["audienceLanguage"]] == ["en", "hi"]
    assert (audience["audienceQualityScore"], audience["audienceQualityGrade"]) == (71.5, "Good")
    assert audience["audienceQualityParts"] == [
        {"name": "engagementRate", "value": 3.2, "grade": "Good"},
        {"name": "commentsRate", "value": 0.4, "grade": None},
        {"name": "likesSpread", "value": 33.0, "grade": None},
    ]  # fmt: skip
    share = {"audience": [{"city": "New York", "atLeast": 3}]}
    assert [row["handle"] for row in (await api.post(f"{BASE}/instagram/search", share)).data] == ["audience.one"]


async def test_an_audience_that_is_not_known_is_empty_and_of_nobody_404(api: ApiClient) -> None:
    (audience,) = (await api.get(f"{BASE}/instagram/p1/audience")).data if await _there(api, "p1") else ({},)
    assert audience.get("audienceGender", []) == []
    assert (await api.get(f"{BASE}/instagram/nobody/audience")).status == 404


async def _there(api: ApiClient, code: str) -> bool:
    return (await api.get(f"{BASE}/instagram/{code}")).status == 200


async def test_free_gets_no_audience_and_is_told_so(api: ApiClient) -> None:
    profile = (await everything(api))[0]
    answer = await api.on_plan(Plan.FREE).get(f"{BASE}/instagram/{profile['id']}/audience")
    locked = [name for name in answer.data[0] if name.startswith("audience")]
    assert {answer.data[0][name] for name in locked} == {None}
    assert set(answer.json["status"]["lockedFields"]) == set(locked)
    page = await api.on_plan(Plan.FREE).get(f"{BASE}/{profile['profileId']}")
    assert page.data[0]["email"] is None
    assert "email" in page.json["status"]["lockedFields"]


async def test_nobody_is_shown_anything_without_a_session(api: ApiClient) -> None:
    stranger = api.without_session()
    for method, path in (("POST", "instagram/search"), ("GET", "instagram/1"), ("GET", "IA_1"), ("POST", "locations"),
                         ("GET", "instagram/1/audience"), ("POST", "instagram/1/timeseries")):  # fmt: skip
        assert (await stranger.request(method, f"{BASE}/{path}")).status == 401


@pytest.mark.parametrize("path", ["content", "snapshot"])
async def test_only_operators_import(api: ApiClient, path: str) -> None:
    answer = await api.post(f"/discovery-service/api/{path}/import", b"x", headers={"content-type": "text/csv"})
    assert answer.status == 403
