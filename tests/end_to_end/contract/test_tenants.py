"""Other tenants' rows, and those that are shared."""

from __future__ import annotations

import pytest

from tests.end_to_end.callers import COLLECTION, Callers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ITEM = [{"platform": "YOUTUBE", "platformAccountCode": "UC-contract"}]


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
