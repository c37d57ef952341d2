"""What the operators' page asks of the modules, in the operator's own name."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import httpx2
import orjson
from starlette.requests import Request

from coffee_core.domain.errors import UnavailableError

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

PARTNERS = "/identity-service/api/partners"
USAGE = "/partner-usage-service/api/partner"
AT_ONCE = 8
SAID = ("x-bb-partner-id", "x-bb-account-id", "x-bb-uid", "x-bb-plan-type", "x-bb-identity", "x-bb-requestid")


class Services:
    """Identity, and partner-usage where it is there."""

    def __init__(self, client: httpx2.AsyncClient, identity_url: str, usage_url: str) -> None:
        self._client = client
        self._identity = identity_url
        self._usage = usage_url

    async def ask(self, request: Request, method: str, target: str) -> tuple[int, bytes]:
        """Identity's answer: status and body."""
        try:
            answer = await self._client.request(method, self._identity + target, headers=_as(request))
        except (httpx2.HTTPError, OSError):
            raise UnavailableError("identity does not answer; try again") from None
        return answer.status_code if answer.status_code != 204 else 200, answer.content or b"{}"

    async def partners(self, request: Request) -> list[Json]:
        """Each with `contracts` and `usage`; `usage` is null where nobody says it."""
        found = await self._data(request, "POST", f"{self._identity}{PARTNERS}/search?size=100&sortBy=id")
        slots = asyncio.Semaphore(AT_ONCE)

        async def filled(partner: Json) -> Json:
            assert isinstance(partner, dict)
            async with slots:
                contracts, usage = await asyncio.gather(
                    self._data(request, "GET", f"{self._identity}{PARTNERS}/{partner['id']}/contracts"),
                    self._data(request, "GET", f"{self._usage}{USAGE}/{partner['id']}"),
                )
            return {**partner, "contracts": contracts, "usage": usage[0] if usage else None}

        return list(await asyncio.gather(*map(filled, found or [])))

    async def _data(self, request: Request, method: str, url: str) -> list[Json] | None:
        body = b'{"filters": []}' if method == "POST" else None
        headers = _as(request) | ({"content-type": "application/json"} if body else {})
        try:
            answer = await self._client.request(method, url, headers=headers, content=body)
            data = orjson.loads(answer.content).get("data") if answer.is_success else None
        except (httpx2.HTTPError, OSError, orjson.JSONDecodeError, AttributeError):
            return None
        return data if isinstance(data, list) else None


def _as(request: Request) -> dict[str, str]:
    return {name: value for name in SAID if (value := request.headers.get(name)) is not None}
