"""Who is calling: identity, request ids, cookies, sessions, pages of other origins, operators."""

from __future__ import annotations

import uuid

import pytest

from tests.end_to_end.callers import COLLECTION, YOUTUBE, Callers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REQUEST_ID = "01980000-0000-7000-8000-00000000c0de"


@pytest.mark.parametrize("name", ["x-bb-partner-id", "X-BB-PARTNER-ID", "x_bb_partner_id", "x-bb_partner-id"])
async def test_an_identity_that_a_caller_claims_changes_nothing(callers: Callers, name: str) -> None:
    mine = await callers.collection("paid")
    await callers.call("saas", "GET", f"{COLLECTION}/{mine['id']}", 404, headers={name: "3"})
    await callers.call("", "GET", f"{COLLECTION}/{mine['id']}", 401, headers={name: "3", "x-bb-uid": "4"})
    claimed = await callers.call(
        "free", "POST", f"{YOUTUBE}/search?size=1", 200, json={}, headers={"x-bb-plan-type": "PAID"}
    )
    assert "email" in claimed.json()["status"]["lockedFields"]


async def test_a_request_id_is_kept_if_it_is_one_and_made_if_not(callers: Callers) -> None:
    kept = await callers.call("paid", "GET", f"{COLLECTION}/recent", 200, headers={"x-bb-requestid": REQUEST_ID})
    assert kept.headers["x-bb-requestid"] == REQUEST_ID
    for other in ("abc", str(uuid.uuid4()), "a b"):
        made = await callers.call("paid", "GET", f"{COLLECTION}/recent", 200, headers={"x-bb-requestid": other})
        assert made.headers["x-bb-requestid"] != other


async def test_a_cookie_vouches_only_for_pages_of_ours(callers: Callers) -> None:
    line = (await callers.login("paid", "?cookie=true")).headers["set-cookie"]
    assert {"httponly", "secure"} <= {part.strip().lower() for part in line.split(";")}
    assert "samesite" in line.lower()
    cookie = {"cookie": line.partition(";")[0]}
    await callers.call("", "GET", f"{COLLECTION}/recent", 200, headers=cookie)
    made = {"json": {"name": "By cookie"}}
    await callers.call("", "POST", COLLECTION, 403, headers=cookie, **made)
    await callers.call("", "POST", COLLECTION, 403, headers={**cookie, "origin": "https://evil.example"}, **made)
    await callers.call("", "POST", COLLECTION, 201, headers={**cookie, "origin": "https://app.example.com"}, **made)
    await callers.call("", "POST", "/auth/logout", 204, headers={**cookie, "x-csrf-token": "1"})
    await callers.call("", "GET", f"{COLLECTION}/recent", 401, headers=cookie)


async def test_a_refresh_token_is_good_once_and_a_logout_everywhere_ends_all_sessions(callers: Callers) -> None:
    # With a user of its own: the others' sessions stay.
    email, password = f"{uuid.uuid4().hex}@example.com", "Nine cold kettles, whistling"
    user = {"email": email, "password": password, "name": "Refresher", "accountId": 2}
    await callers.call("operator", "POST", "/identity-service/api/users", 201, json=user)
    who = {"email": email, "password": password}
    first, second = [(await callers.call("", "POST", "/auth/login", 200, json=who)).json()["data"][0] for _ in range(2)]
    spent = {"refreshToken": first["refreshToken"]}
    callers.tokens["renewed"] = (await callers.call("", "POST", "/auth/refresh", 200, json=spent)).json()["data"][0]
    callers.tokens["second"] = second
    await callers.call("", "POST", "/auth/refresh", 401, json=spent)
    await callers.call("second", "POST", "/auth/logout?everywhere=true", 204)
    for session in ("renewed", "second"):
        await callers.call(session, "GET", f"{COLLECTION}/recent", 401)
        token = callers.tokens.pop(session)["refreshToken"]
        await callers.call("", "POST", "/auth/refresh", 401, json={"refreshToken": token})
    await callers.call("", "POST", "/auth/login", 401, json={**who, "password": "wrong"})
    await callers.call("", "POST", "/auth/login", 400, json={"email": email})


async def test_a_back_channel_logout_reaches_identity_where_no_provider_is_set_up(callers: Callers) -> None:
    answer = await callers.call("", "POST", "/auth/backchannel-logout", 404, data={"logout_token": "x"})
    assert answer.json()["detail"] == "back-channel logout is not set up here"


async def test_an_operator_takes_the_gateway_out_of_rotation_and_back(callers: Callers) -> None:
    await callers.call("", "PUT", "/heartbeat/?beat=false", 401)
    await callers.call("paid", "PUT", "/heartbeat/?beat=false", 403)
    await callers.call("operator", "PUT", "/heartbeat/?beat=perhaps", 400)
    operator = {"authorization": f"Bearer {callers.tokens['operator']['accessToken']}"}
    try:
        assert (await callers.client.put("/heartbeat/?beat=false", headers=operator)).status_code == 410
        assert (await callers.client.get("/heartbeat/")).status_code == 410
        assert (await callers.client.get("/health/ready")).status_code == 503
        await callers.call("", "GET", "/health/live", 200)
    finally:
        await callers.call("operator", "PUT", "/heartbeat/?beat=true", 200)
    for probe in ("/heartbeat/", "/health/live", "/health/ready", "/health/startup"):
        await callers.call("", "GET", probe, 200)


async def test_a_preflight_is_answered_to_pages_of_ours_alone(callers: Callers) -> None:
    asked = {"access-control-request-method": "POST"}
    allowed = await callers.call("", "OPTIONS", COLLECTION, 204, headers={"origin": "https://app.example.com", **asked})
    assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
    refused = await callers.call("", "OPTIONS", COLLECTION, 403, headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in refused.headers
