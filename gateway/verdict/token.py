"""Step 2: what a token says, once its signature is checked with a key and an algorithm that *we* chose."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import jwt
from msgspec import Struct

from gateway.verdict.jwks import Jwks
from gateway.verdict.shared_secret import DIGESTS, SharedSecrets, check_claims, ordinary, read_payload

_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+").fullmatch
_ID = re.compile(r"[A-Za-z0-9_\-]{1,128}").fullmatch
_KEYS_IN_TOKEN = frozenset(("jku", "jwk", "x5u", "x5c"))
"""Headers by which a token would bring, or fetch, its own key: refused and never looked at."""

KNOWN_HEADERS = 64
"""First segments of tokens that are remembered, so as not to be read again."""

SYMMETRIC = frozenset(DIGESTS)
ASYMMETRIC = frozenset(("RS256", "ES256", "EdDSA"))


def ids(number: int) -> Callable[[str], re.Match[str] | None]:
    """Finds so many ids, each with a space behind it, and nothing else."""
    return re.compile(rf"(?:[A-Za-z0-9_\-]{{1,128}} ){{{number}}}").fullmatch


_IDS = ids(4)


class Claims(Struct, frozen=True, gc=False):
    """What a good token says. Ids are opaque strings of the letters, digits, `_` and `-` of ASCII."""

    uid: str
    sid: str
    account_id: str
    partner_id: str
    expires: float
    """Epoch seconds."""


class _Header(NamedTuple):
    """Of a token: the algorithm, which is one of ours, and the key's name as it stands there."""

    algorithm: str
    kid: object


class BadToken(Exception):  # noqa: N818 - an outcome for the caller, not a fault of ours
    """The token is not accepted; the text says why in a word, for the log, not for the caller."""


class TokenSettings(NamedTuple):
    """What is accepted. The algorithm list is ours: a token chooses from it, and its key is chosen by us."""

    algorithms: Sequence[str]
    secrets: Sequence[str] = ()
    """Of HS*: the first signs, all verify, so that a secret can be changed without logging everyone out."""
    issuer: str | None = None
    audience: str | None = None
    leeway: float = 5.0
    max_bytes: int = 4096


class TokenVerifier:
    """Verifies; keeps nothing but keys."""

    def __init__(self, settings: TokenSettings, jwks: Jwks | None = None) -> None:
        self._settings = settings
        self._jwks = jwks
        self._jwt = jwt.PyJWT()
        self._shared = SharedSecrets(settings.secrets)
        self._require = ["exp", "uid", "sid", "userAccountId", "partnerId"]
        self._headers: dict[bytes, _Header] = {}
        """What the first segment of tokens says, where it was accepted: all tokens of one key have the same."""

    def replace_secrets(self, secrets: Sequence[str]) -> None:
        """From now on only these verify; what is remembered of tokens is the caller's to forget."""
        self._settings = self._settings._replace(secrets=tuple(secrets))
        self._shared = SharedSecrets(self._settings.secrets)

    def verify(self, raw: bytes) -> Claims | Awaitable[Claims]:
        """The claims, at once where no key has to be fetched; `BadToken` for what is not accepted. Who waits may hear
        `UnavailableError` as well: the keys cannot be had."""
        if len(raw) > self._settings.max_bytes:
            raise BadToken("too long")
        header = self._headers.get(raw.partition(b".")[0]) or self._read_header(raw)
        algorithm, kid = header
        if algorithm in SYMMETRIC:
            return self._with_secrets(raw, algorithm)  # reads each segment strictly
        if _COMPACT(raw) is None:
            raise BadToken("not a compact JWS")
        if self._jwks is None or not isinstance(kid, str) or not 0 < len(kid) <= 128:
            raise BadToken("no key for it")
        return self._with_key_of(self._jwks, kid, raw, algorithm)

    async def _with_key_of(self, jwks: Jwks, kid: str, raw: bytes, algorithm: str) -> Claims:
        key = await jwks.find(kid)
        if key is None or key.algorithm_name != algorithm:
            raise BadToken("unknown key")
        return self._with_key(raw, key, algorithm)

    def _read_header(self, raw: bytes) -> _Header:
        """What it says, if that is accepted."""
        if _COMPACT(raw) is None:
            raise BadToken("not a compact JWS")
        try:
            header = jwt.get_unverified_header(raw)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise BadToken("unreadable header") from None
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._settings.algorithms:
            raise BadToken("algorithm not allowed")
        if "crit" in header or "b64" in header:
            raise BadToken("critical extension")
        if not _KEYS_IN_TOKEN.isdisjoint(header):
            raise BadToken("brings its own key")
        if str(header.get("typ", "JWT")).lower().removeprefix("application/") not in ("jwt", "at+jwt"):
            raise BadToken("not an access token")
        if len(self._headers) >= KNOWN_HEADERS:
            self._headers.clear()
        read = self._headers[raw.partition(b".")[0]] = _Header(algorithm, header.get("kid"))
        return read

    def _with_secrets(self, raw: bytes, algorithm: str) -> Claims:
        settings = self._settings
        issuer, audience, leeway = settings.issuer, settings.audience, settings.leeway
        try:
            payload = self._shared.payload(raw, algorithm)
            said = ordinary(payload, issuer, audience, leeway)
            if said is not None:
                uid, sid, account, partner = said.uid, said.sid, said.user_account_id, said.partner_id
                if _IDS(f"{uid} {sid} {account} {partner} ") is not None:
                    return Claims(uid, sid, account, partner, float(said.exp))
            claims = read_payload(payload)
            check_claims(claims, require=self._require, issuer=issuer, audience=audience, leeway=leeway)
            return _claims(claims)
        except _UNACCEPTABLE as error:
            raise BadToken(type(error).__name__) from None

    def _with_key(self, raw: bytes, key: jwt.PyJWK, algorithm: str) -> Claims:
        settings = self._settings
        try:
            return _claims(
                self._jwt.decode(
                    raw,
                    key,
                    algorithms=[algorithm],
                    issuer=settings.issuer,
                    audience=settings.audience,
                    leeway=settings.leeway,
                    options={"require": self._require, "verify_aud": settings.audience is not None},
                )
            )
        except _UNACCEPTABLE as error:
            raise BadToken(type(error).__name__) from None


_UNACCEPTABLE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


def _claims(said: Mapping[str, object]) -> Claims:
    end = said["exp"]
    if not isinstance(end, int | float | str):
        raise TypeError("not a moment")
    return Claims(
        uid=well_formed(said["uid"]),
        sid=well_formed(said["sid"]),
        account_id=well_formed(said["userAccountId"]),
        partner_id=well_formed(said["partnerId"]),
        expires=float(end),
    )


def well_formed(value: object) -> str:
    """An id as text: an int, or a short string of letters, digits, `_` and `-`. `ValueError` for all else."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    else:
        raise ValueError("not an id")  # noqa: TRY004 - what is wrong is a document, not a type of ours
    if _ID(text) is None:
        raise ValueError("not an id")
    return text
