"""The wire contract, sentence by sentence, held against the whole platform through its gateway."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import validate

from tests.end_to_end.platform import Platform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COLLECTION = "/profile-collection-service/api/collection"
YOUTUBE = "/social-profile-service/api/youtube"
USERS = ("free", "saas", "paid", "operator")
REQUEST_ID = "01980000-0000-7000-8000-00000000c0de"
ITEM = [{"platform": "YOUTUBE", "platformAccountCode": "UC-contract"}]
MEMBERS = {"type", "title", "status", "detail", "instance", "requestId", "errors", "statusMessage"}


class Callers:
    """The demo's users at one gateway."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.tokens: dict[str, dict[str, Any]] = {}

    async def login(self, name: str, query: str = "") -> httpx2.Response:
        body = {"email": f"{name}@example.com", "password": "coffee-demo"}
        answer = await self.client.post(f"/auth/login{query}", json=body)
        assert answer.status_code == 200, answer.text
        return answer

    async def call(self, who: str, method: str, path: str, expect: int, **rest: Any) -> httpx2.Response:
        """As `who` (empty: nobody). An error has to be a problem document with every member."""
        headers = dict(rest.pop("headers", {}))
        if who:
            headers["authorization"] = f"Bearer {self.tokens[who]['accessToken']}"
        answer = await self.client.request(method, path, headers=headers, **rest)
        assert answer.status_code == expect, (who, method, path, answer.status_code, answer.text[:500])
        assert uuid.UUID(answer.headers["x-bb-requestid"]).version == 7
        if expect >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert problem.keys() >= MEMBERS, (method, path, problem)
            assert problem["status"] == expect
            assert problem["requestId"] == answer.headers["x-bb-requestid"]
            assert all({"pointer", "detail"} <= error.keys() for error in problem["errors"])
        return answer

    async def collection(self, who: str, name: str = "Contract") -> dict[str, Any]:
        """A new one."""
        made = await self.call(who, "POST", COLLECTION, 201, json={"name": name})
        row: dict[str, Any] = made.json()["data"][0]
        return row


