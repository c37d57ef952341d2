"""Logout tokens of the sign-in provider: OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jwt

from coffee_core.domain.errors import InputError
from modules.identity.provider_keys import ProviderKeys
from modules.identity.settings import IdentitySettings

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TYPES = ("logout+jwt", "application/logout+jwt", "jwt")
"""`typ`, where there is one. Older providers say the last; `events` and the missing `nonce` tell theirs apart."""
REQUIRED = ("iss", "aud", "iat", "exp", "jti", "events")
LONGEST = 255
"""Characters of `sub` (OpenID Connect Core section 2), and of `sid` and `jti`."""


class LogoutToken(NamedTuple):
    """Whose sessions end: those of `subject`, or the ones that began in the provider's session `sid`; one of both is
    there at least. `remembered` is the moment after which the token would be refused for its age alone."""

    issuer: str
    id: str
    subject: str | None
    sid: str | None
    remembered: datetime


class LogoutTokens:
    """Reads them. Whether one was used before is not looked at here."""

    def __init__(self, settings: IdentitySettings, keys: ProviderKeys) -> None:
        self._settings = settings
        self._keys = keys

    async def read(self, text: str) -> LogoutToken:
        """What a good one says; `InputError` with the reason for any other, `UnavailableError` where the provider's
        keys cannot be had. Where no provider is set up none is good."""
        try:
            return self._checked(await self._verified(text))
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
            reason = str(error) if isinstance(error, jwt.PyJWTError) else "it cannot be read"
            raise InputError(f"the logout token is not valid: {reason}") from None

    async def _verified(self, text: str) -> dict[str, Any]:
        """The claims, once algorithm, signature, issuer, audience and times are as they have to be."""
        settings = self._settings
        header = jwt.get_unverified_header(text)
        if str(header.get("typ", "jwt")).lower() not in TYPES:
            raise jwt.InvalidTokenError("its type is another one")
        if header.get("alg") not in settings.logout_algorithms:  # before a key is asked for
            raise jwt.InvalidAlgorithmError("its algorithm is not allowed")
        claims: dict[str, Any] = jwt.decode(
            text,
            await self._keys.find(str(header.get("kid", ""))),
            algorithms=settings.logout_algorithms,
            issuer=settings.google_issuer,
            audience=settings.google_client_id,
            leeway=settings.logout_leeway_seconds,
            options={"require": list(REQUIRED)},
        )
        return claims

    def _checked(self, claims: dict[str, Any]) -> LogoutToken:
        settings = self._settings
        events = claims["events"]
        if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
            raise jwt.InvalidTokenError("it is about another event")
        if "nonce" in claims:
            raise jwt.InvalidTokenError("it has a nonce")
        if claims["aud"] not in (settings.google_client_id, [settings.google_client_id]):
            raise jwt.InvalidAudienceError("it is for others too")
        id, subject, sid = (_text(claims, name) for name in ("jti", "sub", "sid"))
        if id is None or (subject is None and sid is None):
            raise jwt.InvalidTokenError("it names neither a subject (sub) nor a session (sid)")
        oldest = float(claims["iat"]) + settings.logout_token_seconds
        if time.time() > oldest + settings.logout_leeway_seconds:
            raise jwt.InvalidTokenError("it is too old")
        end = min(float(claims["exp"]), oldest) + settings.logout_leeway_seconds
        return LogoutToken(claims["iss"], id, subject, sid, datetime.fromtimestamp(end, UTC))


def _text(claims: dict[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= LONGEST and "\0" not in value):
        raise jwt.InvalidTokenError(f"{name} must be a text of 1 to {LONGEST} characters")
    return value
