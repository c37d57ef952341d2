"""Versions, repeated requests, bulk and import."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.end_to_end.callers import COLLECTION, YOUTUBE, Callers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ITEM = [{"platform": "YOUTUBE", "platformAccountCode": "UC-contract"}]


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
