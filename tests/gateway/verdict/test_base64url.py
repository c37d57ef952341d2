"""Segments of tokens have one spelling, and the gateway reads no other."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from gateway.verdict.base64url import decoded, encoded

TEXTS = st.binary(max_size=40).map(encoded) | st.text("AQZaz09-_+/= \n.", max_size=12).map(str.encode)


@given(st.binary(max_size=300))
def test_what_is_written_is_read(data: bytes) -> None:
    assert encoded(data) == base64.urlsafe_b64encode(data).rstrip(b"=")
    assert decoded(encoded(data)) == data


@given(TEXTS, st.integers(0, 60), st.integers(0, 255))
def test_a_text_is_read_where_it_is_the_one_spelling_of_its_bytes(text: bytes, at: int, byte: int) -> None:
    text = text[:at] + bytes((byte,)) + text[at + 1 :]
    assert _read(text) == (_leniently(text) if encoded(_leniently(text) or b"") == text else None)


def _read(text: bytes) -> bytes | None:
    try:
        return decoded(text)
    except ValueError:
        return None


def _leniently(text: bytes) -> bytes | None:
    """As the standard library reads it, which passes over what it does not know."""
    try:
        return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        return None
