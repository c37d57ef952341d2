"""The files about videos and posts: every record is stored or reported, and a second import changes nothing."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from typing import Any

import pytest

from coffee_core.testing.api_client import ApiClient
from modules.discovery.demo import sample
from modules.discovery.mappings import bars, day_of, hashtags, once_encoded, short_day, title_key, video_id
from tests.modules.discovery.conftest import World
from tests.modules.discovery.test_search import BASE
from tests.shared_data import shared_file

FEED = "/discovery-service/api/content/import"
CSV = {"content-type": "text/csv"}


async def load(world: World, data: bytes, **query: str) -> dict[str, Any]:
    """An import's counts, which add up."""
    report: dict[str, Any] = (await world.operator.post(FEED, data, query=query, headers=CSV)).data[0]
    assert report["rows"] == sum(report[name] for name in ("created", "updated", "unchanged", "refused"))
    return report


async def test_the_sample_has_every_kind_of_dirt_and_a_second_load_changes_nothing(world: World) -> None:
    again = await sample(world.container)
    assert {name: (one.created, one.updated) for name, one in again.items()} == dict.fromkeys(again, (0, 0))
    reasons = {name: [(one.line, one.reason) for one in report.refusals] for name, report in again.items()}
    assert [line for line, _ in reasons["trending"]] == [5, 7, 8]
    assert "#NAME?" in reasons["trending"][0][1]
    assert "same platform, profileKey, region, contentId, day as line 6" in reasons["trending"][1][1]
    assert "18.32.01" in reasons["trending"][2][1]
    assert ["24.09demoTagged3" in reasons["tags"][0][1], "is empty" in reasons["tags"][1][1]] == [True, True]
    assert [line for line, _ in reasons["posts"]] == [4]


async def test_a_trend_over_new_year_is_a_series(api: ApiClient) -> None:
    points = (await api.post(f"{BASE}/youtube/trending-US/timeseries", {"to": "2018-01-02"})).data
    views = {one["start"]: (one["views"], one["viewsChange"]) for one in points}
    assert views == {
        "2017-12-30": (1000, None), "2017-12-31": (1400, 400), "2018-01-01": (2200, 800), "2018-01-02": (2900, 700),
    }  # fmt: skip


async def test_contents_have_their_last_numbers_and_are_read_page_by_page(api: ApiClient) -> None:
    path = f"{BASE}/youtube/UCdemo000000000000000000/content"
    answer = await api.post(path, query={"size": 2})
    assert (answer.json["totalCount"], answer.json["count"]) == (3, 2)
    rest = (await api.post(path, query={"size": 2, "page": 2})).data
    views = [one["views"] for one in [*answer.data, *rest]]
    assert views == sorted(views, reverse=True)
    first = answer.data[0]
    assert first["engagementRate"] == round((first["likes"] + first["comments"]) * 100 / first["views"], 4)
    early = (await api.post(path, {"seenTo": "2026-01-20"}, query={"sortBy": "firstSeen", "sortDir": "ASC"})).data
    assert [(one["contentId"], one["firstSeen"], one["lastSeen"]) for one in early] == [
        ("demoVideo00", "2026-01-20", "2026-01-20")
    ]
    assert (await api.post(path, query={"sortBy": "title"})).status == 400
    assert (await api.post(f"{BASE}/youtube/nobody/content")).status == 404


async def test_hashtags_are_counted_once_for_each_content(api: ApiClient) -> None:
    path = f"{BASE}/youtube/{title_key('Invented Walks')}/hashtags"
    rows = (await api.get(path)).data
    assert rows == [{"tag": tag, "uses": 1, "percent": 100.0} for tag in ("monsoon", "rain", "walk")]
    posts = (await api.get(f"{BASE}/instagram/post-reach/hashtags", query={"size": 2})).data
    assert posts == [{"tag": "coffee", "uses": 2, "percent": 100.0}, {"tag": "beans", "uses": 1, "percent": 50.0}]
    undated = (await api.post(f"{BASE}/instagram/post-reach/content")).data
    assert {(one["firstSeen"], one["lastSeen"]) for one in undated} == {(None, None)}
    assert (await api.get(f"{BASE}/youtube/nobody/hashtags")).status == 404


async def test_a_wrong_encoding_is_refused_with_the_byte_and_stores_nothing(world: World, api: ApiClient) -> None:
    head = b"video_id,trending_date,title,category_id,views,likes,dislikes,comment_count\n"
    good = b"".join(b"vid%08d,17.14.11,Fine,22,5,1,0,1\n" % n for n in range(1500))
    answer = await world.operator.post(
        FEED, head + good + b"vidEncoding,17.14.11,It\x92s,22,5,1,0,1\n", headers=CSV,
        query={"mapping": "youtube-trending-in"},
    )  # fmt: skip
    offset = len(head + good) + len(b"vidEncoding,17.14.11,It")
    said = f"byte 0x92 at offset {offset} (line 1502) is not UTF-8"
    assert (answer.status, said in answer.body.decode()) == (400, True), answer.body
    filters = [{"filterType": "EQ", "field": "contentId", "value": "vid00000000"}]
    assert (await api.post("/discovery-service/api/content/search", {"filters": filters})).data == []


