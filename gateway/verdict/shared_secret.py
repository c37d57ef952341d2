"""Tokens signed with a secret that the gateway shares with their issuer (HS256, HS384, HS512).

The checks are PyJWT's, in the same strictness: one spelling of each base64url segment, the whole signature in constant
time, claims of the right kinds and times. What it does anew for every token is done once here: it looks whether the
secret may be one (no public key, certificate or JWK), which took longer than the signature. Every session that is met
for the first time comes this way; keys by URL stay PyJWT's.
"""

from __future__ import annotations

import hmac
import json
import logging
import time
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import jwt
import msgspec

log = logging.getLogger(__name__)

DIGESTS: Final[Mapping[str, tuple[str, int]]] = {
    "HS256": ("sha256", 32),
    "HS384": ("sha384", 48),
    "HS512": ("sha512", 64),
}
"""By algorithm: the hash, and the bytes that a secret should have (RFC 7518, 3.2)."""

_URLSAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")


class SharedSecrets:
    """Secrets that verify, each on its own."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._keys: dict[str, list[bytes]] = {}

    def payload(self, raw: bytes, algorithm: str) -> Mapping[str, object]:
        """What a compact JWS of this algorithm says, where one of the secrets has signed it; else `jwt.PyJWTError`."""
        signed, _, signature = raw.rpartition(b".")
        hash_name = DIGESTS[algorithm][0]
        keys = self._keys.get(algorithm)
        for key in self._prepare(algorithm) if keys is None else keys:
            # the text is compared: a second spelling of the same bytes is not accepted
            if hmac.compare_digest(_encoded(hmac.digest(key, signed, hash_name)), signature):
                return _read(signed.partition(b".")[2])
        raise jwt.InvalidSignatureError("signature")

    def _prepare(self, algorithm: str) -> list[bytes]:
        """The keys; one that is something else, a public key that everybody knows for example, verifies nothing."""
        checks = jwt.get_algorithm_by_name(algorithm)
        keys: list[bytes] = []
        for secret in self._secrets:
            try:
                keys.append(checks.prepare_key(secret))
            except jwt.InvalidKeyError as error:
                log.warning("a secret for tokens cannot be one, and nothing is accepted by it: %s", error)
        if any(len(key) < DIGESTS[algorithm][1] for key in keys):
            log.warning("a secret of %s is shorter than its signatures", algorithm)
        self._keys[algorithm] = keys
        return keys


def check_claims(
    said: Mapping[str, object], *, require: Iterable[str], issuer: str | None, audience: str | None, leeway: float
) -> None:
    """The registered claims (RFC 7519, 4.1), as PyJWT checks them; `jwt.PyJWTError` or `ValueError` otherwise."""
    for name in require:
        if said.get(name) is None:
            raise jwt.MissingRequiredClaimError(name)
    now = time.time()
    if "iat" in said and _seconds(said["iat"]) > now + leeway:
        raise jwt.ImmatureSignatureError("iat")
    if "nbf" in said and _seconds(said["nbf"]) > now + leeway:
        raise jwt.ImmatureSignatureError("nbf")
    if "exp" in said and _seconds(said["exp"]) <= now - leeway:
        raise jwt.ExpiredSignatureError("exp")
    if issuer is not None and said.get("iss") != issuer:
        raise jwt.InvalidIssuerError("iss")
    if audience is not None:
        named = said.get("aud")
        if isinstance(named, str):
            named = [named]
        if not isinstance(named, list) or audience not in named or not all(isinstance(each, str) for each in named):
            raise jwt.InvalidAudienceError("aud")
    for name in ("sub", "jti"):
        if name in said and not isinstance(said[name], str):
            raise jwt.InvalidTokenError(name)


def _seconds(value: object) -> int:
    """A moment as PyJWT reads it: whole seconds, of a number or of its text."""
    if not isinstance(value, int | float | str):
        raise jwt.DecodeError("not a moment")
    try:
        return int(value)
    except OverflowError:  # infinity
        raise jwt.DecodeError("not a moment") from None


def _read(segment: bytes) -> dict[str, object]:
    data = a2b_base64(segment.translate(_STANDARD) + b"==")
    if _encoded(data) != segment:
        raise jwt.DecodeError("a second spelling")
    try:
        said: object = msgspec.json.decode(data)
    except ValueError:
        said = json.loads(data)  # it takes more: lone surrogates in a claim that nobody reads, for example
    if not isinstance(said, dict):
        raise jwt.DecodeError("no object")
    return said


def _encoded(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).translate(_URLSAFE).rstrip(b"=")
