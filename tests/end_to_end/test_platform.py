"""A person who has just cloned the repository: one command, real input, through every layer."""

from __future__ import annotations

import asyncio
import csv
import subprocess
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.end_to_end.platform import COFFEE, ROOT, Platform
from tests.shared_data import shared_file

PASSWORD = "coffee-demo"
YOUTUBE = "/social-profile-service/api/youtube"
COLLECTION = "/profile-collection-service/api/collection"
INDIANS = [
    {"filterType": "EQ", "field": "country", "value": "India"},
    {"filterType": "GT", "field": "followers", "value": "10000000"},
]
PAGE = 70


class Person:
    """Somebody at a gateway, after login."""

    def __init__(self, client: httpx2.AsyncClient, token: str) -> None:
        self.client = client
        self.token = token

    async def call(self, method: str, path: str, *, expect: int, **rest: Any) -> Any:
        answer = await self.client.request(method, path, headers={"authorization": f"Bearer {self.token}"}, **rest)
        assert answer.status_code == expect, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None


async def login(client: httpx2.AsyncClient, name: str) -> Person:
    answer = await client.post("/auth/login", json={"email": f"{name}@example.com", "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return Person(client, answer.json()["data"][0]["accessToken"])


@pytest.fixture
async def platform(tmp_path: Path, redis_url: str) -> Platform:
    return Platform(tmp_path, redis_url)


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=platform.gateway, trust_env=False, timeout=20) as client:
        yield client


def database_of(said: str) -> str:
    return next(line.split()[1] for line in said.splitlines() if line.strip().startswith("database "))


def run(platform: Platform, *arguments: str, refused: bool = False) -> str:
    """A `coffee` command against the running platform's database."""
    env = {**platform.env, "COFFEE_DATABASE_URL": database_of((platform.folder / "up.log").read_text())}
    done = subprocess.run([*COFFEE, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == refused, done.stdout + done.stderr
    return done.stdout + done.stderr


def indians_in(file: Path) -> list[tuple[str, int]]:
    """Read by other means than ours: the csv module and float."""
    with file.open(encoding="latin-1", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["Country"] == "India"]
    found = [(row["Youtuber"].strip(), int(float(row["subscribers"]))) for row in rows]
    return sorted((one for one in found if one[1] > 10_000_000), key=lambda one: -one[1])


async def three_pages(person: Person) -> tuple[list[dict[str, Any]], int, list[str]]:
    rows: list[dict[str, Any]] = []
    total, locked = -1, []
    for page in (1, 2, 3):
        query = f"sortBy=followers&sortDir=DESC&size={PAGE}&page={page}"
        found = await person.call("POST", f"{YOUTUBE}/search?{query}", expect=200, json={"filters": INDIANS})
        rows += found["data"]
        total, locked = found["totalCount"], found["status"].get("lockedFields", [])
    return rows, total, locked


def a_file_of_our_own(folder: Path) -> Path:
    """For a clone without the real data: the same layout and encoding, 90 invented channels, a third of them Indian."""
    file = folder / "channels.csv"
    (sample,) = files("modules.social_profile.sample").joinpath("youtube_dirty.csv").read_bytes().splitlines()[:1]
    columns = sample.decode("ascii").split(",")
    countries = (("India", "IN"), ("Brazil", "BR"), ("nan", "nan"))
    lines = [",".join(columns)]
    for n in range(1, 91):
        country, code = countries[n % 3]
        known = {
            "rank": n, "Youtuber": f"Caf\xe9 {n}", "Title": f"Caf\xe9 {n}", "subscribers": (200 - n) * 1_000_000,
            "video_views": f"1.{n:02}E+9", "category": "Music", "uploads": n, "Country": country, "Abbreviation": code,
        }  # fmt: skip
        lines.append(",".join(str(known.get(column, "nan")) for column in columns))
    file.write_bytes("\r\n".join([*lines, ""]).encode("latin-1"))
    return file


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["of our own", pytest.param("real", marks=pytest.mark.shared_data)])
async def test_one_command_real_input_through_every_layer(
    kind: str, platform: Platform, client: httpx2.AsyncClient
) -> None:
    real = kind == "real"
    file = shared_file("creators/global_youtube_statistics.csv") if real else a_file_of_our_own(platform.folder)
    with file.open(encoding="latin-1", newline="") as lines:
        count = str(sum(1 for _ in csv.DictReader(lines)))
    async with platform.up() as up:
        assert "free@example.com" in up.said()

        assert "offset" in run(platform, "import", "youtube", str(file), refused=True), "refused naming the byte offset"
        first = run(platform, "import", "youtube", str(file), "--encoding", "latin-1")
        assert count in first
        again = run(platform, "import", "youtube", str(file), "--encoding", "latin-1")
        assert count in again
        assert "created 0" in " ".join(again.lower().replace(":", " ").split()) or "0 created" in again.lower()

        free, paid = await login(client, "free"), await login(client, "paid")
        truth = indians_in(file)
        rows, total, _ = await three_pages(paid)
        sample = [row for row in rows if (row["title"], row["followers"]) not in truth]
        assert [row["followers"] for row in rows] == sorted((row["followers"] for row in rows), reverse=True)
        assert len({row["id"] for row in rows}) == len(rows) == total
        mine = [row["followers"] for row in rows if row not in sample]
        assert mine == [followers for _, followers in truth], "exactly the file's rows, whatever the demo added"

        rows, total_for_free, locked = await three_pages(free)
        assert total_for_free == total
        assert {"email", "phone"} <= set(locked)
        assert {(row["email"], row["phone"]) for row in rows} == {(None, None)}
        secret = {"filters": [{"filterType": "NOT_NULL", "field": "email"}]}
        problem = await free.call("POST", f"{YOUTUBE}/search", expect=402, json=secret)
        assert problem["status"] == 402
        assert problem["requestId"]

        made = await paid.call("POST", COLLECTION, expect=201, json={"name": "The largest"})
        collection = made["data"][0]
        chosen = [{"platform": "YOUTUBE", "platformAccountCode": row["channelId"]} for row in rows[:3]]
        await paid.call("POST", f"{COLLECTION}/{collection['id']}/item/", expect=201, json=chosen)
        by_link = await client.get(f"{COLLECTION}/byshareid/{collection['shareId']}")
        assert by_link.json()["data"][0]["name"] == "The largest"
        items = (await client.get(f"{COLLECTION}/byshareid/{collection['shareId']}/item")).json()["data"]
        assert [item["followers"] for item in items] == [row["followers"] for row in rows[:3]]
        await free.call("GET", f"{COLLECTION}/{collection['id']}", expect=404)

        async with asyncio.timeout(15):
            while True:
                activity = await paid.call("POST", "/activity-service/api/activity/search", expect=200, json={})
                if activity["data"]:
                    break
                await asyncio.sleep(0.05)
        assert activity["data"][0]["title"] == "The largest"
        assert (await free.call("POST", "/activity-service/api/activity/search", expect=200, json={}))["data"] == []

        async with (
            platform.second_gateway(),
            httpx2.AsyncClient(base_url=platform.second, trust_env=False, timeout=20) as second,
        ):
            elsewhere = Person(second, paid.token)
            await elsewhere.call("GET", f"{COLLECTION}/{collection['id']}", expect=200)
            await paid.call("POST", "/auth/logout", expect=204)
            await elsewhere.call("GET", f"{COLLECTION}/{collection['id']}", expect=401)
            await paid.call("GET", f"{COLLECTION}/{collection['id']}", expect=401)

    async with platform.up():
        paid = await login(client, "paid")
        again_there = await paid.call("GET", f"{COLLECTION}/{collection['id']}", expect=200)
        assert again_there["data"][0]["name"] == "The largest", "a second start finds the data"