async def test_nothing_can_be_tried_out_where_nothing_is_rolled_back(world: World) -> None:
    answer = await world.operator.post(FEED, b"contentId\n", headers=CSV, query={"dryRun": "true"})
    assert (answer.status, "leave dryRun out" in answer.body.decode()) == (400, True)


def _read_wrongly(byte: int) -> str:
    try:
        return bytes([byte]).decode("windows-1252")
    except UnicodeDecodeError:
        return chr(byte)


def test_cells_are_read_as_they_were_meant() -> None:
    assert short_day("17.14.11") == date(2017, 11, 14)
    assert [day_of(2017)(cell) for cell in ("13.09", "1.1", "20.1")] == [
        date(2017, 9, 13), date(2017, 10, 1), date(2017, 10, 20),
    ]  # fmt: skip
    assert bars('a|"B b"|a| |[none]') == ["a", "b b"]
    assert hashtags("#a\ufffd#B\ufffd# \ufffd#a") == ["a", "b"]
    twice = "".join([_read_wrongly(byte) for byte in "\u2018Pink\u2019 \ube14\ub799\ud551\ud06c".encode()])
    assert once_encoded(twice) == "\u2018Pink\u2019 \ube14\ub799\ud551\ud06c"
    assert once_encoded("Café") == "Café", "what was encoded once stays"
    wrong = ((video_id, "#NAME?"), (video_id, ""), (day_of(2017), "24.09xcaeyJTx4Co"), (short_day, "17.31.02"))
    for read, cell in wrong:
        with pytest.raises(ValueError, match=r"#NAME|empty|no date"):
            read(cell)


FILES = [
    ("youtube_trending_in.csv", "youtube-trending-in", "utf-8", 14613, 386),
    ("youtube_trending_us_slim.csv", "youtube-trending-us", "windows-1252", 14856, 143),
    ("youtube_trending_us_2017_tags.csv", "youtube-trending-2017-tags", "utf-8", 7884, 114),
    ("youtube_trending_us_2022_mojibake.csv", "youtube-trending-2022", "utf-8", 983, 17),
    ("instagram_post_reach.csv", "instagram-post-reach", "utf-8", 102, 17),
]


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "mapping", "encoding", "stored", "refused"), FILES, ids=lambda one: str(one)[:40])
async def test_every_record_of_a_real_file_is_stored_or_reported_and_the_second_time_unchanged(
    world: World, name: str, mapping: str, encoding: str, stored: int, refused: int
) -> None:
    data = shared_file(f"creators/{name}").read_bytes()
    first = await load(world, data, mapping=mapping, encoding=encoding)
    assert (first["created"] + first["unchanged"] + first["updated"], first["refused"]) == (stored, refused)
    again = await load(world, data, mapping=mapping, encoding=encoding)
    assert (again["unchanged"], again["refused"]) == (stored, refused)


@pytest.mark.shared_data
async def test_the_file_of_windows_is_refused_as_utf8_naming_the_byte(world: World) -> None:
    data = shared_file("creators/youtube_trending_us_slim.csv").read_bytes()
    answer = await world.operator.post(FEED, data, query={"mapping": "youtube-trending-us"}, headers=CSV)
    offset = data.index(next(byte for byte in data if byte >= 0x80))
    assert (answer.status, f"at offset {offset} " in answer.body.decode()) == (400, True), answer.body


@pytest.mark.shared_data
async def test_frequencies_and_series_of_real_files_are_those_that_plain_python_finds(
    world: World, api: ApiClient
) -> None:
    path = shared_file("creators/youtube_trending_us_2017_tags.csv")
    await load(world, path.read_bytes(), mapping="youtube-trending-2017-tags")
    tags, seen = Counter[str](), set[str]()
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["channel_title"].strip() == "Apple"]
    for row in rows:
        if row["video_id"] not in seen and len(row["video_id"]) == 11:
            seen.add(row["video_id"])
            tags.update({tag.strip().strip('"').strip().lower() for tag in row["tags"].split("|")} - {"", "[none]"})
    key = title_key("Apple")
    found = (await api.get(f"{BASE}/youtube/{key}/hashtags", query={"size": 100})).data
    assert {one["tag"]: one["uses"] for one in found} == dict(tags.most_common(100)) or len(tags) > 100
    assert found[0]["uses"] == tags.most_common(1)[0][1]
    contents = (await api.post(f"{BASE}/youtube/{key}/content", query={"size": 100})).data
    best: dict[str, int] = {}
    for row in rows:
        if row["video_id"] in seen and row["views"]:
            best[row["video_id"]] = int(row["views"])
    assert {one["contentId"]: one["views"] for one in contents} == best
    points = (await api.post(f"{BASE}/youtube/{key}/timeseries")).data
    assert points[-1]["views"] == sum(best.values())
    assert points[-1]["uploads"] == len(seen)
