"""Tokens signed with a secret that the gateway shares with their issuer (HS256, HS384, HS512).

The checks are PyJWT's, in the same strictness: one spelling of each base64url segment, the whole signature in constant
time, claims of the right kinds and times. What it does anew for every token is done once here: it looks whether the
secret may be one (no public key, certificate or JWK), which took longer than the signature. Every session that is met
for the first time comes this way; keys by URL stay PyJWT's.

`ordinary` reads what nearly every token says, in one go; whatever is not quite so is for `read_payload` and
`check_claims`, which alone refuse.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from hmac import compare_digest
from typing import Final

import jwt
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.verdict.base64url import decoded, encoded

log = logging.getLogger(__name__)

DIGESTS: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {
    "HS256": hashes.SHA256,
    "HS384": hashes.SHA384,
    "HS512": hashes.SHA512,
}
"""The hash of each algorithm; a secret should have as many bytes (RFC 7518, 3.2)."""


class Ordinary(msgspec.Struct, gc=False):
    """The claims of a token, where each is of the kind that nearly all have. Others are not looked at."""

    uid: str
    sid: str
    user_account_id: str = msgspec.field(name="userAccountId")
    partner_id: str = msgspec.field(name="partnerId")
    exp: int
    iat: int = 0
    nbf: int = 0
    iss: str | None = None
    aud: str | None = None
    sub: str = ""
    jti: str = ""


_ordinary: Final = msgspec.json.Decoder(Ordinary).decode


class SharedSecrets:
    """Secrets that verify, each on its own."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._keys: dict[str, list[HMAC]] = {}
        """By algorithm; begun, to be copied for each token."""

    def payload(self, raw: bytes, algorithm: str) -> bytes:
        """The payload of a compact JWS of this algorithm, where one of the secrets has signed it; else
        `jwt.PyJWTError`, or `ValueError` for what is not written in base64url."""
        signed, _, signature = raw.rpartition(b".")
        keys = self._keys.get(algorithm)
        for key in self._prepare(algorithm) if keys is None else keys:
            keyed = key.copy()
            keyed.update(signed)
            # the text is compared: a second spelling of the same bytes is not accepted
            if compare_digest(encoded(keyed.finalize()), signature):
                return decoded(signed.partition(b".")[2])
        raise jwt.InvalidSignatureError("signature")

    def _prepare(self, algorithm: str) -> list[HMAC]:
        """The keys; one that is something else, a public key that everybody knows for example, verifies nothing."""
        checks, digest = jwt.get_algorithm_by_name(algorithm), DIGESTS[algorithm]()
        keys: list[bytes] = []
        for secret in self._secrets:
            try:
                keys.append(checks.prepare_key(secret))
            except jwt.InvalidKeyError as error:
                log.warning("a secret for tokens cannot be one, and nothing is accepted by it: %s", error)
        if any(len(key) < digest.digest_size for key in keys):
            log.warning("a secret of %s is shorter than its signatures", algorithm)
        prepared = self._keys[algorithm] = [HMAC(key, digest) for key in keys]
        return prepared


def ordinary(payload: bytes, issuer: str | None, audience: str | None, leeway: float) -> Ordinary | None:
    """The claims where they are ordinary, and good; `None` says nothing about the token."""
    if not payload.isascii():  # in a claim that nobody reads anything could stand unseen
        return None
    try:
        said = _ordinary(payload)
    except (ValueError, RecursionError):
        return None
    now = time.time()
    if said.iat > now + leeway or said.nbf > now + leeway or said.exp <= now - leeway:
        return None
    if (issuer is not None and said.iss != issuer) or (audience is not None and said.aud != audience):
        return None
    return said


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


def read_payload(payload: bytes) -> dict[str, object]:
    """Whatever it says; `ValueError` or `jwt.PyJWTError` if it is no JSON object."""
    try:
        said: object = msgspec.json.decode(payload)
    except ValueError:
        said = json.loads(payload)  # it takes more: lone surrogates in a claim that nobody reads, for example
    if not isinstance(said, dict):
        raise jwt.DecodeError("no object")
    return said
