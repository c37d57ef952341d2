"""The operators' page in a real browser, over a real platform with two gateway workers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.end_to_end.platform import Platform
from tests.end_to_end.test_platform import login

if TYPE_CHECKING:
    from playwright.async_api import Page

RECENT = "/profile-collection-service/api/collection/recent"


def chromium() -> str:
    """The browser, or the reason for going without."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "no Chromium on this machine: `apt-get install chromium` brings it"
        if os.environ.get("COFFEE_TEST_REQUIRE_CHROMIUM") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@asynccontextmanager
async def a_page(url: str, said: list[str], *, width: int, height: int, dark: bool) -> AsyncIterator[Page]:
    from playwright.async_api import async_playwright

    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        scheme = "dark" if dark else "light"
        context = await browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = await context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if "Content Security" in message.text else None)
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith(url) else None)
        await page.goto(url + "/_gateway/")
        yield page
        await browser.close()


async def sign_in(page: Page, name: str) -> None:
    await page.fill("[name=email]", f"{name}@example.com")
    await page.fill("[name=password]", "coffee-demo")
    await page.keyboard.press("Enter")


async def no_wider_than_the_window(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.timeout(300)
async def test_an_operator_sees_what_happens_and_ends_a_session(tmp_path: Path, redis_url: str) -> None:
    chromium()
    platform = Platform(tmp_path, redis_url)
    platform.env |= {"COFFEE_GATEWAY_WORKERS": "2"}
    said: list[str] = []
    async with (
        platform.up(),
        httpx2.AsyncClient(base_url=platform.gateway, trust_env=False, timeout=30) as client,
    ):
        assert [(await client.get(path)).status_code for path in ("/_gateway", "/_gateway/")] == [200, 200]
        paid = await login(client, "paid")
        async with a_page(platform.gateway, said, width=1280, height=800, dark=False) as page:
            await sign_in(page, "paid")
            await page.wait_for_selector("#login .notice:has-text('This is for operators.')")
            await sign_in(page, "operator")
            await page.wait_for_selector("#view .card")
            # connections of their own, so that both workers are asked
            for _ in range(12):
                await paid.call("GET", RECENT, expect=200)
                async with httpx2.AsyncClient(base_url=platform.gateway, trust_env=False) as other:
                    await other.get("/nothing")
            await page.wait_for_selector(".routes .name:text-is('service')")
            await page.wait_for_selector(".routes .name:text-is('unrouted')")
            assert "2 workers" in await page.inner_text("#view")
            assert await page.locator("#view svg[role=img]").count() >= 8
            chart = page.locator(".plot svg").first
            await chart.focus()
            await page.keyboard.press("ArrowLeft")
            await page.wait_for_selector(".plot .tip:not([hidden])")
            assert await no_wider_than_the_window(page)

            await page.click("nav a[href='#upstreams']")
            await page.wait_for_selector("text=breaker closed")
            await page.click("nav a[href='#partners']")
            await page.wait_for_selector(".partner:has-text('Paid Partner') .chip:text-is('PAID')")

            await page.click("nav a[href='#sessions']")
            await page.fill("[name=what]", "paid@example.com")
            await page.keyboard.press("Enter")
            await page.wait_for_selector(".session:has-text('partner 3')")
            while await page.locator(".session:has-text('python')").count():
                await page.locator(".session:has-text('python') button:text-is('End')").first.click()
                await page.click("#ask .danger")
                await page.wait_for_selector("#toast:has-text('has ended')")
                await page.wait_for_timeout(300)
            async with asyncio.timeout(10):
                while (await client.get(RECENT, headers={"authorization": f"Bearer {paid.token}"})).status_code != 401:
                    await asyncio.sleep(0.02)

            await page.click("nav a[href='#acts']")
            await page.wait_for_selector(".act:has-text('session.end') .chip:text-is('done')")
            await page.route("**/auth/logout", lambda route: route.abort())
            await page.click("#leave")
            await page.wait_for_selector("#login .notice:has-text('This session has not been ended')")
            await page.unroute("**/auth/logout")
            await sign_in(page, "operator")
            await page.click("#leave")
            await page.wait_for_selector("#login .notice:text-is('')", state="attached")
            await page.wait_for_selector("#login:not([hidden])")
        async with a_page(platform.gateway, said, width=390, height=844, dark=True) as page:
            assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
            await sign_in(page, "operator")
            await page.wait_for_selector("#view .card")
            for view in ("traffic", "upstreams", "sessions", "partners", "acts"):
                await page.goto(f"{platform.gateway}/_gateway/#{view}")
                await page.wait_for_selector("#view .card")
                assert await no_wider_than_the_window(page), view
        await only_operators(client)
    lines = [json.loads(line) for line in (tmp_path / "data" / "logs" / "audit.jsonl").read_text().splitlines()]
    ended = [line for line in lines if line["act"] == "session.end"]
    assert [line["outcome"] for line in ended[:2]] == ["begun", "done"]
    assert {"time", "id", "uid", "address", "requestId", "target"} <= ended[0].keys()
    assert said == []


async def only_operators(client: httpx2.AsyncClient) -> None:
    """The API is the operators', by session; a foreign page cannot use their cookie."""
    api = "/_gateway/api/figures"
    assert (await client.get(api)).status_code == 401
    free, operator = await login(client, "free"), await login(client, "operator")
    await free.call("GET", api, expect=403)
    await free.call("GET", "/identity-service/api/sessions?userId=1", expect=403)
    (theirs, *_) = (await operator.call("GET", "/identity-service/api/sessions", expect=200))["data"]
    await free.call("DELETE", f"/identity-service/api/sessions/{theirs['id']}", expect=404)
    found = await operator.call("GET", api, expect=200)
    assert len(found["workers"]) == 2
    cookie = {"cookie": f"coffee_session={operator.token}", "origin": "https://evil.example"}
    assert (await client.put("/_gateway/api/rotation?beat=false", headers=cookie)).status_code == 403
    assert (await client.get("/heartbeat/")).status_code == 200
