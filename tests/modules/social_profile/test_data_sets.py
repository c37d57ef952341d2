"""Real files as they were found: every row is stored or reported, and a second import changes nothing."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from coffee_core.domain.errors import InputError
from tests.modules.social_profile.rig import Caller

pytestmark = pytest.mark.shared_data

YOUTUBE = "youtube/import?mapping=global-youtube-statistics"
INSTAGRAM = "instagram/import?mapping=instagram-top"


async def everything(profiles: Caller, platform: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await profiles.data("POST", f"{platform}/search?size=100{cursor}", {})
        found += answer["data"]
        if "nextCursor" not in answer["status"]:
            return found
        cursor = f"&cursor={answer['status']['nextCursor']}"


async def test_every_channel_is_stored_and_a_second_import_changes_nothing(profiles: Caller, creators: Path) -> None:
    data = (creators / "global_youtube_statistics.csv").read_bytes()
    first = await profiles.load(f"{YOUTUBE}&encoding=latin-1", data)
    second = await profiles.load(f"{YOUTUBE}&encoding=latin-1", data)
    assert (first["rows"], first["created"], first["refused"]) == (995, 995, 0)
    assert (second["unchanged"], second["rows"]) == (995, 995)


async def test_a_file_that_is_not_utf8_is_refused_with_the_byte_that_is_not(profiles: Caller, creators: Path) -> None:
    data = (creators / "global_youtube_statistics.csv").read_bytes()
    with pytest.raises(InputError, match=r"byte 0xFD at offset 1582 \(line 8\) is not UTF-8.*encoding=latin-1"):
        await profiles.load(YOUTUBE, data)
    assert (await profiles.data("POST", "youtube/search", {}))["totalCount"] == 0


async def test_each_class_of_dirt_means_what_it_should(profiles: Caller, creators: Path) -> None:
    path = creators / "global_youtube_statistics.csv"
    await profiles.load(f"{YOUTUBE}&encoding=latin-1", path.read_bytes())
    stored = {one["title"]: one for one in await everything(profiles, "youtube")}
    with path.open(encoding="latin-1", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(stored) == len(rows)
    for row in rows:
        one = stored[row["Youtuber"].strip()]
        assert one["followers"] == int(row["subscribers"])
        assert one["viewsCount"] == int(Decimal(row["video_views"]))
        assert one["country"] == (None if row["Country"] == "nan" else row["Country"])
        assert one["categories"] == ([] if row["category"] == "nan" else [row["category"]])
        month = row["video_views_for_the_last_30_days"]
        assert one["views30d"] == (None if month == "nan" else int(month))
        assert (one["followersGrowth30d"] is None) == (row["subscribers_for_last_30_days"] == "nan")
        assert one["estEarnings"]["yearly"]["low"] == float(row["lowest_yearly_earnings"])
        year = row["created_year"]
        assert (one["channelCreatedOn"] or "none")[:4] == ("none" if year in ("nan", "1970") else year)
    assert stored["T-Series"]["viewsCount"] == 228_000_000_000
    assert sum(one["country"] is None for one in stored.values()) == 122
    assert sum(one["channelCreatedOn"] is None for one in stored.values()) == 6


async def test_the_raw_and_the_clean_file_give_the_same_rows(profiles: Caller, creators: Path) -> None:
    raw = await profiles.load(INSTAGRAM, (creators / "instagram_top200_raw.csv").read_bytes())
    before = await everything(profiles, "instagram")
    clean = await profiles.load(INSTAGRAM, (creators / "instagram_top200_clean.csv").read_bytes())
    assert (raw["created"], raw["refused"]) == (200, 0)
    assert (clean["unchanged"], clean["rows"]) == (200, 200)
    assert await everything(profiles, "instagram") == before
    best = next(one for one in before if one["handle"] == "cristiano")
    assert (best["followers"], best["totalLikes"], best["engagementRate"]) == (475_800_000, 29_000_000_000, 1.39)
    assert sum(one["country"] is None for one in before) == 62


async def test_a_file_of_another_layout_is_refused(profiles: Caller, creators: Path) -> None:
    with pytest.raises(InputError, match=r"lacks .* does not know"):
        await profiles.load(YOUTUBE, (creators / "youtubers_top1000.csv").read_bytes())
