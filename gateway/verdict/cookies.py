"""The session cookie, read from and taken out of the Cookie lines (RFC 6265 section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable


class SessionCookie:
    """Knows the cookie by its name."""

    def __init__(self, name: str) -> None:
        self._start = name.encode() + b"="

    def token(self, lines: Iterable[bytes]) -> bytes:
        """Its value; empty if it is not there, or there twice with two values: which one is meant nobody can say."""
        found: bytes | None = None
        for pair in _pairs(lines):
            if pair.startswith(self._start):
                value = pair[len(self._start) :].strip(b'"')
                if found is not None and value != found:
                    return b""
                found = value
        return found or b""

    def without(self, lines: Iterable[bytes]) -> bytes:
        """The other cookies, in one line; empty if there are none."""
        return b"; ".join(pair for pair in _pairs(lines) if not pair.startswith(self._start))


def _pairs(lines: Iterable[bytes]) -> Iterable[bytes]:
    return (pair for line in lines for part in line.split(b";") if (pair := part.strip()))
