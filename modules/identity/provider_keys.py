"""The public keys of the sign-in provider (JWKS, RFC 7517): for its ID tokens and its logout tokens."""

from __future__ import annotations

import asyncio
import time

import httpx2
import jwt

from coffee_core.domain.errors import UnavailableError
from modules.identity.settings import IdentitySettings

KEYS_SECONDS = 3600.0
"""Age at which they are read anew."""
KEYS_PAUSE = 30.0
"""For an unknown key they are read anew at most this often, in seconds."""
FAILED_PAUSE = 1.0
"""After a failure they are asked for at most this often, in seconds."""
BYTES_MAX = 1 << 18
SILENT = "Google does not answer at the moment; try again"


class ProviderKeys:
    """Kept in process, replaced when the provider changes them; many who wait for them cause one question."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = self._failed_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, kid: str) -> jwt.PyJWK:
        """The key of this id; an unknown one has the keys read anew, though not too often. `jwt.InvalidKeyError` if
        there is none, `UnavailableError` if the provider does not answer."""
        for oldest in (KEYS_SECONDS, KEYS_PAUSE):
            if self._older(oldest):
                async with self._reading:
                    if self._older(oldest):
                        await self._read()
            if (key := self._keys.get(kid)) is not None:
                return key
        raise jwt.InvalidKeyError("unknown key")

    def _older(self, seconds: float) -> bool:
        return time.monotonic() - self._read_at > seconds

    async def _read(self) -> None:
        if time.monotonic() - self._failed_at < FAILED_PAUSE:
            raise UnavailableError(SILENT)
        settings = self._settings
        try:
            async with (
                asyncio.timeout(settings.google_timeout_seconds),
                httpx2.AsyncClient(timeout=settings.google_timeout_seconds, trust_env=False) as client,
            ):
                answer = await client.get(settings.google_keys_url)
            answer.raise_for_status()
            if len(answer.content) > BYTES_MAX:
                raise ValueError("too long")
            found = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (httpx2.HTTPError, OSError, TimeoutError, ValueError, TypeError, AttributeError, jwt.PyJWTError):
            self._failed_at = time.monotonic()
            raise UnavailableError(SILENT) from None
        # no `oct`: a shared secret has no place in a public document
        self._keys = {
            key.key_id: key
            for key in found
            if key.key_id and key.key_type != "oct" and key.public_key_use in (None, "sig")
        }
        self._read_at = time.monotonic()
