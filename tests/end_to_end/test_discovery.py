"""Finding a creator as a partner does it: through the gateway, over PostgreSQL and ClickHouse, counted and gated."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.end_to_end.callers import Callers
from tests.end_to_end.platform import Platform

BASE = "/discovery-service/api/profile"
USERS = ("free", "saas", "operator")
TRENDING = b"""video_id,trending_date,title,category_id,views,likes,dislikes,comment_count
endToEnd001,17.31.12,One,22,100,10,0,0
endToEnd001,18.01.01,One,22,150,12,0,3
#NAME?,18.01.01,Lost,22,1,1,0,0
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_creator_is_found_opened_and_followed_over_the_turn_of_a_year(tmp_path: Path, redis_url: str) -> None:
    platform = Platform(tmp_path, redis_url)
    async with (
        platform.up(),
        httpx2.AsyncClient(base_url=platform.gateway, trust_env=False, timeout=30) as client,
    ):
        callers = Callers(client)
        for name in USERS:
            callers.tokens[name] = (await callers.login(name)).json()["data"][0]

        body = {"followers": {"min": 1000}, "audience": [{"gender": "FEMALE", "atLeast": 50}]}
        refused = await callers.call("free", "POST", f"{BASE}/youtube/search", 402, json=body)
        assert "SAAS" in refused.json()["detail"]
        found = await callers.call("saas", "POST", f"{BASE}/youtube/search?size=3&sortBy=followers", 200, json=body)
        assert found.json()["totalCount"] > 3
        assert all(row["audienceGender"]["female_per"] >= 50 for row in found.json()["data"])
        assert found.headers["usage-cost"] == "1"

        channel = "UCdemo000000000000000000"
        page = await callers.call("saas", "GET", f"{BASE}/youtube/{channel}", 200)
        again = await callers.call("saas", "GET", f"{BASE}/{page.json()['data'][0]['profileId']}", 200)
        assert (page.headers["usage-cost"], again.headers["usage-cost"]) == ("1", "0")
        hidden = (await callers.call("free", "GET", f"{BASE}/youtube/{channel}", 200)).json()
        assert hidden["data"][0]["email"] is None
        assert "email" in hidden["status"]["lockedFields"]
        audience = await callers.call("saas", "GET", f"{BASE}/youtube/{channel}/audience", 200)
        assert audience.json()["data"][0]["audienceAge"]
        weeks = await callers.call("saas", "POST", f"{BASE}/youtube/{channel}/timeseries", 200, json={"period": "WEEK"})
        assert "2025-12-29" in [point["start"] for point in weeks.json()["data"]]

        file = "/discovery-service/api/content/import?mapping=youtube-trending-us"
        sent = {"content": TRENDING, "headers": {"content-type": "text/csv"}}
        await callers.call("saas", "POST", file, 403, **sent)
        report = (await callers.call("operator", "POST", file, 200, **sent)).json()["data"][0]
        assert (report["created"], report["refused"], report["refusals"][0]["line"]) == (2, 1, 4)
        series = await callers.call("saas", "POST", f"{BASE}/youtube/trending-US/timeseries", 200)
        new_year = next(point for point in series.json()["data"] if point["start"] == "2018-01-01")
        assert new_year["viewsChange"] >= 50

        async with asyncio.timeout(15):
            while True:
                done = await callers.call("saas", "POST", "/activity-service/api/activity/search", 200, json={})
                kinds = {row["activityType"]: row for row in done.json()["data"]}
                if "DISCOVERY" in kinds:
                    break
                await asyncio.sleep(0.05)
        assert kinds["DISCOVERY"]["resultCount"] == found.json()["totalCount"]
