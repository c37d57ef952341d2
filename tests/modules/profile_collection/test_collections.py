"""Partners keep, rank and share collections of profiles, and nobody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coffee_core.testing.api_client import ApiClient
from coffee_core.testing.events import RecordedEvents
from modules.profile_collection import manager as rules
from tests.modules.profile_collection.conftest import Numbers

BASE = "/profile-collection-service/api/collection"
ONE = {"platform": "YOUTUBE", "platformAccountCode": "UC1"}
TWO = {"platform": "YOUTUBE", "platformAccountCode": "UC2"}
UNKNOWN = {"platform": "INSTAGRAM", "platformAccountCode": "nobody.known"}


async def collection(api: ApiClient, **fields: Any) -> dict[str, Any]:
    (made,) = (await api.post(f"{BASE}/", {"name": "Cooks", **fields})).data
    return made


async def items(api: ApiClient, id: int, *sent: dict[str, Any]) -> list[dict[str, Any]]:
    return (await api.post(f"{BASE}/{id}/item/", list(sent))).data


async def test_a_new_collection_is_told_to_the_activity_list(api: ApiClient, announced: RecordedEvents) -> None:
    made = await collection(api)
    (raised,) = announced.raised
    assert raised.event.model_dump()["title"] == "Cooks"
    assert raised.event.model_dump()["params"] == {"collectionId": made["id"], "action": "created"}


async def test_items_show_what_is_known_of_their_profiles_now(api: ApiClient, numbers: Numbers) -> None:
    made = await collection(api)
    asked = numbers.asked
    added = await items(api, made["id"], ONE, TWO, UNKNOWN)
    assert [(item["profileName"], item["followers"]) for item in added] == [("One", 1000), ("Two", 2000), (None, None)]
    assert numbers.asked == asked + 2, "once a platform, however many items"
    numbers.profiles["UC1"] = numbers.profiles["UC1"]._replace(followers=1_500)
    where = {"filters": [{"filterType": "EQ", "field": "collectionId", "value": made["id"]}]}
    found = (await api.post(f"{BASE}/item/search", where, query={"sortBy": "id"})).data
    assert [item["followers"] for item in found] == [1500, 2000, None]


async def test_a_profile_is_in_a_collection_once(api: ApiClient) -> None:
    made, other = await collection(api), await collection(api)
    await items(api, made["id"], ONE)
    again = await api.post(f"{BASE}/{made['id']}/item/", [TWO, ONE])
    assert again.status == 409
    counted = await api.get(f"{BASE}/{made['id']}", query={"include": "itemCount"})
    assert counted.data[0]["itemCount"] == 1, "none of the refused list was added"
    assert len(await items(api, other["id"], ONE)) == 1


async def test_putting_items_changes_those_that_are_there_and_adds_the_rest(api: ApiClient) -> None:
    made = await collection(api)
    await items(api, made["id"], ONE)
    put = await api.put(f"{BASE}/{made['id']}/item/bulk", [{**ONE, "rank": 2}, {**TWO, "rank": 1}])
    assert {(item["platformAccountCode"], item["rank"]) for item in put.data} == {("UC1", 2), ("UC2", 1)}


async def test_items_are_taken_out_by_their_ids(api: ApiClient) -> None:
    made = await collection(api)
    first, second = await items(api, made["id"], ONE, TWO)
    assert (await api.delete(f"{BASE}/{made['id']}/item", query={"ids": str(first["id"])})).status == 204
    assert (await api.delete(f"{BASE}/{made['id']}/item", query={"ids": str(first["id"])})).status == 404
    assert (await api.delete(f"{BASE}/{made['id']}/item", query={"ids": f"{second['id']},x"})).status == 400
    counted = await api.get(f"{BASE}/{made['id']}", query={"include": "itemCount"})
    assert counted.data[0]["itemCount"] == 1


async def test_a_collection_takes_no_more_items_than_its_bound(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "ITEMS_PER_COLLECTION", 5)
    made = await collection(api)
    each = [{"platform": "YOUTUBE", "platformAccountCode": f"UC-{n}"} for n in range(8)]
    answers = await asyncio.gather(*(api.post(f"{BASE}/{made['id']}/item/", [item]) for item in each))
    assert sorted(answer.status for answer in answers) == [201] * 5 + [422] * 3, "however many write at once"


async def test_whoever_has_the_link_sees_what_is_not_hidden_by_rank(api: ApiClient) -> None:
    made = await collection(api)
    await items(api, made["id"], {**ONE, "rank": 2}, {**TWO, "rank": 1}, {**UNKNOWN, "hidden": True})
    anybody = api.without_session()
    assert (await anybody.get(f"{BASE}/byshareid/{made['shareId']}")).data[0]["name"] == "Cooks"
    shown = (await anybody.get(f"{BASE}/byshareid/{made['shareId']}/item")).data
    assert [item["platformAccountCode"] for item in shown] == ["UC2", "UC1"]


async def test_a_link_ends_when_it_is_renewed_switched_off_or_its_collection_deleted(api: ApiClient) -> None:
    made = await collection(api)
    anybody = api.without_session()
    (renewed,) = (await api.post(f"{BASE}/{made['id']}/link/renew")).data
    assert renewed["shareId"] != made["shareId"]
    assert (await anybody.get(f"{BASE}/byshareid/{made['shareId']}")).status == 404
    assert (await anybody.get(f"{BASE}/byshareid/{renewed['shareId']}")).status == 200
    await api.patch(f"{BASE}/{made['id']}", {"shareEnabled": False})
    assert (await anybody.get(f"{BASE}/byshareid/{renewed['shareId']}")).status == 404
    await api.patch(f"{BASE}/{made['id']}", {"shareEnabled": True})
    assert (await api.delete(f"{BASE}/{made['id']}")).status == 204
    assert (await anybody.get(f"{BASE}/byshareid/{renewed['shareId']}/item")).status == 404


async def test_recent_collections_are_those_written_last(api: ApiClient) -> None:
    first, second = await collection(api, name="first"), await collection(api, name="second")
    await api.patch(f"{BASE}/{first['id']}", {"description": "written again"})
    recent = (await api.get(f"{BASE}/recent", query={"size": 2})).data
    assert [found["id"] for found in recent] == [first["id"], second["id"]]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None), ("PATCH", "", {"name": "mine"}), ("DELETE", "", None), ("POST", "/link/renew", None),
        ("POST", "/item/", [ONE]), ("PUT", "/item/bulk", [ONE]), ("DELETE", "/item?ids=1", None),
    ],
)  # fmt: skip
async def test_another_partners_collection_does_not_exist(
    api: ApiClient, stranger: ApiClient, method: str, path: str, body: object
) -> None:
    made = await collection(api)
    await items(api, made["id"], TWO)
    assert (await stranger.request(method, f"{BASE}/{made['id']}{path}", body)).status == 404
    found = await stranger.post(f"{BASE}/item/search", {"filters": []})
    assert (found.data, found.json["totalCount"]) == ([], 0)
    untouched = await api.get(f"{BASE}/{made['id']}", query={"include": "itemCount"})
    assert (untouched.data[0]["name"], untouched.data[0]["itemCount"]) == ("Cooks", 1)


async def test_without_a_session_only_links_open(api: ApiClient) -> None:
    made = await collection(api)
    assert (await api.without_session().get(f"{BASE}/{made['id']}")).status == 401
    assert (await api.without_session().post(f"{BASE}/", {"name": "x"})).status == 401
