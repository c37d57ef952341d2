"""What a shared secret has to be."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_core import PydanticCustomError

ADVICE = "at least 32 random bytes, for example from `openssl rand -base64 48`"

_WORDS = ("secret", "changeme", "password", "example", "your-256-bit", "qwerty")
_PADDED = frozenset(
    text.ljust(32, text[-1])
    for text in ("secret", "changeme", "password", "test", "coffee", "dev", "development", "jwt", "0", "1", "a", "x")
)


def weak_secret(secret: str) -> bool:
    """Too short for HMAC-SHA-256 (RFC 7518 section 3.2), too plain, or one that stands in every tutorial."""
    folded = secret.lower()
    plain = len(set(secret)) < 10
    return len(secret.encode()) < 32 or plain or folded in _PADDED or folded.strip("-_ 0123456789!.") in _WORDS


def _strong(secret: SecretStr) -> SecretStr:
    if weak_secret(secret.get_secret_value()):
        raise PydanticCustomError("weak_secret", f"too weak: {ADVICE}")
    return secret


StrongSecret = Annotated[SecretStr, AfterValidator(_strong)]
"""A setting that refuses a weak secret, without repeating it."""
