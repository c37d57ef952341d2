"""Access tokens, which the gateway reads, and refresh tokens, which only this service does."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

import jwt

from coffee_core.domain.errors import UnauthenticatedError, UnavailableError
from modules.identity.settings import IdentitySettings

ALGORITHM = "HS256"
_SID = re.compile(r"[A-Za-z0-9_-]{22}").fullmatch
_REFRESH = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})").fullmatch


class AccessClaims(NamedTuple):
    """What an access token says."""

    uid: int
    sid: str
    account_id: int
    partner_id: int


class AccessTokens:
    """Issues and reads them. They vouch for nothing without their session."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings

    def _secret(self) -> str:
        secret = self._settings.jwt_secret
        if secret is None:
            raise UnavailableError("nobody can sign in here yet: COFFEE_JWT_SECRET is not set", retry_after=60)
        return secret.get_secret_value()

    def issue(self, claims: AccessClaims, *, now: float) -> str:
        """A token of `access_seconds` from `now` (epoch seconds)."""
        settings = self._settings
        said: dict[str, object] = {
            "uid": claims.uid,
            "sid": claims.sid,
            "userAccountId": claims.account_id,
            "partnerId": claims.partner_id,
            "iat": int(now),
            "exp": int(now) + settings.access_seconds,
        }
        if settings.jwt_issuer is not None:
            said["iss"] = settings.jwt_issuer
        if settings.jwt_audience is not None:
            said["aud"] = settings.jwt_audience
        return jwt.encode(said, self._secret(), algorithm=ALGORITHM)

    def read(self, token: str, *, expired: bool = False) -> AccessClaims:
        """The claims of a token of ours; with `expired` also of one that has run out. Else `UnauthenticatedError`."""
        settings = self._settings
        try:
            said = jwt.decode(
                token,
                self._secret(),
                algorithms=[ALGORITHM],
                issuer=settings.jwt_issuer,
                audience=settings.jwt_audience,
                options={
                    "require": ["exp", "iat", "uid", "sid", "userAccountId", "partnerId"],
                    "verify_exp": not expired,
                    "verify_aud": settings.jwt_audience is not None,
                },
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise UnauthenticatedError("the token is not valid") from None
        return AccessClaims(said["uid"], said["sid"], said["userAccountId"], said["partnerId"])


class RefreshToken(NamedTuple):
    """`{sid}.{family}.{secret}`: the session's id, a secret that stays with the session, and one that each refresh
    changes. Who shows the second without the current third has a token that was used before."""

    sid: str
    family: str
    secret: str

    @property
    def text(self) -> str:
        """As the client keeps it."""
        return ".".join(self)

    def renewed(self) -> RefreshToken:
        """The next one of the family."""
        return self._replace(secret=secrets.token_urlsafe(32))


def new_refresh_token() -> RefreshToken:
    """The first one of a new session, with the session's id."""
    return RefreshToken(secrets.token_urlsafe(16), secrets.token_urlsafe(16), secrets.token_urlsafe(32))


def parse_refresh_token(text: str) -> RefreshToken | None:
    """The parts of what may be one; None for anything else."""
    found = _REFRESH(text)
    return RefreshToken(found[1], found[2], found[3]) if found else None


def is_session_id(text: str) -> bool:
    """Whether a session may be called so."""
    return _SID(text) is not None


def digest(secret: str) -> str:
    """What is stored of a secret. It has 128 random bits or more, so that a plain SHA-256 gives nothing away."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(secret: str, stored: str | None) -> bool:
    """Whether `stored` is the digest of `secret`, in constant time."""
    return stored is not None and hmac.compare_digest(digest(secret), stored)
