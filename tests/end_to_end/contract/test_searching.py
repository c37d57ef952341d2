"""Filters, counts, fields and pages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.end_to_end.callers import YOUTUBE, Callers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("?sortBy=nowhere", {}),
        ("?sortDir=UP", {}),
        ("?size=101", {}),
        ("?page=0", {}),
        ("?count=maybe", {}),
        ("?cursor=abc", {}),
        ("?fields=id,nowhere", {}),
        ("", {"unknown": 1}),
        ("", {"filters": [{"filterType": "EQ", "field": "nowhere", "value": "1"}]}),
        ("", {"filters": [{"filterType": "LIKES", "field": "id", "value": "1"}]}),
        ("", {"filters": [{"filterType": "GT", "field": "followers", "value": "many"}]}),
    ],
)
async def test_a_search_that_says_something_unknown_is_refused(
    callers: Callers, query: str, body: dict[str, Any]
) -> None:
    await callers.call("paid", "POST", f"{YOUTUBE}/search{query}", 400, json=body)


async def test_filters_nest_counts_are_asked_for_and_fields_chosen(callers: Callers) -> None:
    indian = {"filterType": "EQ", "field": "country", "value": "India"}
    large = {"filterType": "GTE", "field": "followers", "value": "1000000"}
    query = "?size=100&fields=id,country,followers"
    both = (
        await callers.call("paid", "POST", f"{YOUTUBE}/search{query}", 200, json={"filters": [indian, large]})
    ).json()
    either = {"filters": [{"or": [indian, {"not": large}]}]}
    rows = (await callers.call("paid", "POST", f"{YOUTUBE}/search{query}", 200, json=either)).json()
    assert both["data"]
    assert all(row["country"] == "India" and row["followers"] >= 1_000_000 for row in both["data"])
    assert all(row["country"] == "India" or row["followers"] < 1_000_000 for row in rows["data"])
    assert rows["count"] == len(rows["data"])
    assert set(rows["data"][0]) == {"id", "country", "followers"}
    uncounted = await callers.call("paid", "POST", f"{YOUTUBE}/search?size=1&count=none", 200, json={})
    assert uncounted.json()["totalCount"] is None
    share = {"filters": [{"filterType": "GTE", "field": "audience_gender.male_per", "value": 1}]}
    assert (await callers.call("paid", "POST", f"{YOUTUBE}/search", 200, json=share)).json()["totalCount"] > 0


async def test_a_cursor_leads_through_all_rows_once(callers: Callers) -> None:
    query = f"{YOUTUBE}/search?sortBy=followers&sortDir=DESC&size=7&fields=id,followers"
    seen: list[tuple[int, int]] = []
    cursor, total = "", 0
    while True:
        answer = await callers.call("paid", "POST", query + cursor, 200, json={})
        page = answer.json()
        seen += [(row["followers"], row["id"]) for row in page["data"]]
        total = total or page["totalCount"]
        if "nextCursor" not in page["status"]:
            break
        cursor = f"&cursor={page['status']['nextCursor']}"
    assert len(seen) == len(set(seen)) == total > 7
    assert [followers for followers, _ in seen] == sorted((followers for followers, _ in seen), reverse=True)
    at = len(seen) - len(page["data"])
    while at:
        answer = await callers.call("paid", "POST", answer.links["prev"]["url"], 200)
        rows = [(row["followers"], row["id"]) for row in answer.json()["data"]]
        assert rows == seen[at - 7 : at]
        at -= 7
