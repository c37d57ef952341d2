"""What is wrong has a status and a problem, and what is right is described."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.end_to_end.callers import COLLECTION, YOUTUBE, Callers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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
