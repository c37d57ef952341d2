"""The authority over HTTP: the identity service, asked when neither tier of a cache knows.

Contract. The gateway proves itself with `Authorization: Bearer <service statement>` (`sub` "gateway", `aud` "identity":
`coffee_core.wire.service_statement`) and sends `x-bb-requestid`.
`GET /identity-service/api/auth/verify?sid=S`: 200 `{"data":[{"uid","accountId","partnerId","exp", "operator"?}]}` with
`exp` in epoch seconds or RFC 3339; 404 or 401: there is no such session (any more).
`GET /identity-service/api/partners/P/plan`: 200 `{"data":[{"type","until"}]}`, `until` as `exp` or null, the moment at
which the plan may change (a contract's end, or the start of the next one); no data or 404: no contract runs.
Everything else, and silence, is "cannot tell".
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from coffee_core.domain.errors import UnavailableError
from coffee_core.wire.service_statement import sign_service
from gateway.verdict.headers import new_request_id

MAX_BYTES = 1 << 16
SERVICE = "gateway"
AUDIENCE = "identity"
LIFETIME = 60.0

T = TypeVar("T")


class IdentityClient:
    """Asks; does not cache and does not try again: the caches above do the one, their callers the other."""

    def __init__(self, url: str, client: httpx2.AsyncClient, key: str) -> None:
        self._url = url.rstrip("/")
        self._client = client
        self.key = key

    async def ask(self, path: str, parameters: dict[str, str], kind: type[T], *, gone: frozenset[int]) -> list[T]:
        """The `data` of the answer, empty for the statuses in `gone`; `UnavailableError` when it cannot tell."""
        statement = sign_service(SERVICE, audience=AUDIENCE, key=self.key, now=time.time(), lifetime=LIFETIME)
        headers = {
            "authorization": f"Bearer {statement}",
            "x-bb-requestid": new_request_id().decode(),
            "accept": "application/json",
        }
        try:
            answer = await self._client.get(self._url + path, params=parameters, headers=headers)
            if answer.status_code in gone:
                return []
            if answer.status_code == 200 and len(answer.content) <= MAX_BYTES:
                return msgspec.json.decode(answer.content, type=_Envelope[kind]).data  # type: ignore[valid-type]  # a type made at run time
        except (httpx2.HTTPError, OSError, msgspec.MsgspecError):
            pass  # said below, in words that are fit for the caller
        raise UnavailableError("sessions and plans cannot be checked at the moment; try again")


def segment(text: str) -> str:
    """One path segment, whatever it holds."""
    return quote(text, safe="")


class _Envelope(msgspec.Struct, Generic[T]):
    data: list[T] = []


def epoch(moment: float | str | None) -> float | None:
    """Epoch seconds of a moment in either spelling; `ValueError` for neither."""
    if moment is None or isinstance(moment, int | float):
        return moment
    parsed = datetime.fromisoformat(moment)
    if parsed.tzinfo is None:
        raise ValueError("a time without an offset from UTC")
    return parsed.timestamp()
