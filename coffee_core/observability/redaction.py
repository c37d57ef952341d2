"""Takes secrets and personal data out of what is written down for people to read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

MASK: Final = "***"

_SECRET: Final = (
    "authorization", "cookie", "password", "passwd", "secret", "token", "apikey", "signingkey", "privatekey",
    "credential",    "session", "csrf", "xbbidentity", "dsn", "otp", "pkce", "codeverifier", "signature",
)  # fmt: skip
_PERSONAL: Final = ("email", "phone", "mobile", "birth", "dob", "address", "forwardedfor", "realip", "deviceid")
_HIDDEN: Final = re.compile("|".join((*_SECRET, *_PERSONAL)))
_EXACT: Final = frozenset(("code", "state", "sid", "pin", "ip", "forwarded", "key"))
_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]")

_IN_TEXT: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"(?<=://)[^/@\s:]*:[^@\s]*(?=@)"), MASK),  # user:password@ of a URL
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), MASK),  # a JWT
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {MASK}"),
    (
        re.compile(r"""(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|signing[_-]?key)["']?\s*[=:]\s*["']?)[^\s"'&,;]+"""),
        rf"\1{MASK}",
    ),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), MASK),  # an address of a person
)  # fmt: skip


def is_hidden(name: str) -> bool:
    """Whether the value under this name (a header, a JSON member, a parameter) is a secret or personal.

    `x-api_Key`, `accessToken` and `PASSWORD` are recognised: case and separators do not count.
    """
    plain = _NOT_A_WORD.sub("", name.lower())
    return plain in _EXACT or _HIDDEN.search(plain) is not None


def redact_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers or parameters with the hidden ones masked, and the rest searched for what looks like a secret."""
    return {name: MASK if is_hidden(name) else redact_text(value) for name, value in pairs}


def redact(value: object, *, depth: int = 12) -> object:
    """A parsed JSON document with hidden members masked; below `depth` everything is."""
    if depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return {
            str(name): MASK if is_hidden(str(name)) else redact(inner, depth=depth - 1) for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(inner, depth=depth - 1) for inner in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_text(text: str) -> str:
    """Free text without passwords of URLs, JWTs, bearer tokens, `password=...` and e-mail addresses."""
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text
