"""Google as the one who says whose mailbox it is: OpenID Connect, the code flow with PKCE (RFC 9700 section 2.1.1).

What one browser began is kept in its own cookie, signed: `state`, `nonce` and the PKCE verifier. `state` binds the way
back to the way out, `nonce` the ID token to both, the verifier the code to whoever began.
"""

from __future__ import annotations

import hmac
import secrets
import time
from typing import Any, NamedTuple

import httpx2
import jwt

from coffee_core.domain.errors import NotFoundError, UnauthenticatedError, UnavailableError
from modules.identity.provider_keys import SILENT, ProviderKeys
from modules.identity.sessions import ProviderLogin
from modules.identity.settings import IdentitySettings

TYPE = "oauth+jwt"
"""Neither an access token nor a statement can be taken for what the cookie holds."""
ALGORITHMS = ("RS256", "ES256")
LEEWAY = 10
"""Seconds by which our clock and Google's may differ."""
STALE = "this sign-in was not begun in this browser, or too long ago: begin again"


class Begun(NamedTuple):
    """One sign-in on its way."""

    state: str
    nonce: str
    verifier: str


class Google:
    """Talks to Google; keeps nothing."""

    def __init__(self, settings: IdentitySettings, keys: ProviderKeys) -> None:
        self._settings = settings
        self._keys = keys

    def begin(self) -> tuple[str, str]:
        """Where to send the browser, and what its cookie has to hold meanwhile."""
        begun = Begun(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48))
        url, _ = self._client().create_authorization_url(
            self._settings.google_authorize_url, state=begun.state, code_verifier=begun.verifier, nonce=begun.nonce
        )
        claims = {**begun._asdict(), "exp": int(time.time()) + self._settings.google_seconds}
        return str(url), jwt.encode(claims, self._secret(), algorithm="HS256", headers={"typ": TYPE})

    def recall(self, cookie: str | None, state: str) -> Begun:
        """What this browser began, if `state` is that one's."""
        try:
            if cookie is None or jwt.get_unverified_header(cookie).get("typ") != TYPE:
                raise UnauthenticatedError(STALE)
            said = jwt.decode(cookie, self._secret(), algorithms=["HS256"], options={"require": ["exp"]})
        except (jwt.PyJWTError, ValueError):
            raise UnauthenticatedError(STALE) from None
        begun = Begun(said["state"], said["nonce"], said["verifier"])
        if not hmac.compare_digest(begun.state.encode(), state.encode()):
            raise UnauthenticatedError(STALE)
        return begun

    async def email(self, code: str, begun: Begun) -> tuple[str, ProviderLogin]:
        """The verified address behind a code, and the login at the provider that it stands for."""
        from authlib.integrations.base_client import OAuthError  # slow to import, and few platforms have Google set up

        try:
            async with self._client() as client:
                answer: dict[str, Any] = await client.fetch_token(
                    self._settings.google_token_url, code=code, code_verifier=begun.verifier
                )
        except OAuthError:
            raise UnauthenticatedError("Google does not accept the code: begin again") from None
        except (httpx2.HTTPError, OSError, ValueError):
            raise UnavailableError(SILENT) from None
        said = await self._claims(str(answer.get("id_token", "")))
        if not hmac.compare_digest(str(said.get("nonce", "")).encode(), begun.nonce.encode()):
            raise UnauthenticatedError(STALE)
        if said.get("email_verified") is not True or not isinstance(said.get("email"), str):
            raise UnauthenticatedError("Google has not verified the e-mail address of this account")
        return said["email"], ProviderLogin(said["iss"], said["sub"], _sid(said))

    async def _claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            found: dict[str, Any] = jwt.decode(
                token,
                await self._keys.find(str(header.get("kid", ""))),
                algorithms=ALGORITHMS,
                issuer=settings.google_issuer,
                audience=settings.google_client_id,
                leeway=LEEWAY,
                options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"], "strict_aud": True},
            )
        except (jwt.PyJWTError, ValueError):
            raise UnauthenticatedError("what Google says of this account is not valid: begin again") from None
        return found

    def _client(self) -> Any:  # authlib has no types
        settings = self._settings
        if settings.google_client_id is None or settings.google_client_secret is None:
            raise NotFoundError("signing in with Google is not set up here")
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        return AsyncOAuth2Client(
            settings.google_client_id,
            settings.google_client_secret.get_secret_value(),
            scope="openid email",
            redirect_uri=settings.google_redirect_uri,
            code_challenge_method="S256",
            timeout=settings.google_timeout_seconds,
            trust_env=False,
        )

    def _secret(self) -> str:
        secret = self._settings.jwt_secret
        if secret is None:
            raise UnavailableError("nobody can sign in here yet: COFFEE_JWT_SECRET is not set", retry_after=60)
        return secret.get_secret_value()


def _sid(said: dict[str, Any]) -> str | None:
    sid = said.get("sid")
    return sid if isinstance(sid, str) and sid else None
