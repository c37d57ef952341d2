"""Public keys by URL (RFC 7517): rotated without a restart, asked for once at a time, and never on a caller's word."""

from __future__ import annotations

import asyncio
import logging
import time

import httpx2
import jwt

from coffee_core.domain.errors import UnavailableError

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 18
MAX_KEYS = 64
MAX_UNKNOWN = 1000
AT_MOST_EVERY = 1.0
"""Seconds between two looks at the URL, whatever key ids callers make up."""
KINDS = frozenset(("RSA", "EC", "OKP"))
"""No `oct`: a shared secret has no place in a public document."""


class Jwks:
    """The keys of one URL. A key id that is not known causes one look at the URL, then is refused for a while."""

    def __init__(
        self,
        url: str,
        client: httpx2.AsyncClient,
        *,
        refresh: float = 300.0,
        unknown_for: float = 30.0,
        keep: float = 86_400.0,
        timeout: float = 2.0,
    ) -> None:
        self.fetches = 0
        self._url = url
        self._client = client
        self._refresh = refresh
        self._unknown_for = unknown_for
        self._keep = keep
        self._timeout = timeout
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._unknown: dict[str, float] = {}
        self._flight: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of this id. `UnavailableError` if the URL does not answer and no key is known that may be kept."""
        now = time.monotonic()
        key = self._keys.get(kid)
        if key is not None and now < self._fetched + self._refresh:
            return key
        if key is None and now < self._unknown.get(kid, 0.0):
            return None
        looked = now >= self._tried + AT_MOST_EVERY or self._flight is not None
        if looked:
            await self._load()
        key = self._keys.get(kid)
        if key is None and self._fetched < now - self._keep:
            raise UnavailableError("the keys for tokens cannot be had; try again")
        if key is None and looked:
            if len(self._unknown) >= MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown[kid] = now + self._unknown_for
        return key

    async def _load(self) -> None:
        if self._flight is None:
            self._tried = time.monotonic()
            self._flight = asyncio.get_running_loop().create_task(self._fetch())
        await asyncio.shield(self._flight)

    async def _fetch(self) -> None:
        """Replace the keys; on failure the old ones stay until they are too old to keep."""
        try:
            self.fetches += 1
            async with asyncio.timeout(self._timeout):
                answer = await self._client.get(self._url, headers={"accept": "application/json"})
            if answer.status_code != 200 or len(answer.content) > MAX_BYTES:
                raise ValueError(f"status {answer.status_code}, {len(answer.content)} bytes")
            self._keys = _keys(answer.json())
            self._fetched = time.monotonic()
            self._unknown.clear()
        except (httpx2.HTTPError, OSError, TimeoutError, ValueError) as error:
            log.warning("the keys of %s could not be read: %s", self._url, type(error).__name__)
            if time.monotonic() > self._fetched + self._keep:
                self._keys = {}
        finally:
            self._flight = None


def _keys(document: object) -> dict[str, jwt.PyJWK]:
    """Those that verify signatures; one that cannot be read does not spoil the others."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no list of keys")  # noqa: TRY004 - what is wrong is a document, not a type of ours
    keys: dict[str, jwt.PyJWK] = {}
    for each in listed[:MAX_KEYS]:
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        kid, kind = each.get("kid"), each.get("kty")
        if not isinstance(kid, str) or not kid or not isinstance(kind, str) or kind not in KINDS:
            continue
        try:
            keys[kid] = jwt.PyJWK(each)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, NotImplementedError):
            log.warning("a key of the key set cannot be used: %s", kid[:64])
    return keys
