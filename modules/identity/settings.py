"""Settings of the identity service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from coffee_core.domain.secrets import StrongSecret

SignedBy = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a public key: neither `none` nor a shared secret can be asked for."""


class IdentitySettings(BaseSettings):
    """How people sign in, for how long, and how much of it one process may do at once."""

    model_config = SettingsConfigDict(
        env_prefix="COFFEE_IDENTITY_",
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # a secret that is too weak is still a secret
    )

    jwt_secret: StrongSecret | None = Field(default=None, validation_alias="COFFEE_JWT_SECRET")
    """Signs access tokens (HS256); the gateway has the same one. Unset: nobody can sign in, and the service is not
    ready."""
    jwt_issuer: str | None = None
    """`iss` of access tokens; unset: none."""
    jwt_audience: str | None = None
    """`aud` of access tokens; unset: none."""
    access_seconds: int = Field(default=900, ge=30, le=86_400)
    """Lifetime of an access token."""
    session_seconds: int = Field(default=2_592_000, ge=60)
    """A session that is not refreshed for this long has ended."""
    session_seconds_max: int = Field(default=7_776_000, ge=60)
    """A session ends this long after its login, however often it is refreshed."""
    sessions_per_user_max: int = Field(default=50, ge=1, le=1000)
    """One login more ends the user's oldest session."""
    refresh_race_seconds: float = Field(default=2.0, ge=0, le=60)
    """A refresh token that comes a second time within this is refused as a race of one client's own requests; later it
    was stolen, and its session ends. 0: it always ends the session."""

    session_cookie: str = Field(default="coffee_session", pattern=r"^[A-Za-z0-9_\-]+$")
    """Name of the cookie that holds a browser's access token; as in the gateway's settings."""
    cookie_secure: bool = True
    """Whether browsers send the cookie over TLS alone (they make an exception for localhost)."""
    cookie_same_site: Literal["Lax", "Strict"] = "Lax"
    """Lax: links from other sites arrive logged in. Strict: they do not."""

    signing_key: StrongSecret | None = Field(default=None, validation_alias="COFFEE_IDENTITY_SIGNING_KEY")
    """Shared with the gateway: only who signs with it may ask about sessions and plans. Unset: nobody may."""
    signing_key_previous: StrongSecret | None = Field(
        default=None, validation_alias="COFFEE_IDENTITY_SIGNING_KEY_PREVIOUS"
    )
    """Still accepted, while keys are being changed."""

    redis_url: SecretStr | None = Field(default=None, validation_alias="COFFEE_REDIS_URL")
    """Where the gateways look sessions up and hear of changes. Unset: they ask here each time."""
    redis_timeout_seconds: float = Field(default=0.25, gt=0)
    """For each operation of Redis."""
    redis_connections: int = Field(default=16, ge=1)
    """Connections to Redis, per process."""
    session_cache_seconds: float = Field(default=300.0, gt=0)
    """How long Redis keeps what is stored there at login: also the longest that an ended session can go on if this
    process cannot reach Redis while the gateways can."""
    push_seconds: float = Field(default=1.0, gt=0)
    """How long an answer may wait for its change to be pushed; after that the push is tried again behind it."""
    push_retry_seconds: float = Field(default=5.0, gt=0)
    """Longest pause between two tries."""

    hash_memory_kib: int = Field(default=65_536, ge=8)
    """argon2id: memory of one hash (RFC 9106 section 4)."""
    hash_passes: int = Field(default=3, ge=1)
    """argon2id: passes over the memory."""
    hash_lanes: int = Field(default=4, ge=1)
    """argon2id: lanes."""
    hash_concurrency: int = Field(default=2, ge=1)
    """Hashes computed at the same time, each in a thread."""
    hash_queue: int = Field(default=32, ge=0)
    """Hashes that may wait for a thread; one more is answered 503 at once."""

    password_min: int = Field(default=10, ge=8)
    """Characters of a new password at least."""
    password_max: int = Field(default=256, ge=64)
    """Characters of a password at most."""

    login_account_attempts: int = Field(default=5, ge=1)
    """Failed logins for one e-mail address before a delay; successes set it back."""
    login_address_attempts: int = Field(default=20, ge=1)
    """Failed logins from one client address (an IPv6 /64) before a delay."""
    login_delay_seconds: float = Field(default=1.0, gt=0)
    """The first delay; each further failure doubles it."""
    login_delay_max_seconds: float = Field(default=300.0, gt=0)
    """The longest delay: also how long somebody else's guesses can keep a user out at a time."""
    login_forget_seconds: float = Field(default=3600.0, gt=0)
    """Failures are forgotten this long after the last delay."""
    login_keys_max: int = Field(default=100_000, ge=100)
    """Accounts and addresses that are counted in process, where Redis is not configured or does not answer."""

    google_client_id: str | None = None
    """Of the application that is registered with Google. Unset: nobody signs in with Google here."""
    google_client_secret: SecretStr | None = None
    """Belongs to it."""
    google_redirect_uri: str = "http://localhost:8009/auth/google/callback"
    """Where Google sends browsers back: the gateway's public URL of `/auth/google/callback`, as registered."""
    google_return_url: str | None = None
    """The page that a browser is sent to once it is signed in. Unset: the tokens are answered."""
    google_issuer: str = "https://accounts.google.com"
    """`iss` of its ID tokens."""
    google_authorize_url: str = "https://accounts.google.com/o/oauth2/v2/auth"
    """Where one agrees."""
    google_token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    """Where codes become tokens."""
    google_keys_url: str = "https://www.googleapis.com/oauth2/v3/certs"
    """Its public keys (JWKS)."""
    google_seconds: int = Field(default=600, ge=30, le=3600)
    """Time to agree, from the first redirect to the way back."""
    google_timeout_seconds: float = Field(default=5.0, gt=0)
    """For each answer of Google's."""

    logout_algorithms: Annotated[tuple[SignedBy, ...], Field(min_length=1)] = ("RS256", "ES256")
    """With which the provider's logout tokens may be signed (a JSON list)."""
    logout_leeway_seconds: int = Field(default=10, ge=0, le=300)
    """By which the provider's clock and ours may differ."""
    logout_token_seconds: int = Field(default=600, ge=10, le=86_400)
    """Age at which a logout token is refused even if its own end is later; so long, at most, is its id remembered."""
