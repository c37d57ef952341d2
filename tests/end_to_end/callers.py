"""The demo's users, as they call the platform through its gateway."""

from __future__ import annotations

import uuid
from typing import Any

import httpx2

COLLECTION = "/profile-collection-service/api/collection"
YOUTUBE = "/social-profile-service/api/youtube"
USERS = ("free", "saas", "paid", "operator")
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