@pytest.fixture(scope="module")
async def callers(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> AsyncIterator[Callers]:
    folder: Path = tmp_path_factory.mktemp("contract")
    platform = Platform(folder, redis_url)
    platform.env["COFFEE_GATEWAY_CORS_ORIGINS"] = "https://app.example.com"
    async with (
        platform.up(),
        httpx2.AsyncClient(base_url=platform.gateway, trust_env=False, timeout=20) as client,
    ):
        callers = Callers(client)
        for name in USERS:
            callers.tokens[name] = (await callers.login(name)).json()["data"][0]
        yield callers


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


@pytest.mark.parametrize(
    ("status", "method", "path", "rest"),
    [
        (400, "POST", COLLECTION, {"content": b"{", "headers": {"content-type": "application/json"}}),
        (400, "POST", COLLECTION, {"json": {"name": ""}}),
        (400, "POST", COLLECTION, {"json": {"name": "x", "unknown": 1}}),
        (400, "POST", COLLECTION, {"json": {"name": "x", "id": 4}}),
        (400, "GET", f"{COLLECTION}/recent?size=0", {}),
        (400, "GET", f"{COLLECTION}/recent?unknown=1", {}),
        (400, "GET", f"{COLLECTION}/..%2fx", {}),
        (403, "POST", YOUTUBE, {"json": {"channelId": "x", "title": "x"}}),
        (404, "GET", "/nowhere", {}),
        (404, "GET", "/nowhere-service/api/x", {}),
        (404, "GET", "/profile-collection-service/api/nowhere", {}),
        (404, "GET", f"{COLLECTION}/999999999", {}),
        (404, "GET", f"{COLLECTION}/99999999999999999999999", {}),
        (404, "GET", "/identity-service/api/auth/verify?sid=x", {}),
        (405, "DELETE", COLLECTION, {}),
        (413, "POST", COLLECTION, {"json": {"name": "x" * 2_000_000}}),
        (415, "POST", COLLECTION, {"content": b'{"name": "x"}', "headers": {"content-type": "text/plain"}}),
    ],
)
async def test_each_mistake_has_its_status_and_a_problem_that_explains_it(
    callers: Callers, status: int, method: str, path: str, rest: dict[str, Any]
) -> None:
    await callers.call("paid", method, path, status, **rest)


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
        page = (await callers.call("paid", "POST", query + cursor, 200, json={})).json()
        seen += [(row["followers"], row["id"]) for row in page["data"]]
        total = total or page["totalCount"]
        if "nextCursor" not in page["status"]:
            break
        cursor = f"&cursor={page['status']['nextCursor']}"
    assert len(seen) == len(set(seen)) == total > 7
    assert [followers for followers, _ in seen] == sorted((followers for followers, _ in seen), reverse=True)


async def test_a_change_to_what_was_not_read_is_refused_and_a_patch_knows_null_from_absent(callers: Callers) -> None:
    path = f"{COLLECTION}/{(await callers.collection('paid'))['id']}"
    tag = (await callers.call("paid", "GET", path, 200)).headers["etag"]
    assert (await callers.call("paid", "GET", path, 304, headers={"if-none-match": tag})).content == b""
    await callers.call("paid", "PATCH", path, 200, json={"description": "set"}, headers={"if-match": tag})
    await callers.call("paid", "PATCH", path, 412, json={"description": "lost"}, headers={"if-match": tag})
    kept = await callers.call("paid", "PATCH", path, 200, json={"name": "Renamed"})
    assert kept.json()["data"][0]["description"] == "set"
    unset = await callers.call("paid", "PATCH", path, 200, json={"description": None})
    assert (unset.json()["data"][0]["description"], unset.json()["data"][0]["name"]) == (None, "Renamed")
    await callers.call("paid", "PATCH", path, 400, json={"name": None})
    await callers.call("paid", "DELETE", path, 204)
    await callers.call("paid", "GET", path, 404)


async def test_a_post_with_an_idempotency_key_is_done_once(callers: Callers) -> None:
    key, body = {"idempotency-key": str(uuid.uuid4())}, {"name": f"Once {uuid.uuid4()}"}
    first, again = [await callers.call("paid", "POST", COLLECTION, 201, headers=key, json=body) for _ in range(2)]
    assert first.json() == again.json()
    await callers.call("paid", "POST", COLLECTION, 422, headers=key, json={"name": "Another"})
    theirs = await callers.call("saas", "POST", COLLECTION, 201, headers=key, json=body)
    assert theirs.json()["data"][0]["id"] != first.json()["data"][0]["id"]


async def test_a_bulk_is_done_as_a_whole_or_not_at_all(callers: Callers) -> None:
    name = f"Bulk {uuid.uuid4()}"
    mine = {"filters": [{"filterType": "EQ", "field": "name", "value": name}]}
    await callers.call(
        "paid", "POST", f"{COLLECTION}/bulk", 404,
        json={"create": [{"name": name}], "delete": [999999999]},
    )  # fmt: skip
    assert (await callers.call("paid", "POST", f"{COLLECTION}/search", 200, json=mine)).json()["data"] == []
    await callers.call("paid", "POST", f"{COLLECTION}/bulk", 200, json={"create": [{"name": name}, {"name": name}]})
    assert (await callers.call("paid", "POST", f"{COLLECTION}/search", 200, json=mine)).json()["totalCount"] == 2


async def test_a_post_that_is_sent_again_with_its_idempotency_key_is_done_once(callers: Callers) -> None:
    id, name = (await callers.collection("paid"))["id"], f"Once {uuid.uuid4()}"
    requests: list[tuple[str, int, Any]] = [
        (COLLECTION, 201, {"name": name}),
        (f"{COLLECTION}/bulk", 200, {"create": [{"name": name}]}),
        (f"{COLLECTION}/{id}/item", 201, ITEM),
    ]
    for path, status, body in requests:
        key = {"idempotency-key": f'"{uuid.uuid4()}"'}
        first = await callers.call("paid", "POST", path, status, json=body, headers=key)
        again = await callers.call("paid", "POST", path, status, json=body, headers=key)
        assert again.content == first.content
        assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
        await callers.call("paid", "POST", path, 422, json={}, headers=key)
    mine = {"filters": [{"filterType": "EQ", "field": "name", "value": name}]}
    assert (await callers.call("paid", "POST", f"{COLLECTION}/search", 200, json=mine)).json()["totalCount"] == 2
    await callers.call("paid", "POST", COLLECTION, 400, json={"name": name}, headers={"idempotency-key": "two words"})


async def test_an_import_is_the_operators_and_says_what_it_refused(callers: Callers) -> None:
    channel = f"UC{uuid.uuid4().hex[:22]}"
    rows = f"channelId,title,followers\n{channel},Good,5\n{channel}x,Bad,many\n".encode()
    csv = {"content": rows, "headers": {"content-type": "text/csv"}}
    await callers.call("paid", "POST", f"{YOUTUBE}/import", 403, **csv)
    said = (await callers.call("operator", "POST", f"{YOUTUBE}/import", 200, **csv)).json()["data"][0]
    assert (said["created"], said["refused"], said["refusals"][0]["line"]) == (1, 1, 3)
    again = (await callers.call("operator", "POST", f"{YOUTUBE}/import", 200, **csv)).json()["data"][0]
    assert (again["created"], again["unchanged"]) == (0, 1)
    lines = await callers.call("paid", "GET", f"{YOUTUBE}/export?format=ndjson&fields=channelId,title", 200)
    assert f'{{"channelId":"{channel}","title":"Good"}}' in lines.text.splitlines()
    await callers.call("paid", "GET", f"{YOUTUBE}/export?format=xml", 400)


async def test_another_tenants_row_does_not_exist_in_any_route(callers: Callers) -> None:
    theirs = await callers.collection("paid", "Not yours")
    one = f"{COLLECTION}/{theirs['id']}"
    for method, path, body in (
        ("GET", one, None), ("DELETE", one, None), ("PUT", one, {"name": "x"}), ("PATCH", one, {"name": "x"}),
        ("POST", f"{one}/restore", None), ("POST", f"{one}/link/renew", None), ("POST", f"{one}/item", ITEM),
        ("PUT", f"{one}/item/bulk", ITEM), ("DELETE", f"{one}/item?ids=1", None),
        ("POST", f"{COLLECTION}/bulk", {"update": [{"id": theirs["id"], "name": "x"}]}),
        ("POST", f"{COLLECTION}/bulk", {"delete": [theirs["id"]]}),
        ("GET", "/identity-service/api/partners/3", None), ("GET", "/identity-service/api/partners/3/contracts", None),
    ):  # fmt: skip
        await callers.call("saas", method, path, 404, **({"json": body} if body is not None else {}))
    named = {"filters": [{"filterType": "EQ", "field": "id", "value": theirs["id"]}]}
    for found in (
        await callers.call("saas", "POST", f"{COLLECTION}/search", 200, json=named),
        await callers.call("saas", "GET", f"{COLLECTION}?ids={theirs['id']}", 200),
    ):
        assert (found.json()["data"], found.json()["totalCount"]) == ([], 0)
    assert "Not yours" not in (await callers.call("saas", "GET", f"{COLLECTION}/export?format=csv", 200)).text
    assert (await callers.call("paid", "GET", one, 200)).json()["data"][0]["name"] == "Not yours"


async def test_a_share_link_reads_and_never_writes(callers: Callers) -> None:
    mine = await callers.collection("paid")
    link = f"{COLLECTION}/byshareid/{mine['shareId']}"
    assert (await callers.call("", "GET", link, 200)).json()["data"][0]["id"] == mine["id"]
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        await callers.call("", method, link, 401)
        await callers.call("saas", method, link, 405)
    await callers.call("paid", "PATCH", f"{COLLECTION}/{mine['id']}", 200, json={"shareEnabled": False})
    await callers.call("", "GET", link, 404)


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


async def test_the_description_of_all_modules_is_valid_and_its_page_is_there(callers: Callers) -> None:
    description = (await callers.call("", "GET", "/openapi.json", 200)).json()
    validate(description)
    services = {path.split("/")[1] for path in description["paths"]}
    assert services >= {"activity-service", "identity-service", "profile-collection-service", "social-profile-service"}
    assert "swagger-ui" in (await callers.call("", "GET", "/docs", 200)).text


async def test_a_client_that_never_ends_its_head_delays_nobody(callers: Callers) -> None:
    host, port = callers.client.base_url.host, callers.client.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n")
        await callers.call("paid", "GET", f"{COLLECTION}/recent", 200)
        head = await asyncio.wait_for(reader.readline(), 30)
        assert b" 408 " in head
    finally:
        writer.close()
