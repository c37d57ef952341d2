"""base64url without padding (RFC 7515, 2), in which a JWS has its segments."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Final

_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")
_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/\0\0\0")
"""What base64 writes otherwise stands for nothing here."""
_PADDING: Final = (b"", b"", b"==", b"=")
_LAST: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
"""By what is over when the length is divided by four: the last letters that say nothing beyond the last byte."""


def encoded(data: bytes) -> bytes:
    """The text of these bytes."""
    return b2a_base64(data, newline=False).translate(_URLSAFE).rstrip(b"=")


def decoded(text: bytes) -> bytes:
    """The bytes whose one spelling this is; `ValueError` for any other text."""
    over = len(text) & 3
    if over and text[-1] not in _LAST[over]:
        raise ValueError("a second spelling")
    return a2b_base64(text.translate(_STANDARD) + _PADDING[over], strict_mode=True)
