"""What a caller has paid for, in fields and in uses."""

from __future__ import annotations

import pytest

from tests.end_to_end.callers import YOUTUBE, Callers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_what_the_plan_locks_is_null_and_named_and_no_filter_tells_it(callers: Callers) -> None:
    found = (await callers.call("free", "POST", f"{YOUTUBE}/search?size=5", 200, json={})).json()
    assert {"email", "phone"} <= set(found["status"]["lockedFields"])
    assert {row["email"] for row in found["data"]} == {None}
    known = {"filters": [{"filterType": "NOT_NULL", "field": "email"}]}
    await callers.call("free", "POST", f"{YOUTUBE}/search", 402, json=known)
    await callers.call("free", "POST", f"{YOUTUBE}/search?sortBy=email", 402, json={})
    await callers.call("free", "GET", f"{YOUTUBE}/export?format=csv&fields=email", 402)
    exported = await callers.call("free", "GET", f"{YOUTUBE}/export?format=csv", 200)
    assert "email" not in exported.text.splitlines()[0].split(",")
    assert (await callers.call("saas", "POST", f"{YOUTUBE}/search", 200, json=known)).json()["totalCount"] > 0


async def test_a_caller_is_told_what_he_has(callers: Callers) -> None:
    told = {
        who: (await callers.call(who, "GET", "/me/entitlements", 200)).json()["data"][0] for who in ("free", "saas")
    }
    assert {who: each["plan"] for who, each in told.items()} == {"free": "FREE", "saas": "SAAS"}
    free, saas = ({each["service"]: each for each in told[who]["modules"]} for who in ("free", "saas"))
    assert {"identity-service", "partner-usage-service", "social-profile-service"} <= free.keys()
    for modules, email in ((free, False), (saas, True)):
        profiles = modules["social-profile-service"]
        search = next(each for each in profiles["operations"] if each["path"] == f"{YOUTUBE}/search")
        record = next(each for each in profiles["records"] if each["name"] == search["record"])
        assert ("email" in record["fields"], "email" in search["filters"]) == (email, email)
        assert ({"name": "email", "plan": "SAAS"} in record["lockedFields"]) is not email
        assert "followers" in search["filters"]
    assert {each["namespace"]: each["limit"] for each in told["free"]["usage"]} == {"DISCOVERY": 10, "PROFILE_PAGE": 5}
    await callers.call("", "GET", "/me/entitlements", 401)
    await callers.call("saas", "GET", "/me/entitlements?all=true", 400)
    await callers.call("saas", "GET", "/me/elsewhere", 404)


async def test_a_profile_is_unlocked_once_a_period_and_what_is_left_is_told(callers: Callers) -> None:
    found = (await callers.call("saas", "POST", f"{YOUTUBE}/search?size=1", 200, json={})).json()["data"][0]
    unlock = f"/partner-usage-service/api/partner/profile/{found['channelId']}/youtube/unlock"
    asked = await callers.call("saas", "POST", f"{unlock}?dryRun=cost", 200)
    first, again = [await callers.call("saas", "POST", unlock, 200) for _ in range(2)]
    assert [each.headers["usage-cost"] for each in (asked, first, again)] == ["1", "1", "0"]
    assert [each.headers["usage-remaining"] for each in (asked, first, again)] == ["500", "499", "499"]
    page = f"/discovery-service/api/profile/youtube/{found['channelId']}"
    seen = await callers.call("saas", "GET", page, 200)  # what is unlocked is free where it is shown
    assert (seen.headers["usage-cost"], seen.headers["usage-remaining"]) == ("0", "499")
    me = callers.tokens["saas"]["partnerId"]
    (usage,) = (await callers.call("saas", "GET", f"/partner-usage-service/api/partner/{me}", 200)).json()["data"]
    assert {each["namespace"]: each["consumed"] for each in usage["usage"]}["PROFILE_PAGE"] == 1
    await callers.call("paid", "GET", f"/partner-usage-service/api/partner/{me}", 404)
    (told,) = (await callers.call("saas", "GET", "/me/entitlements", 200)).json()["data"]
    assert {each["namespace"]: each["remaining"] for each in told["usage"]}["PROFILE_PAGE"] == 499
